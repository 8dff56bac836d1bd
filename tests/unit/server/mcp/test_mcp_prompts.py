from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab_server.prompts import ARGUMENT_CHARS_MAX, parse, prompt_templates
from interp_lab_tools.catalogue import BY_NAME

DOCUMENT = """+++
name = "ask"
title = "Ask"
description = "Asks."

[arguments.what]
description = "What to ask"
required = true
+++
Ask: {{what}} and {{other}}.
"""


@pytest.mark.parametrize("template", prompt_templates(), ids=lambda t: t.name)
def test_every_prompt_uses_each_of_its_arguments_and_no_other(template) -> None:
    assert set(re.findall(r"\{\{(\w+)\}\}", template.body)) == {argument.name for argument in template.arguments}
    assert template.description
    assert all(argument.description for argument in template.arguments)


@pytest.mark.parametrize("template", prompt_templates(), ids=lambda t: t.name)
def test_every_tool_that_a_prompt_names_exists(template) -> None:
    named = re.findall(r"\b((?:lab|job|artifact)_[a-z_]+)\b", template.body)
    assert "{{" not in template.render({})
    assert {name for name in named if name not in {"job_id", "artifact_id"}} <= set(BY_NAME)


@given(st.text())
def test_an_argument_stays_one_quoted_string_whatever_is_in_it(text: str) -> None:
    rendered = parse(DOCUMENT).render({"what": text})
    quoted = rendered.removeprefix("Ask: ").removesuffix(" and (not given).")
    assert "\n" not in rendered
    if text:
        assert quoted[0] == quoted[-1] == '"'
        assert not re.search(r'(?<!\\)(?:\\\\)*"', quoted[1:-1])
    assert len(rendered) <= 12 * ARGUMENT_CHARS_MAX


def test_a_required_argument_that_was_not_given_is_named() -> None:
    assert parse(DOCUMENT).missing({"other": "x"}) == ["what"]
    assert parse(DOCUMENT).missing({"what": "x"}) == []


def test_a_file_with_a_broken_head_is_not_a_prompt() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        parse("+++\nname = \n+++\nbody")
    with pytest.raises(AssertionError):
        parse("no head")
