"""Writes the labelled datasets and presets, or checks that the ones on disk are what would be written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from interp_lab.corpus.criteria.render import drift, write
from interp_lab.corpus.criteria.table import measured_part, page


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when everything was written or nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m interp_lab.corpus.criteria", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that holds datasets/ and presets/")
    parser.add_argument("--check", action="store_true", help="write nothing; list the files that differ")
    parser.add_argument("--docs", type=Path, help="also write the table of datasets to this file")
    options = parser.parse_args(arguments)
    if options.check:
        different = drift(options.out)
        sys.stdout.writelines(f"{name} differs\n" for name in different)
        return 1 if different else 0
    write(options.out)
    if options.docs:
        before = options.docs.read_text(encoding="utf-8") if options.docs.is_file() else ""
        options.docs.write_text(page(measured_part(before)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
