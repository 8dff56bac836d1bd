"""Migrates the catalogue given, with one more step if its statements are given too."""

from __future__ import annotations

import sys
from pathlib import Path

from interp_lab.jobs.migrate import migrate
from interp_lab.jobs.queries import Migration, released_migrations

if __name__ == "__main__":
    steps = released_migrations()
    if len(sys.argv) > 2:
        steps = (*steps, Migration(steps[-1].version + 1, sys.argv[2]))
    migrate(Path(sys.argv[1]), steps)
