"""Schemas, tool reference, error index and README table say what the declarations say now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

from interp_lab.contracts.base import Contract
from interp_lab.errors import all_errors
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.documents import RECORDS, render_documents, with_tool_table

ROOT = Path(__file__).parents[2]
WANTED = render_documents()


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_generated_file_equals_what_the_declarations_render(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == WANTED[name], "run 'make generate'"


def test_the_readme_table_lists_every_capability_as_declared() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_tool_table(readme) == readme
    assert all(f"| `{capability.name}` |" in readme for capability in CAPABILITIES)


def test_no_schema_is_left_over_from_a_capability_that_is_gone() -> None:
    present = {f"schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    assert present == {name for name in WANTED if name.startswith("schemas/")}


def test_every_error_code_is_unique_documented_and_has_a_remedy() -> None:
    errors = list(all_errors())
    codes = [error.code for error in errors]
    assert len(set(codes)) == len(codes)
    index = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    for error in errors:
        assert f"| `{error.code}` |" in index
        assert error.__doc__
        assert error.default_remedy.endswith(".")


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_an_example_in_the_documentation_is_a_valid_request(capability) -> None:
    schema = json.loads(WANTED[f"schemas/{capability.name}.request.json"])
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(dict(capability.example))
    capability.request.model_validate(dict(capability.example))


def _records() -> set[type[Contract]]:
    found: set[type[Contract]] = set()

    def walk(annotation: object) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Contract):
            if annotation not in found:
                found.add(annotation)
                for field in annotation.model_fields.values():
                    walk(field.annotation)
            return
        for part in get_args(annotation):
            walk(part)

    for capability in CAPABILITIES:
        for record in (capability.request, capability.result, capability.output):
            walk(record)
    for record in RECORDS.values():
        walk(record)
    return found


@pytest.mark.parametrize("record", sorted(_records(), key=lambda r: r.__name__), ids=lambda r: r.__name__)
def test_every_field_that_crosses_a_boundary_is_described(record: type[Contract]) -> None:
    assert record.__doc__
    assert [name for name, field in record.model_fields.items() if not field.description] == []
