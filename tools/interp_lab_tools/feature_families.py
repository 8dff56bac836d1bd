"""feature_families: which features several models share, from comparisons of two each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.feature_families import FAMILIES_KIND, FamiliesReport, FamiliesRequest, FamiliesResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.kept_prompts import kept_dataset
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
        agent_next_actions=(*missing_comparisons(report, manifests, lab), *_study(report)),
        models=report.models,
        n_pairs=report.n_pairs,
        shared_by={str(n): count for n, count in sorted(Counter(one.n_models for one in report.families).items())},
        private=dict(Counter(one.unit.model for one in report.lone if one.complete)),
        families=report.families[: request.limit],
        lone=report.lone[: request.limit],
    )


def missing_comparisons(report: FamiliesReport, manifests: list[Manifest], lab: Lab) -> Iterator[NextAction]:
    """Yield the comparisons of models that are missing, each side as it was asked for before."""
    requests = [_asked(manifest) for manifest in manifests]
    sides, meant = _sides(report, requests)
    first = next((request for request in requests if request), None)
    shared = {key: value for key, value in (first or {}).items() if key not in (*_SIDES, "matches", "request_key")}
    if "dataset" in shared:
        shared["dataset"] = kept_dataset(shared["dataset"], report.dataset_sha256, lab.settings)
        if shared["dataset"] is None:
            return  # the prompts would have to be repeated in every action
    for one, two in report.missing[:_MOST_ACTIONS]:
        if all(name in sides and len(meant[_text(sides[name])]) == 1 for name in (one, two)):
            yield NextAction(
                tool="compare",
                arguments={**shared, "left": sides[one], "right": sides[two]},
                why=f"{one} and {two} were not compared; then call feature_families with that comparison too.",
            )


def _study(report: FamiliesReport) -> Iterator[NextAction]:
    """Offer what is known of the question in a model, once every pair of models was compared."""
    if report.missing:
        return
    model = report.models[0].partition(" (")[0]  # what tells namesakes apart is no part of an id
    arguments: dict[str, JsonValue] = {"model": model, "criterion": report.criterion}
    why = f"Every pair was compared; see what would move the claims on the criterion in {report.models[0]}."
    yield NextAction(tool="plan_evidence", arguments=arguments, why=why)


def _sides(
    report: FamiliesReport, requests: list[dict[str, JsonValue]]
) -> tuple[dict[str, JsonValue], dict[str, set[str]]]:
    """Return how each model was asked for, and which models each way of asking has meant: files may have changed."""
    sides: dict[str, JsonValue] = {}
    meant: defaultdict[str, set[str]] = defaultdict(set)
    for names, request in zip(report.sides, requests, strict=True):
        for name, side in zip(names, _SIDES, strict=True):
            if side in request:
                sides[name] = request[side]
                meant[_text(request[side])].add(name)
    return sides, meant


def _text(side: JsonValue) -> str:
    """A side's model as it was asked for, however that was written."""
    model = side.get("model") if isinstance(side, dict) else side
    if isinstance(model, dict) and set(model) == {"id"}:
        model = model["id"]
    return json.dumps(model, sort_keys=True)


def _asked(manifest: Manifest) -> dict[str, JsonValue]:
    found = manifest.spec.get("request")
    return found if isinstance(found, dict) else {}


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
