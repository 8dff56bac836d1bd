"""`python -m interp_lab_server` is the command `interp-lab`."""

import sys

from interp_lab_server.cli import main

sys.exit(main())
