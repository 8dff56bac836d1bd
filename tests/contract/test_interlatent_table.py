"""docs/interlatent.md names only what there is: a declared capability, a question of one, or what imports."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from interp_lab.contracts.query import Query
from interp_lab_tools.catalogue import BY_NAME

PAGE = Path(__file__).parents[2] / "docs" / "interlatent.md"
QUESTIONS = {kind.model_fields["kind"].annotation.__args__[0] for kind in get_args(get_args(Query)[0])}


def calls() -> list[tuple[str, str]]:
    """Return row and call of every code span in the third column."""
    found: list[tuple[str, str]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if re.match(r"A-[0-9]{2}$", cells[1] if len(cells) > 1 else ""):
            found += [(cells[1], call) for call in re.findall(r"`([^`]+)`", cells[3])]
    return found


def exists(call: str) -> bool:
    """Return whether a call can be made."""
    if call.startswith("interp_lab."):
        return _imports(call)
    name, _, question = call.partition(" ")
    declared = name in BY_NAME or _imports(f"interp_lab_tools.{name}.{name.upper()}")
    return declared and (not question or (name == "query_activations" and question in QUESTIONS))


def _imports(path: str) -> bool:
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            thing = getattr(thing, name, None)
        return thing is not None
    return False


@pytest.mark.parametrize(("row", "call"), calls())
def test_a_call_of_the_table_can_be_made(row: str, call: str) -> None:
    assert exists(call), f"{row}: there is no {call}"


def test_every_row_has_a_call_and_stands_once() -> None:
    rows = [line.split("|")[1].strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:4] == "| A-"]
    assert len(rows) == len(set(rows)) > 40
    assert set(rows) == {row for row, _ in calls()}


@pytest.mark.parametrize(
    "call", ["interp_lab.store.reader.nothing", "interp_lab.nothing.at_all", "no_capability", "query_activations why"]
)
def test_a_call_that_cannot_be_made_is_noticed(call: str) -> None:
    assert not exists(call)


def defects() -> list[tuple[str, str]]:
    """Return file and name of the test that each row of the second table names."""
    return re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), defects())
def test_a_test_that_keeps_a_defect_out_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (PAGE.parents[1] / file).read_text(encoding="utf-8")


def test_every_defect_names_its_test() -> None:
    rows = PAGE.read_text(encoding="utf-8").partition("## Defects")[2].count("| A-")
    assert len(defects()) == rows > 15
