"""criterion_graph: reports of one criterion fused, every edge with its own kind of evidence, answered at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.criterion_graph import (
    CRITERION_GRAPH_KIND,
    CriterionGraph,
    CriterionGraphRequest,
    CriterionGraphResult,
)
from interp_lab.errors import ReadOnlyLab
from interp_lab.workflows.criterion_graph import answer, criterion_graph
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.kept_prompts import kept_dataset
from interp_lab_tools.lab import Lab
from interp_lab_tools.path_calls import COMMON
from interp_lab_tools.versions import code_version
from interp_lab_tools.views import MAX_ACTIONS, artifact_ref


def _handle(request: CriterionGraphRequest, lab: Lab) -> CriterionGraphResult:
    if request.publish and lab.read_only:
        raise ReadOnlyLab(remedy="Leave publish out, or start the server without --read-only.")
    graph = criterion_graph(request, settings=lab.settings, code_version=code_version())
    graph = graph.model_copy(update={"agent_next_actions": (*_reruns(graph, lab), *graph.agent_next_actions)})
    found = answer(graph)
    if request.publish:
        artifact = _publish(graph, request, lab)
        why = "Read it in short; with node, the edges of one unit."
        then = NextAction(tool="summarize_graph", arguments={"graph": artifact.id}, why=why)
    else:
        artifact = None
        again = request.model_dump(mode="json", exclude_defaults=True) | {"publish": True}
        then = NextAction(tool="criterion_graph", arguments=again, why="Write it as JSON, GraphML, Markdown and HTML.")
    return found.model_copy(
        update={
            "artifacts": () if artifact is None else (artifact,),
            "agent_next_actions": (*found.agent_next_actions[: MAX_ACTIONS - 1], then),
        }
    )


def _reruns(graph: CriterionGraph, lab: Lab) -> Iterator[NextAction]:
    """Yield a call for every trace with candidates that nothing has rerun."""
    ranks: dict[str, list[JsonValue]] = defaultdict(list)
    for path in graph.candidate_paths:
        ranks[path.report].append(path.rank)
    for trace, found in ranks.items():
        asked = lab.engine.artifacts.open(trace).spec.get("request")
        if isinstance(asked, dict) and "dataset" in asked:
            prompts = next((one.prompts for one in graph.reports if one.artifact == trace), None)
            dataset = kept_dataset(asked["dataset"], prompts, lab.settings)
            if dataset is None:
                continue  # the prompts would have to be repeated in the action
            call = {name: asked[name] for name in COMMON if name in asked} | {"dataset": dataset}
            call |= {"trace": trace, "ranks": found, "dry_run": False}
            yield NextAction(tool="validate_paths", arguments=call, why="Rerun these candidates on held-out prompts.")


def _publish(graph: CriterionGraph, request: CriterionGraphRequest, lab: Lab) -> ArtifactRef:
    from interp_lab.reports.criterion_graph import (  # lazy: templates, only when asked
        criterion_graphml,
        render_criterion_graph,
        render_criterion_graph_markdown,
    )

    origin = inline_origin(
        "criterion_graph", request, {f"report {n}": report.artifact for n, report in enumerate(graph.reports)}
    )
    title = f"Graph of {graph.criterion[:120]} in {graph.model.id}"[:200]
    with lab.engine.inline.artifact(CRITERION_GRAPH_KIND, title, origin) as writer:
        writer.write_json("graph.json", graph.model_dump(mode="json"))
        writer.write_text("graph.graphml", criterion_graphml(graph))
        writer.write_text("report.md", render_criterion_graph_markdown(graph))
        writer.write_text("report.html", render_criterion_graph(graph))
    return artifact_ref(lab, writer.manifest)


CRITERION_GRAPH = InlineCapability(
    name="criterion_graph",
    title="Fuse what several reports say of one criterion",
    guidance=(
        "One picture of a criterion: give the artifacts of inspect, intervene, trace_paths and validate_paths of one "
        "model. Units become nodes; associations, effects, co-activations and paths stay different kinds of edge, each "
        "with grade, interval and validation of its own report. Redundant units are grouped. mechanism_summary says no "
        "more than grades do, candidate_paths what validate_paths could rerun. publish writes every edge as JSON, "
        "GraphML, Markdown and a viewer; summarize_graph reads it. Fusing adds no evidence."
    ),
    request=CriterionGraphRequest,
    result=CriterionGraphResult,
    handler=_handle,
    effects=Effects(read_only=False, writes_if_asked=("publish",)),
    toolset="circuits",
    changes="No grade; how the findings of several reports hang together.",
    example={"reports": ["0" * 64, "1" * 64]},
)
