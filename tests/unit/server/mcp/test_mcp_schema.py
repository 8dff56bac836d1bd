from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.jobs import JobFailure, JobView
from interp_lab.contracts.operations import JobListRequest
from interp_lab_server.schema import input_schema, output_schema
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.views import as_json


def nodes(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_every_example_fits_its_published_input_schema(capability: Any) -> None:
    schema = input_schema(capability.request)
    Draft202012Validator(schema).validate(dict(capability.example))


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_a_field_that_does_not_exist_does_not_fit(capability: Any) -> None:
    schema = input_schema(capability.request)
    assert not Draft202012Validator(schema).is_valid({**capability.example, "no_such_field": 1})


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_schemas_hold_nothing_that_a_host_would_stumble_over(capability: Any) -> None:
    for schema in (input_schema(capability.request), output_schema(capability.output)):
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf"} & schema.keys()
        for node in nodes(schema):
            assert "discriminator" not in node
            assert node != {"type": "null"}
            assert not isinstance(node.get("type"), list)
            assert str(node.get("$ref", "#")).startswith("#")


def test_a_field_called_title_is_kept_though_titles_are_dropped() -> None:
    schema = {"properties": {"title": {"type": "string", "title": "Title"}}, "title": "T", "type": "object"}

    class Fake:
        @staticmethod
        def model_json_schema(mode: str) -> dict[str, Any]:
            return schema

    assert input_schema(Fake) == {"properties": {"title": {"type": "string"}}, "type": "object"}  # type: ignore[arg-type]


def test_words_help_with_arguments_and_are_left_out_of_answers() -> None:
    assert input_schema(JobListRequest)["properties"]["states"]["description"]
    assert not any("description" in node for node in nodes(output_schema(JobView)) if "type" in node)


def test_answers_fit_the_published_output_schema_without_their_nulls() -> None:
    failure = JobFailure(code="c", what="w", remedy="r")
    view = JobView(summary="s", capability="inspect", state="failed", job_id="a" * 32, error=failure)
    validator = Draft202012Validator(output_schema(JobView))
    validator.validate(as_json(view))
    assert not validator.is_valid({**as_json(view), "state": "lost"})
    assert not validator.is_valid({**as_json(view), "more": 1})


def test_what_a_string_can_say_is_told_by_the_names_of_its_fields() -> None:
    schema = input_schema(InspectRequest)
    model = schema["$defs"]["ModelRef"]["properties"]
    assert set(model) == {"id", "revision", "dtype", "device"}
    assert not any("description" in field for field in model.values())
    assert schema["properties"]["model"]["description"]


def test_a_record_that_has_no_short_form_keeps_its_words() -> None:
    units = input_schema(InterveneRequest)["$defs"]["UnitRef"]["properties"]
    assert all("description" in field for field in units.values())
