"""Fuse reports of one criterion into a graph whose edges keep their kind of evidence. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.criterion_graph import (
    BEHAVIOUR_NODE,
    CRITERION_NODE,
    CriterionGraph,
    CriterionGraphRequest,
    CriterionGraphResult,
    EvidenceEdge,
    EvidenceKind,
    EvidenceNode,
    FusedReport,
)
from interp_lab.contracts.inspect_report import InspectReport, ModelFacts
from interp_lab.contracts.intervene_report import BehaviourFacts
from interp_lab.contracts.path_report import TRACE_KIND, VALIDATION_KIND, PathReport
from interp_lab.errors import DifferentQuestions, InvalidRequest, LabError
from interp_lab.settings import Settings
from interp_lab.workflows.memory.evidence_edges import (
    Fused,
    add_inspection,
    add_intervention,
    add_paths,
    open_candidates,
    prompts_of,
    settled,
)
from interp_lab.workflows.memory.history import PastRun, contents_of, read_run, same_words, weights_of

_MAX_BYTES = 64 * 2**20
_MOST_EDGES, _MOST_GROUPS, _MOST_CANDIDATES, _MOST_ACTIONS = 12, 20, 10, 8
_ORDER: tuple[EvidenceKind, ...] = ("path", "effect", "association", "co_activation")
_ALWAYS = 2
"""Caveats that every graph has, which the answer leaves to the report."""
_LAYER = re.compile(r"\.(\d+)")


def criterion_graph(request: CriterionGraphRequest, *, settings: Settings, code_version: str) -> CriterionGraph:
    """Return the whole fused graph; no grade is made here, every edge has that of its report.

    Raises:
        DifferentQuestions: The reports are not of one criterion and one model.
        UnknownArtifact, ArtifactCorrupt, InvalidRequest: One of them cannot be read.
    """
    runs, paths = _read(request.reports, settings)
    model, criterion = _one_question(runs, paths)
    fused = _fuse(runs, paths, settings)
    edges = sorted(
        (edge for edge in settled(fused.edges) if edge.kind in request.kinds),
        key=lambda edge: (_ORDER.index(edge.kind), -strength(edge)),
    )
    candidates = tuple(open_candidates(fused)) if "path" in request.kinds else ()
    words = tuple(_mechanism(edges, len(candidates), fused.names))
    sources = tuple(_sources(runs, paths))
    sets = dict.fromkeys(source.prompts for source in sources)
    over = f"Over {len(sets)} prompt sets, which are not pooled: " if len(sets) > 1 else ""
    return CriterionGraph(
        headline=f"{over}{words[0]} Each edge has the grade of its own report; fusing adds no evidence.",
        criterion=criterion,
        model=model,
        reports=sources,
        mechanism_summary=words,
        nodes=_nodes(edges, fused),
        edges=tuple(edges),
        supernodes=tuple(sorted(fused.groups, key=lambda group: -len(group.members))),
        candidate_paths=candidates,
        caveats=(
            *_apart(sources, runs),
            "Weights of different kinds have different units and are not compared: widths are relative within a kind.",
            "A unit, a pair or a kind that no report measured has no edge; that is no evidence of absence.",
        ),
        agent_next_actions=tuple(_actions(runs, paths, edges))[:_MOST_ACTIONS],
        made_at=datetime.now(UTC),
        code_version=code_version,
    )


def answer(graph: CriterionGraph) -> CriterionGraphResult:
    """Return the graph as an agent reads it: the strongest edges of it."""
    edges = graph.edges[:_MOST_EDGES]
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    left_out = len(graph.edges) - len(edges)
    more = (f"{left_out} weaker edges are not shown; publish has all, fewer kinds others.",) if left_out else ()
    return CriterionGraphResult(
        summary=graph.headline,
        warnings=(*graph.caveats[:-_ALWAYS], *more),
        n_prompt_sets=len({source.prompts for source in graph.reports}),
        agent_next_actions=graph.agent_next_actions[:3],
        criterion=graph.criterion,
        model=graph.model.id,
        mechanism_summary=graph.mechanism_summary,
        nodes=tuple(node for node in graph.nodes if node.id in ends),
        edges=edges,
        supernodes=graph.supernodes[:_MOST_GROUPS],
        candidate_paths=graph.candidate_paths[:_MOST_CANDIDATES],
        n_edges=len(graph.edges),
    )


def strength(edge: EvidenceEdge) -> float:
    """Return how far an edge lies from nothing, in the unit of its kind."""
    return abs(edge.weight - 0.5) if edge.kind == "association" else abs(edge.weight)


def _fuse(runs: Sequence[PastRun], paths: Sequence[tuple[str, PathReport]], settings: Settings) -> Fused:
    fused = Fused(contents_of(settings).unit)
    inspections = _inspections(runs, settings)
    for run in runs:
        if isinstance(run.report, InspectReport):
            add_inspection(fused, run, run.report)
        else:
            add_intervention(fused, run, run.report, inspections=inspections)
    for artifact, report in paths:
        add_paths(fused, artifact, report)
    return fused


def _sources(runs: Sequence[PastRun], paths: Sequence[tuple[str, PathReport]]) -> Iterator[FusedReport]:
    found = [(run.id, run.manifest.kind, run.report) for run in runs]
    found += [(name, TRACE_KIND if path.kind == "trace" else VALIDATION_KIND, path) for name, path in paths]
    for artifact, kind, report in found:
        yield FusedReport(
            artifact=artifact,
            kind=kind,
            headline=report.headline,
            dataset=report.dataset.name,
            prompts=prompts_of(report),
            seed=report.run.seed,
        )


def _apart(sources: Sequence[FusedReport], runs: Sequence[PastRun]) -> Iterator[str]:
    """Yield what keeps the reports from being read as one study."""
    names = {source.prompts: source.dataset for source in sources}
    if len(names) > 1:
        counts = Counter(source.prompts for source in sources)
        told = "; ".join(f"{name} ({prompts}): {counts[prompts]}" for prompts, name in names.items())
        yield (
            f"The reports rest on {len(names)} prompt sets, {told[:300]}. Edges of different sets stay apart, not "
            "to be compared: a unit may have one of each, and a rerun on one set settles nothing found on another."
        )
    seeds = {
        prompts: sorted({s.seed for s in sources if s.prompts == prompts and s.seed is not None}) for prompts in names
    }
    if several := {prompts: found for prompts, found in seeds.items() if len(found) > 1}:
        told = "; ".join(f"{names[prompts]}: seeds {', '.join(map(str, found))}" for prompts, found in several.items())
        yield (
            f"Reports of one prompt set split it otherwise ({told[:300]}): what one held out, another may have used to "
            "choose, so their edges together are not held-out evidence."
        )
    edited = [run.report for run in runs if not isinstance(run.report, InspectReport)]
    behaviours = dict.fromkeys(_behaviour(report.behaviour) for report in edited)
    if len(behaviours) > 1:
        yield f"Effects are of {len(behaviours)} behaviours and not to be compared: {'; '.join(behaviours)[:300]}."


def _behaviour(told: BehaviourFacts) -> str:
    words = " ".join(word.strip() for word in told.targets[:3])
    against = " ".join(word.strip() for word in told.alternatives[:3])
    return f"{told.of or told.metric}{f' of {words}' if words else ''}{f' against {against}' if against else ''}"


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


def _mechanism(edges: Sequence[EvidenceEdge], n_candidates: int, names: Mapping[str, str]) -> Iterator[str]:
    """Sentences that say no more than grades do."""

    def name(node: str) -> str:
        return "the behaviour" if node == BEHAVIOUR_NODE else names.get(node, node)

    of = {kind: [edge for edge in edges if edge.kind == kind] for kind in _ORDER}
    held = {kind: [edge for edge in found if edge.grade == "validated"] for kind, found in of.items()}
    yield (
        f"{len(held['path'])} of {len(of['path'])} paths and {len(held['effect'])} of {len(of['effect'])} effects "
        f"are validated; {len(of['association'])} associations and "
        f"{len(of['co_activation'])} co-activations are correlation."
    )
    for edge in held["path"][:3]:
        yield f"{name(edge.source)} mediates {edge.weight:.3g} of {name(edge.target)} on held-out prompts."
    for edge in held["effect"][:3]:
        yield f"Editing {name(edge.source)} changes the behaviour by {edge.weight:.3g} more than its controls."
    causal = {edge.source for edge in (*of["effect"], *of["path"])}
    untested = [edge.source for edge in of["association"] if edge.source not in causal]
    if untested:
        yield f"{len(untested)} associated units have no intervention; the strongest is {name(untested[0])}."
    if n_candidates:
        yield f"{n_candidates} candidate paths have not been rerun on held-out prompts."


def _nodes(edges: Sequence[EvidenceEdge], fused: Fused) -> tuple[EvidenceNode, ...]:
    found = dict.fromkeys(node for edge in edges for node in (edge.source, edge.target))
    special = {CRITERION_NODE: "criterion", BEHAVIOUR_NODE: "behaviour"}
    return tuple(
        EvidenceNode.model_validate(
            {
                "id": node,
                "name": fused.names.get(node, node),
                "kind": special.get(node, "unit"),
                "address": fused.places.get(node),
                "layer": _layer(fused.places.get(node)),
            }
        )
        for node in found
    )


def _layer(address: str | None) -> int | None:
    found = _LAYER.search(address or "")
    return int(found[1]) if found else None


def _actions(
    runs: Sequence[PastRun], paths: Sequence[tuple[str, PathReport]], edges: Sequence[EvidenceEdge]
) -> Iterator[NextAction]:
    """What the reports themselves proposed and nothing that was fused has settled."""
    rerun = {report.trace for _, report in paths if report.trace is not None}
    edited = any(edge.kind == "effect" for edge in edges)
    proposed = [action for artifact, report in paths if artifact not in rerun for action in report.agent_next_actions]
    proposed += [card.next_action for _, report in paths for card in report.paths if card.next_action is not None]
    proposed += [
        action for run in runs for action in run.report.agent_next_actions if action.tool == "intervene" and not edited
    ]
    yield from {action.model_dump_json(): action for action in proposed}.values()
