"""Makes one world with known truth and writes its folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from interp_lab.errors import LabError
from interp_lab.worlds.catalogue import KINDS, checks_in, make_world
from interp_lab.worlds.folder import write_world


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the world was made, verified and written."""
    listed = "; ".join(f"{name}: {kind.what}" for name, kind in KINDS.items())
    parser = argparse.ArgumentParser(prog="python -m interp_lab.worlds", description=__doc__, epilog=listed)
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, required=True, help="0-999 for development, 1000-1999 for reported figures")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the world")
    parser.add_argument("--dials", type=json.loads, default={}, help="JSON object, for example '{\"effect\": 1.0}'")
    options = parser.parse_args(arguments)
    try:
        world = make_world(options.kind, options.seed, **options.dials)
        write_world(world, options.out)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    checks = list(checks_in(world.truth))
    holding = sum(check.holds for check in checks)
    sys.stdout.write(f"{options.out}: {options.kind}, seed {options.seed}, {holding} of {len(checks)} checks hold\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
