"""MCP prompts from `prompts/mcp/*.md`: TOML between two `+++` lines, then a text with {{argument}} places.

An argument enters the text only as a JSON string, so what a user types stays data inside quotation marks.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument, UserMessage

from interp_lab.assets import asset_names, asset_text
from interp_lab_server.sanitize import clean_text

ARGUMENT_CHARS_MAX = 2000

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_DOCUMENT = re.compile(r"\+\+\+\n(?P<head>.*?)\n\+\+\+\n(?P<body>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """One prompt as its file describes it."""

    name: str
    title: str
    description: str
    arguments: tuple[PromptArgument, ...]
    body: str

    def render(self, given: Mapping[str, str]) -> str:
        """Return the text with every place filled; an argument that was not given shows as not given."""
        return _PLACE.sub(lambda match: _quoted(given.get(match.group(1))), self.body)

    def missing(self, given: Mapping[str, str]) -> list[str]:
        """Return the required arguments that were not given."""
        return [argument.name for argument in self.arguments if argument.required and not given.get(argument.name)]


def prompt_templates() -> tuple[PromptTemplate, ...]:
    """Return every packaged prompt, by name."""
    return tuple(parse(asset_text("prompts", name)) for name in asset_names("prompts", "mcp/*.md"))


def parse(document: str) -> PromptTemplate:
    """Return the template that a prompt file describes."""
    match = _DOCUMENT.fullmatch(document)
    assert match is not None, "a prompt file starts with TOML between two +++ lines"
    head = tomllib.loads(match["head"])
    arguments = tuple(PromptArgument(name=name, **about) for name, about in head["arguments"].items())
    return PromptTemplate(
        name=head["name"],
        title=head["title"],
        description=head["description"],
        arguments=arguments,
        body=match["body"].strip(),
    )


def as_prompt(template: PromptTemplate) -> Prompt:
    """Return the template as a prompt that the SDK can serve."""

    def render(**given: str) -> UserMessage:
        return UserMessage(template.render(given))

    return Prompt(
        name=template.name,
        title=template.title,
        description=template.description,
        arguments=list(template.arguments),
        fn=render,
        context_kwarg=None,
    )


def _quoted(value: str | None) -> str:
    return "(not given)" if not value else json.dumps(clean_text(value[:ARGUMENT_CHARS_MAX]), ensure_ascii=False)
