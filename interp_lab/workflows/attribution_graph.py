# pyright: standard
"""Draw the attribution graph of a prompt: nodes and exact weights, scores, what is left after pruning, every export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.attribution_graph import (
    GRAPH_KIND,
    AttributionGraphRequest,
    AttributionGraphResult,
    GraphReport,
)
from interp_lab.contracts.inspect_report import RunFacts
from interp_lab.engine.graphs.linear import Placed
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.selfcheck import self_check
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run, package_versions
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.reports.attribution_graph import render_graph, render_graph_markdown
from interp_lab.reports.graph_exchange import exchanged, graphml
from interp_lab.reports.graph_summary import summary_of
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_stamp
from interp_lab.workflows.graphs.build import Drawn, draw, graph_edges, graph_nodes, open_dictionaries, supernodes
from interp_lab.workflows.inspection.inputs import model_facts

MOST_TOKENS = 512
"""Tokens of a prompt."""
Suggest = Callable[[GraphReport, str], tuple[NextAction, ...]]
"""What to call next, from the graph and its artifact."""


def attribution_graph(
    request: AttributionGraphRequest, run: Run, *, settings: Settings, suggest: Suggest = lambda _report, _id: ()
) -> AttributionGraphResult:
    """Return the short form of the graph; the graph itself is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the request, the model or the dictionaries.
    """
    run.progress(0, None, "opening the model and the dictionaries")
    loaded, prompt = _opened(request, run, settings)
    placed = open_dictionaries(request.dictionaries, loaded, settings)
    run.progress(0, None, "backward passes over the held prompt")
    with matmul_precision():
        drawn = draw(request, loaded, prompt, placed)
    report = _assembled(request, run, loaded, prompt=prompt, placed=placed, drawn=drawn)
    actions = suggest(report, _publish(report, run))
    return AttributionGraphResult(
        summary=report.headline,
        warnings=report.caveats,
        agent_next_actions=actions[:3],
        model=report.model.id,
        exact=report.exact,
        graph=summary_of(report),
    )


def _opened(request: AttributionGraphRequest, run: Run, settings: Settings) -> tuple[LoadedModel, TokenizedPrompt]:
    loaded = load_model(
        fetch(request.model, settings),
        dtype=request.model.dtype,
        device=request.model.device,
        allow_remote_code=settings.trust_remote_code,
    )
    (prompt,) = tokenize(loaded, {"prompt": request.prompt})
    if len(prompt) > MOST_TOKENS:
        raise InvalidRequest(f"The prompt has {len(prompt)} tokens; a graph has at most {MOST_TOKENS}.")
    run.device = str(loaded.device)
    source = loaded.source
    run.inputs |= {"model": f"{source.id}{'@' if source.commit else ' '}{loaded.version}"}
    run.inputs |= {f"dictionary {name}": dictionary_stamp(name, settings) for name in request.dictionaries}
    return loaded, prompt


def _assembled(
    request: AttributionGraphRequest,
    run: Run,
    loaded: LoadedModel,
    *,
    prompt: TokenizedPrompt,
    placed: Sequence[Placed],
    drawn: Drawn,
) -> GraphReport:
    nodes = graph_nodes(drawn, placed, loaded)
    checks = {row.point: row.status for row in self_check(loaded).rows}
    return GraphReport(
        headline=_headline(drawn),
        model=model_facts(loaded),
        prompt=request.prompt,
        tokens=tuple(str(loaded.tokenizer.decode([token])) for token in prompt.ids),
        dictionaries=tuple(each.name for each in placed),
        exact=drawn.frozen.stands_in,
        replacement_score=min(1.0, drawn.scores.replacement),
        completeness_score=min(1.0, max(0.0, drawn.scores.completeness)),
        n_active=drawn.nodes.n_active,
        n_considered=len(drawn.nodes.all),
        nodes=tuple(nodes.values()),
        edges=graph_edges(drawn, nodes),
        supernodes=supernodes(tuple(nodes.values())),
        node_share=request.node_share,
        edge_share=request.edge_share,
        caveats=tuple(_caveats(request, drawn)),
        agent_next_actions=(),
        run=RunFacts(
            job_id=run.job_id,
            code_version=run.code_version,
            packages=package_versions(),
            seed=0,
            started_at=run.started,
            seconds=round((datetime.now(UTC) - run.started).total_seconds(), 2),
            checks=checks,
        ),
    )


def _headline(drawn: Drawn) -> str:
    n_nodes, n_edges = int(drawn.pruned.nodes.sum()), int(drawn.pruned.edges.sum())
    return (
        f"A graph of {n_nodes} nodes and {n_edges} edges for one prompt: replacement {drawn.scores.replacement:.2f}, "
        f"completeness {drawn.scores.completeness:.2f} (1 is no error); attributions with attention and norms held, "
        "not effects in the free model."
    )


def _caveats(request: AttributionGraphRequest, drawn: Drawn) -> Iterator[str]:
    yield (
        "Attention patterns and norms are held at this prompt: why attention looks where it does is not in the graph, "
        "and one prompt says nothing of others."
    )
    if not drawn.frozen.stands_in:
        yield (
            "Some dictionaries do not stand in for MLPs, so MLPs in between are replaced by their slope here: "
            "weights are first-order, and hold for small changes only."
        )
    if drawn.nodes.n_active > request.max_features:
        yield (
            f"{drawn.nodes.n_active - request.max_features} of {drawn.nodes.n_active} active latents are part of the "
            "error nodes, which lowers both scores; raise max_features."
        )
    if getattr(drawn.frozen.loaded.model.config, "final_logit_softcapping", None):
        yield "This model bends its logits; edges into logits are slopes at this prompt."


def _publish(report: GraphReport, run: Run) -> str:
    slug = f"prompt-{report.run.started_at:%Y%m%d%H%M%S}"
    with run.artifact(GRAPH_KIND, f"{report.prompt[:120]} in {report.model.id}") as files:
        files.write_json("graph.json", report.model_dump(mode="json"))
        files.write_json("neuronpedia.json", exchanged(report, slug))
        files.write_text("graph.graphml", graphml(report))
        files.write_text("report.md", render_graph_markdown(report))
        files.write_text("report.html", render_graph(report))
        files.metrics |= {
            "replacement_score": round(report.replacement_score, 4),
            "completeness_score": round(report.completeness_score, 4),
        }
        files.warnings += report.caveats
    return files.id
