"""Fails when a hand-written file outgrows the budgets of CONTRIBUTING.md. What ruff can measure is left to ruff."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SOURCES = ("interp_lab", "server/interp_lab_server", "tools/interp_lab_tools", "scripts")
MAX_FILE_LINES = 400
MAX_BODY_LINES = 50
BUILTIN_ERRORS = frozenset(
    {"Exception", "RuntimeError", "OSError", "KeyError", "IndexError", "TypeError", "AssertionError"}
)
LAZY_IMPORT_MARK = "# lazy:"
"""An import inside a function says on its line why it cannot stand at the top."""


class Problem(NamedTuple):
    """One broken budget."""

    path: Path
    line: int
    text: str


def problems(path: Path) -> Iterator[Problem]:
    """Yield every broken budget of one file."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    if len(lines) > MAX_FILE_LINES:
        yield Problem(path, 1, f"{len(lines)} lines, at most {MAX_FILE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function_problems(path, node, lines)
        elif isinstance(node, ast.Raise) and (name := _raised(node)) in BUILTIN_ERRORS:
            yield Problem(path, node.lineno, f"raises {name}: raise a class of interp_lab/errors.py")


def _function_problems(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> Iterator[Problem]:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if body and (length := (body[-1].end_lineno or 0) - body[0].lineno + 1) > MAX_BODY_LINES:
        yield Problem(path, node.lineno, f"{node.name} has {length} lines, at most {MAX_BODY_LINES}")
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom) and LAZY_IMPORT_MARK not in lines[inner.lineno - 1]:
            yield Problem(path, inner.lineno, f"import inside {node.name} without '{LAZY_IMPORT_MARK} reason'")


def _raised(node: ast.Raise) -> str | None:
    target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return target.id if isinstance(target, ast.Name) else None


def main() -> int:
    """Return 1 and list the problems if there are any."""
    files = [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))]
    found = sorted({problem for path in files for problem in problems(path)})
    for problem in found:
        sys.stderr.write(f"{problem.path.relative_to(ROOT)}:{problem.line}: {problem.text}\n")
    sizes = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    print(f"budgets: {len(files)} files, {sum(sizes)} lines, longest {max(sizes)}; {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
