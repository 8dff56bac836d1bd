"""Writes what follows from the declarations: schemas/, docs/tools.md, docs/errors.md, the table in README.md.

With --check it only says what is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from interp_lab_tools.documents import render_documents, with_tool_table

ROOT = Path(__file__).parent.parent
OWNED = (("schemas", "*.json"),)
"""Folders in which every file of that pattern is generated, so that a leftover is a mistake."""


def main() -> int:
    """Return 1 if something is out of date and was not rewritten."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = {**render_documents(), "README.md": with_tool_table(readme)}
    stale = [name for name, text in wanted.items() if not _is(ROOT / name, text)]
    leftover = [
        path.relative_to(ROOT).as_posix()
        for folder, pattern in OWNED
        for path in sorted((ROOT / folder).glob(pattern))
        if path.relative_to(ROOT).as_posix() not in wanted
    ]
    if "--check" in sys.argv:
        for name in (*stale, *leftover):
            sys.stderr.write(f"{name} is out of date: run 'make generate'\n")
        print(f"generated files: {len(wanted)}, out of date: {len(stale) + len(leftover)}")
        return 1 if stale or leftover else 0
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(wanted[name], encoding="utf-8")
    for name in leftover:
        (ROOT / name).unlink()
    print(f"rewritten: {len(stale)}, removed: {len(leftover)}, unchanged: {len(wanted) - len(stale)}")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
