"""Everything that follows from the declarations, rendered: the writer and the drift test share it."""

from __future__ import annotations

import json
from typing import Any

from interp_lab.contracts.base import Contract
from interp_lab.contracts.dossier import Dossier
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.presets import CriterionPreset
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.errors import all_errors
from interp_lab_tools.capability import InlineCapability, JobCapability
from interp_lab_tools.catalogue import CAPABILITIES

RECORDS: dict[str, type[Contract]] = {
    "dossier": Dossier,
    "inspect_report": InspectReport,
    "scored_prompt": ScoredPrompt,
    "criterion_preset": CriterionPreset,
}
"""Records that are written to disk or read from it."""

_TABLE_START, _TABLE_END = "<!-- tools -->", "<!-- /tools -->"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_documents() -> dict[str, str]:
    """Return every generated file: path relative to the repository → text."""
    files = {f"schemas/{name}.json": _schema(model) for name, model in RECORDS.items()}
    for capability in CAPABILITIES:
        files[f"schemas/{capability.name}.request.json"] = _schema(capability.request)
        files[f"schemas/{capability.name}.result.json"] = _schema(capability.result)
    files["schemas/job_view.json"] = _schema(JobView)
    files["docs/tools.md"] = tool_reference()
    files["docs/errors.md"] = error_index()
    return files


def with_tool_table(readme: str) -> str:
    """Return the text of README.md with the table between its marks replaced by the current one."""
    head, _, rest = readme.partition(_TABLE_START)
    _, _, tail = rest.partition(_TABLE_END)
    return f"{head}{_TABLE_START}\n{tool_table()}\n{_TABLE_END}{tail}"


def _schema(model: type[Contract]) -> str:
    mode: Any = "validation" if model.__name__.endswith("Request") else "serialization"
    schema = {"$schema": _DIALECT, **model.model_json_schema(mode=mode)}
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def tool_table() -> str:
    """Return the table of capabilities that README.md shows."""
    rows = [f"| `{c.name}` | {c.toolset} | {c.execution} | {c.title} |" for c in CAPABILITIES]
    return "\n".join(["| tool | toolset | runs | what it does |", "|---|---|---|---|", *rows])


def tool_reference() -> str:
    """Return docs/tools.md."""
    head = "# Tools\n\nGenerated from the declarations by `make generate`; do not edit.\n\n"
    return head + tool_table() + "\n\n" + "\n".join(_tool_section(c) for c in CAPABILITIES)


def _tool_section(capability: InlineCapability | JobCapability) -> str:
    effects = capability.effects
    marks = [word for word, holds in (("read-only", effects.read_only), ("destructive", effects.destructive)) if holds]
    lines = [
        f"## {capability.name}\n",
        f"{capability.title}. Toolset `{capability.toolset}`, runs {capability.execution}"
        + (f", {', '.join(marks)}" if marks else "")
        + ".\n",
        capability.guidance + "\n",
        f"What it can change: {capability.changes[0].lower()}{capability.changes[1:]}\n",
        "| argument | type | default | meaning |\n|---|---|---|---|",
        *(_field_row(name, capability) for name in capability.request.model_fields),
        "\nExample:\n```json\n" + json.dumps({"tool": capability.name, "arguments": capability.example}) + "\n```",
        f"Schemas: [request](../schemas/{capability.name}.request.json), "
        f"[result](../schemas/{capability.name}.result.json).\n",
    ]
    return "\n".join(lines)


def _field_row(name: str, capability: InlineCapability | JobCapability) -> str:
    field = capability.request.model_fields[name]
    schema = capability.request.model_json_schema()["properties"][name]
    default = "required" if field.is_required() else f"`{json.dumps(schema.get('default'))}`"
    meaning = (field.description or "").replace("|", "\\|").replace("\n", " ")
    return f"| `{name}` | {_type_name(schema)} | {default} | {meaning} |"


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_name(part) for part in schema["anyOf"]))
    if "oneOf" in schema or "$ref" in schema:
        return "object"
    return str(schema.get("type", "object"))


def error_index() -> str:
    """Return docs/errors.md: every code, what it says by default and what would work."""
    head = (
        "# Errors\n\nGenerated from the declarations by `make generate`; do not edit.\n\n"
        "Every refusal has a stable code, says what was wrong and what would work. Exit code 2: the request can be "
        "mended; 1: the work failed.\n\n| code | exit | what | what would work |\n|---|---|---|---|\n"
    )
    rows = [f"| `{e.code}` | {e.exit_code} | {_what(e)} | {e.default_remedy} |" for e in all_errors()]
    return head + "\n".join(rows) + "\n"


def _what(error: type[Exception]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]
