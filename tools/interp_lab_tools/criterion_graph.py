"""criterion_graph: reports of one criterion fused, every edge with its own kind of evidence, answered at once."""

from __future__ import annotations

from interp_lab.contracts.criterion_graph import CriterionGraphRequest, CriterionGraphResult
from interp_lab.workflows.criterion_graph import criterion_graph
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab


def _handle(request: CriterionGraphRequest, lab: Lab) -> CriterionGraphResult:
    return criterion_graph(request, settings=lab.settings)


CRITERION_GRAPH = InlineCapability(
    name="criterion_graph",
    title="Fuse what several reports say of one criterion",
    guidance=(
        "One picture of a criterion: give the artifacts of inspect, intervene, trace_paths and validate_paths of one "
        "model. Units become nodes; associations, effects, co-activations and paths stay different kinds of edge, each "
        "with grade, interval and validation of its own report. Redundant units are grouped. mechanism_summary says no "
        "more than grades do, candidate_paths what validate_paths could rerun. Fusing adds no evidence."
    ),
    request=CriterionGraphRequest,
    result=CriterionGraphResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="circuits",
    example={"reports": ["0" * 64, "1" * 64]},
)
