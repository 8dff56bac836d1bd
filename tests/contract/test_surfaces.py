"""Every surface offers what the catalogue declares: no option typed twice, none forgotten."""

from __future__ import annotations

import argparse
import json

import pytest

from interp_lab_server.cli import build_parser
from interp_lab_server.options import arguments_of
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES, DEFAULT_TOOLSETS, MAX_DEFAULT_TOOLS, offered


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_the_options_of_a_command_are_the_fields_of_its_request(capability) -> None:
    parser = _subparsers()[capability.name]
    options = {action.dest for action in parser._actions} - {"help", "workspace", "json", "launcher"}
    assert options == set(capability.request.model_fields)


def _word(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


@pytest.mark.parametrize("text", ["[INST] is in the prompt", "{braces} are in the prompt"])
def test_a_text_that_begins_like_json_stays_a_text(text: str) -> None:
    parsed = build_parser().parse_args(["inspect", "--criterion", text])
    assert arguments_of(parsed, BY_NAME["inspect"].request)["criterion"] == text


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_an_example_can_be_given_on_the_command_line(capability) -> None:
    words = [capability.name]
    for name, value in capability.example.items():
        words.append("--" + name.replace("_", "-"))
        words += [_word(item) for item in value] if isinstance(value, list | tuple) else [_word(value)]
    parsed = build_parser().parse_args(words)
    given = capability.request.model_validate(arguments_of(parsed, capability.request))
    assert given == capability.request.model_validate(dict(capability.example))


def test_names_are_unique_and_fit_every_client() -> None:
    assert len(BY_NAME) == len(CAPABILITIES)
    assert all(name.isidentifier() and len(name) <= 40 for name in BY_NAME)
    assert all(len(capability.guidance) <= 1500 for capability in CAPABILITIES)


def test_the_default_toolset_stays_small() -> None:
    assert 0 < len(offered(DEFAULT_TOOLSETS)) <= MAX_DEFAULT_TOOLS


@pytest.mark.parametrize("toolset", sorted({c.toolset for c in CAPABILITIES} - {"core"}))
def test_whatever_starts_a_job_comes_with_what_waits_for_it_ends_it_and_reads_what_it_made(toolset: str) -> None:
    here = offered(frozenset([toolset]))
    assert any(c.execution == "job" for c in here)
    along = {c.name for c in here if c.toolset != toolset}
    assert along == {"lab_overview", "job_wait", "job_cancel", "artifact_read"}
    assert [c for c in CAPABILITIES if c in here] == list(here)


@pytest.mark.parametrize("toolset", sorted({c.toolset for c in CAPABILITIES} - {"core"}))
def test_a_server_that_starts_no_job_has_the_overview_alone_besides_its_own(toolset: str) -> None:
    here = offered(frozenset([toolset]), read_only=True)
    assert {c.name for c in here if c.toolset != toolset} == {"lab_overview"}


def test_read_only_offers_nothing_that_changes_anything() -> None:
    everything = frozenset(c.toolset for c in CAPABILITIES)
    names = {c.name for c in offered(everything, read_only=True)}
    assert "inspect" not in names
    assert "job_cancel" not in names
    assert {"lab_overview", "artifact_read"} <= names


def test_a_list_may_be_written_as_one_json_text() -> None:
    units = [{"address": "resid_post.1", "index": 5}, {"address": "resid_post.2", "index": 7}]
    asked = ["intervene", "--model", "m", "--criterion", "abc", "--dataset", "d"]
    whole = build_parser().parse_args([*asked, "--units", json.dumps(units)])
    apart = build_parser().parse_args([*asked, "--units", *map(json.dumps, units)])
    request = BY_NAME["intervene"].request
    assert arguments_of(whole, request)["units"] == arguments_of(apart, request)["units"] == units
    words = build_parser().parse_args([*asked, "--targets", '[" she", " he"]'])
    assert arguments_of(words, request)["targets"] == [" she", " he"]
