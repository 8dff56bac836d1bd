"""What to call after an inspection, each call valid as it stands, with its cost and with what it would change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, LearnedMethod, StoreEvidence
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.evidence.reasons import Reason
from interp_lab.points import Address

_UNTESTED = Reason.NO_INTERVENTION.value
_KEPT = ("model", "criterion", "dataset", "pooling", "threshold", "seed")


def suggest(request: InspectRequest, report: InspectReport) -> tuple[NextAction, ...]:
    """Return the calls that would settle what the report leaves open, ready to be made."""
    if isinstance(request.dataset, InlinePrompts):
        return ()  # the prompts would have to be repeated in every action
    if report.audit.flagged or not report.n_significant:
        why = (
            "Choose a dataset that no confound solves: no grade above weak or plausible can come of this one."
            if report.audit.flagged
            else "Choose a dataset whose criterion this model may follow: nothing here follows this one beyond chance."
        )
        return (NextAction(tool="lab_overview", arguments={"sections": ["datasets"]}, why=why),)
    if isinstance(request.evidence, DirectionsEvidence):
        return ()  # rows are edited and written out by report and rank, once the report has an id
    if request.evidence is not None:
        return tuple(_of_store(request, report))
    return (*_better_direction(request, report), *_cause(request, report), *_writers(request, report))


def by_report(request: InspectRequest, found: InspectResult, artifact: str) -> tuple[NextAction, ...]:
    """Return the calls of an answer with the experiment asked by report and rank, once the report has an id.

    So the plan knows how many coordinates were tested and which of them are no controls, and latents can be edited too.
    """
    row = next(
        (row for row in found.ranking if row.grade == "needs_causal_evidence" and _UNTESTED in row.reasons), None
    )
    rest = tuple(action for action in found.agent_next_actions if action.tool != "intervene")
    opens = bool(found.n_significant) and not set(found.dataset_flags) - {BAG_OF_WORDS}
    if row is None or not opens or isinstance(request.dataset, InlinePrompts | None) or _unedited(request):
        return (*found.agent_next_actions, *_what_is_missing(found, artifact))
    arguments: dict[str, Any] = _asked(request, _KEPT)
    arguments |= {"report": artifact, "ranks": [row.rank]}
    edit = NextAction(tool="intervene", arguments=arguments, why=_why_edit(row.address, row.index))
    return (edit, *_vector(request, found, artifact), *rest)


def _what_is_missing(found: InspectResult, artifact: str) -> Iterator[NextAction]:
    """Where no coordinate held up so far that it would be edited: what each lacks, and how many prompts settle it."""
    if found.ranking and all(row.grade in ("weak", "plausible") for row in found.ranking):
        why = "See what each of these coordinates lacks and how many prompts would settle it; nothing is run."
        yield NextAction(tool="plan_evidence", arguments={"report": artifact}, why=why)


def _vector(request: InspectRequest, found: InspectResult, artifact: str) -> Iterator[NextAction]:
    """The best direction that lies in the residual stream, as a vector to steer with."""
    if not isinstance(request.evidence, DirectionsEvidence):
        return
    best = next(
        (row for row in found.ranking if row.grade not in ("weak", "contradicted") and _steers(row.address)), None
    )
    if best is None:
        return
    arguments = _asked(request, _KEPT)
    arguments["source"] = {"kind": "report", "report": artifact, "rank": best.rank}
    why = (
        f"Write {best.address} #{best.index} out as a steering vector that steer and search_features read. Costs two "
        "passes over the prompts and moves no grade by itself."
    )
    yield NextAction(tool="make_steering_vector", arguments=arguments, why=why)


def _steers(address: str) -> bool:
    return address.startswith(("resid_pre.", "resid_mid.", "resid_post."))


def _better_direction(request: InspectRequest, report: InspectReport) -> Iterator[NextAction]:
    """Where a direction or a probe reads the criterion better than any one coordinate, its own ranking and test."""
    found = None if report.handles is None else report.handles.comparison
    methods = get_args(LearnedMethod)
    if found is None or report.handles is None or found.best != "other" or found.other is None:
        return
    if found.other not in methods:
        return  # a small set: its members are edited together
    way = next(way for way in report.handles.ways if way.kind == found.other)
    place = way.address.partition("/")[0]
    if "+" in place:
        return  # a dictionary that reads several addresses at once: no one place has the direction
    arguments: dict[str, Any] = request.model_dump(
        mode="json",
        exclude_defaults=True,
        exclude={*RUN_CONTROLS, "also", "interventions", "dictionaries", "hypothesis"},
    )
    arguments |= {"addresses": [place], "evidence": {"kind": "directions", "methods": [found.other]}}
    why = (
        f"A single coordinate is not the best handle: the {found.other.replace('_', ' ')} at {place} reads the "
        "criterion better. This learns it as a row of its own, which intervene takes by report and rank. Costs two "
        f"passes over {report.dataset.n_prompts} prompts; edited, it can reach any grade that a coordinate can."
    )
    yield NextAction(tool="inspect", arguments=arguments, why=why)


def _unedited(request: InspectRequest) -> bool:
    """Labels and recorded values are not what intervene can take from a report."""
    return request.label is not None or not request.runs_model


def _cause(request: InspectRequest, report: InspectReport) -> Iterator[NextAction]:
    """The experiment that would move the best coordinate's grade, as a plan first, which costs nothing."""
    found = next((c for c in report.coordinates if c.grade == "needs_causal_evidence" and not c.causal), None)
    if found is None or request.label is not None or "/" in found.address:
        return
    arguments = _asked(request, _KEPT)
    arguments["units"] = [{"address": found.address, "index": found.index}]
    yield NextAction(tool="intervene", arguments=arguments, why=_why_edit(found.address, found.index))


def _why_edit(address: str, index: int) -> str:
    return f"Edit {address} #{index} beside controls: whether the model uses what the coordinate follows."


def _writers(request: InspectRequest, report: InspectReport) -> Iterator[NextAction]:
    best = max(report.layers, key=lambda row: row.best_auroc)  # confirm rows choose nothing, here neither
    layer = None if "/" in best.address else Address.parse(best.address).layer
    if layer is None or not best.address.startswith("resid"):
        return
    arguments: dict[str, Any] = request.model_dump(
        mode="json", exclude_defaults=True, exclude={*RUN_CONTROLS, "also", "interventions"}
    )
    arguments["addresses"] = [f"attn_out.{layer}", f"mlp_out.{layer}", f"mlp_act.{layer}"]
    why = f"See whether attention or the MLP of layer {layer} writes it; the residual stream only carries it."
    yield NextAction(tool="inspect", arguments=arguments, why=why, changes="Where to intervene; no grade.")


def _of_store(request: InspectRequest, report: InspectReport) -> Iterator[NextAction]:
    source = request.evidence
    if not isinstance(source, StoreEvidence) or not report.coordinates:
        return
    best = report.coordinates[0]
    query: dict[str, JsonValue] = {"kind": "contexts", "column": best.address, "unit": best.index}
    why = f"Read where {best.address} #{best.index} is strongest; a grade moves only by interventions on the model."
    yield NextAction(tool="query_activations", arguments={"store": source.store, "query": query}, why=why)


def _asked(request: InspectRequest, names: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = request.model_dump(mode="json", exclude_defaults=True)
    return {name: given[name] for name in names if name in given}
