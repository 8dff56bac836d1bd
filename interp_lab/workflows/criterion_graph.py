"""Fuse reports of one criterion into a graph whose edges keep their kind of evidence. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.criterion_graph import (
    BEHAVIOUR_NODE,
    CRITERION_NODE,
    CriterionGraphRequest,
    CriterionGraphResult,
    EvidenceEdge,
    EvidenceKind,
    EvidenceNode,
)
from interp_lab.contracts.inspect_report import InspectReport, ModelFacts
from interp_lab.contracts.path_report import TRACE_KIND, VALIDATION_KIND, PathReport
from interp_lab.errors import DifferentQuestions, InvalidRequest, LabError
from interp_lab.settings import Settings
from interp_lab.workflows.memory.evidence_edges import (
    Fused,
    add_inspection,
    add_intervention,
    add_paths,
    open_candidates,
)
from interp_lab.workflows.memory.history import PastRun, read_run, same_words, weights_of

_MAX_BYTES = 64 * 2**20
_MOST_EDGES, _MOST_CANDIDATES = 40, 10
_ORDER: tuple[EvidenceKind, ...] = ("path", "effect", "association", "co_activation")


def criterion_graph(request: CriterionGraphRequest, *, settings: Settings) -> CriterionGraphResult:
    """Return the fused graph; no grade is made here, every edge has that of its report.

    Raises:
        DifferentQuestions: The reports are not of one criterion and one model.
        UnknownArtifact, ArtifactCorrupt, InvalidRequest: One of them cannot be read.
    """
    runs, paths = _read(request.reports, settings)
    model, criterion = _one_question(runs, paths)
    fused = Fused()
    inspections = _inspections(runs, settings)
    for run in runs:
        if isinstance(run.report, InspectReport):
            add_inspection(fused, run, run.report)
        else:
            add_intervention(fused, run, run.report, inspections=inspections)
    for artifact, report in paths:
        add_paths(fused, artifact, report)
    edges = sorted(
        (edge for edge in fused.edges if edge.kind in request.kinds),
        key=lambda edge: (_ORDER.index(edge.kind), -_strength(edge)),
    )
    candidates = tuple(open_candidates(fused))
    words = tuple(_mechanism(edges, len(candidates)))
    return CriterionGraphResult(
        summary=f"{words[0]} Each edge has the grade of its own report; fusing adds no evidence.",
        warnings=(f"{len(edges) - _MOST_EDGES} weaker edges are not shown; name fewer kinds.",)
        if len(edges) > _MOST_EDGES
        else (),
        agent_next_actions=tuple(_actions(paths)),
        criterion=criterion,
        model=model.id,
        mechanism_summary=words,
        nodes=_nodes(edges[:_MOST_EDGES], fused),
        edges=tuple(edges[:_MOST_EDGES]),
        supernodes=tuple(fused.groups[:20]),
        candidate_paths=candidates[:_MOST_CANDIDATES],
        n_edges=len(edges),
    )


def _read(reports: Sequence[str], settings: Settings) -> tuple[list[PastRun], list[tuple[str, PathReport]]]:
    store = ArtifactStore(WorkspacePaths.of(settings))
    runs: list[PastRun] = []
    paths: list[tuple[str, PathReport]] = []
    for artifact in dict.fromkeys(reports):
        if store.open(artifact).kind not in (TRACE_KIND, VALIDATION_KIND):
            runs.append(read_run(artifact, settings))
            continue
        data = store.read_file(artifact, "report.json", limit=_MAX_BYTES)
        try:
            paths.append((artifact, PathReport.model_validate_json(data)))
        except ValidationError as error:
            raise InvalidRequest(f"The report of artifact {artifact} is not one this version reads.") from error
    return runs, paths


def _inspections(runs: Sequence[PastRun], settings: Settings) -> dict[str, PastRun]:
    """Return the inspect runs that were named, and those that named interventions took their units from."""
    found = {run.id: run for run in runs if isinstance(run.report, InspectReport)}
    for run in runs:
        source = run.request.get("report")
        if isinstance(source, str) and source not in found and not isinstance(run.report, InspectReport):
            with suppress(LabError):  # it may be gone: its units then have only the names of this report
                found[source] = read_run(source, settings)
    return found


def _one_question(runs: Sequence[PastRun], paths: Sequence[tuple[str, PathReport]]) -> tuple[ModelFacts, str]:
    asked = [(run.report.model, run.report.criterion) for run in runs]
    asked += [(report.model, report.criterion) for _, report in paths]
    if len({(weights_of(model), same_words(criterion)) for model, criterion in asked}) > 1:
        told = "; ".join(sorted({f"'{criterion[:60]}' in {model.id}" for model, criterion in asked}))
        raise DifferentQuestions(
            f"The reports are of different questions: {told[:400]}.",
            remedy="Fuse reports of one criterion and one model.",
        )
    return asked[0]


def _strength(edge: EvidenceEdge) -> float:
    return abs(edge.weight - 0.5) if edge.kind == "association" else abs(edge.weight)


def _mechanism(edges: Sequence[EvidenceEdge], n_candidates: int) -> Iterator[str]:
    """Sentences that say no more than grades do."""
    of = {kind: [edge for edge in edges if edge.kind == kind] for kind in _ORDER}
    held = {kind: [edge for edge in found if edge.grade == "validated"] for kind, found in of.items()}
    yield (
        f"{len(held['path'])} of {len(of['path'])} paths and {len(held['effect'])} of {len(of['effect'])} effects "
        f"are validated; {len(of['association'])} associations and "
        f"{len(of['co_activation'])} co-activations are correlation."
    )
    for edge in held["path"][:3]:
        yield f"{edge.source} mediates {edge.weight:.3g} of {edge.target} on held-out prompts."
    for edge in held["effect"][:3]:
        yield f"Editing {edge.source} changes the behaviour by {edge.weight:.3g} more than its controls."
    causal = {edge.source for edge in (*of["effect"], *of["path"])}
    untested = [edge.source for edge in of["association"] if edge.source not in causal]
    if untested:
        yield f"{len(untested)} associated units have no intervention; the strongest is {untested[0]}."
    if n_candidates:
        yield f"{n_candidates} candidate paths have not been rerun on held-out prompts."


def _nodes(edges: Sequence[EvidenceEdge], fused: Fused) -> tuple[EvidenceNode, ...]:
    found = dict.fromkeys(node for edge in edges for node in (edge.source, edge.target))
    special = {CRITERION_NODE: "criterion", BEHAVIOUR_NODE: "behaviour"}
    return tuple(
        EvidenceNode.model_validate(
            {"id": node, "name": fused.names.get(node, node), "kind": special.get(node, "unit")}
        )
        for node in found
    )


def _actions(paths: Sequence[tuple[str, PathReport]]) -> Iterator[NextAction]:
    """What the reports of paths themselves proposed."""
    proposed = [action for _, report in paths for action in report.agent_next_actions]
    yield from list({action.model_dump_json(): action for action in proposed}.values())[:3]
