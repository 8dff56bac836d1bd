"""The attribution graph in the forms that other tools read: the JSON of Neuronpedia and circuit-tracer, and GraphML."""

from __future__ import annotations

from pydantic import JsonValue

from interp_lab.contracts.attribution_graph import GraphNode, GraphReport
from interp_lab.reports.graphml import graphml_of

_TYPES = {
    "feature": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "embedding": "embedding",
    "logit": "logit",
}
_GENERATOR = "interp-lab-mcp"


def exchanged(report: GraphReport, slug: str) -> JsonValue:
    """Return the graph as Neuronpedia and circuit-tracer read it; `feature` is the Cantor pair of layer and latent."""
    nodes: list[JsonValue] = [_node(node) for node in report.nodes]
    links: list[JsonValue] = [
        {"source": edge.source, "target": edge.target, "weight": edge.weight} for edge in report.edges
    ]
    supernodes: list[JsonValue] = [[group.label, *group.members] for group in report.supernodes]
    return {
        "metadata": {
            "slug": slug,
            "scan": report.model.id,
            "schema_version": 1,
            "prompt": report.prompt,
            "prompt_tokens": list(report.tokens),
            "node_threshold": report.node_share,
            "transcoder_list": list(report.dictionaries),
            "info": {
                "creator_name": _GENERATOR,
                "generator": {"name": _GENERATOR, "version": report.run.code_version},
                "create_time_ms": int(report.run.started_at.timestamp() * 1000),
            },
            "pruning_settings": {"node_threshold": report.node_share, "edge_threshold": report.edge_share},
        },
        "qParams": {"linkType": "both", "pinnedIds": [], "clickedId": "", "supernodes": supernodes, "sg_pos": ""},
        "nodes": nodes,
        "links": links,
    }


def graphml(report: GraphReport) -> str:
    """Return the graph as GraphML, for networkx, Gephi and yEd."""
    return graphml_of(
        "attribution",
        (
            (
                node.id,
                {"kind": node.kind, "label": node.label, "position": node.position, "influence": node.influence},
            )
            for node in report.nodes
        ),
        ((edge.source, edge.target, {"weight": edge.weight, "evidence": edge.evidence}) for edge in report.edges),
        of_nodes={"kind": "string", "label": "string", "position": "int", "influence": "double"},
        of_edges={"weight": "double", "evidence": "string"},
    )


def _node(node: GraphNode) -> JsonValue:
    layer, clerp, feature = str(node.layer), node.label, node.index
    if node.kind == "embedding":
        layer, clerp = "E", f"Emb: {node.label}"
    elif node.kind == "logit":
        layer, clerp = node.id.partition("_")[0], f'Output "{node.label}" (p={node.probability or 0:.3f})'
    elif node.kind == "error":
        clerp, feature = f"Err: layer {node.layer}", -1
    elif node.layer is not None and node.index is not None:
        both = node.layer + node.index
        feature = both * (both + 1) // 2 + node.index
    return {
        "node_id": node.id,
        "jsNodeId": node.id,
        "feature": feature,
        "feature_type": _TYPES[node.kind],
        "layer": layer,
        "ctx_idx": node.position,
        "clerp": clerp,
        "influence": node.influence,
        "activation": node.activation,
        "token_prob": node.probability or 0.0,
        "is_target_logit": node.kind == "logit",
    }
