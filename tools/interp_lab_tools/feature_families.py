"""feature_families: which features several models share, from comparisons of two each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import cast

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.feature_families import FAMILIES_KIND, FamiliesReport, FamiliesRequest, FamiliesResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.lab import Lab
from interp_lab_tools.versions import code_version
from interp_lab_tools.views import artifact_ref

_MOST_ACTIONS = 3
_SIDES = ("left", "right")


def _handle(request: FamiliesRequest, lab: Lab) -> FamiliesResult:
    from interp_lab.reports.feature_families import render_families, render_families_markdown  # lazy: templates
    from interp_lab.workflows.feature_families import feature_families  # lazy: numpy, only when asked

    report = feature_families(request, lab.settings)
    origin = inline_origin(
        "feature_families", request, {f"comparison {n}": name for n, name in enumerate(report.comparisons)}
    )
    title = f"Features of {len(report.models)} models: {report.criterion[:80]}"
    with lab.engine.inline.artifact(FAMILIES_KIND, title, origin) as writer:
        writer.write_json("report.json", report.model_dump(mode="json"))
        writer.write_text("report.md", render_families_markdown(report))
        writer.write_text("report.html", render_families(report, code_version()))
    manifests = [lab.engine.artifacts.open(name) for name in report.comparisons]
    return FamiliesResult(
        summary=report.headline,
        warnings=report.caveats,
        artifacts=(artifact_ref(lab, writer.manifest),),
        agent_next_actions=(*_next(report, manifests), *_study(report)),
        models=report.models,
        n_pairs=report.n_pairs,
        shared_by={str(n): count for n, count in sorted(Counter(one.n_models for one in report.families).items())},
        private=dict(Counter(one.unit.model for one in report.lone if one.complete)),
        families=report.families[: request.limit],
        lone=report.lone[: request.limit],
    )


def _next(report: FamiliesReport, manifests: list[Manifest]) -> Iterator[NextAction]:
    """Offer the comparisons of models that are missing, each side as it was asked for before."""
    asked = [cast("dict[str, JsonValue]", found) for m in manifests if isinstance(found := m.spec.get("request"), dict)]
    sides = {_model(request[side]): request[side] for request in asked for side in _SIDES if side in request}
    shared_names = {one for one in report.models if f"{one} (2)" in report.models}  # requests do not tell these apart
    for one, two in report.missing[:_MOST_ACTIONS]:
        if asked and one in sides and two in sides and not {one, two} & shared_names:
            shared = {key: value for key, value in asked[0].items() if key not in (*_SIDES, "matches", "request_key")}
            yield NextAction(
                tool="compare",
                arguments={**shared, "left": sides[one], "right": sides[two]},
                why=f"{one} and {two} were not compared; then call feature_families with that comparison too.",
            )


def _study(report: FamiliesReport) -> Iterator[NextAction]:
    """Offer what is known of the question in a model, once every pair of models was compared."""
    if report.missing:
        return
    arguments: dict[str, JsonValue] = {"model": report.models[0], "criterion": report.criterion}
    why = f"Every pair was compared; see what would move the claims on the criterion in {report.models[0]}."
    yield NextAction(tool="plan_evidence", arguments=arguments, why=why)


def _model(side: JsonValue) -> str:
    """The id of a side's model, however it was written."""
    model = side.get("model") if isinstance(side, dict) else side
    found = model.get("id") if isinstance(model, dict) else model
    return str(found)


FEATURE_FAMILIES = InlineCapability(
    name="feature_families",
    title="Find which features several models share",
    guidance=(
        "Give artifacts of compare for pairs of three or more models: one criterion, the same prompts, by and seed. "
        "Says which units belong together, over how many models, with the weakest link of every family, which pairs "
        "within it were matched themselves, only through others, or tested and not matched, and which units matched "
        "none. q is computed anew over the pairs of all comparisons. Offers the comparisons that are missing. Measures "
        "nothing; not found is not absent."
    ),
    request=FamiliesRequest,
    result=FamiliesResult,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="evidence",
    changes="Grades of families, no higher than those of the comparisons it is given.",
    example={"comparisons": ["0" * 64, "1" * 64, "2" * 64]},
)
