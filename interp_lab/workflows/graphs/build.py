# pyright: standard
"""The dictionaries of a graph as a loaded model has them, and the graph of one prompt, pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.attribution_graph import AttributionGraphRequest, GraphEdge, GraphNode, Supernode
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.graphs.linear import FrozenPrompt, Placed, freeze
from interp_lab.engine.graphs.nodes import Node, Nodes, nodes_of, weights_of
from interp_lab.errors import ImpossibleCircuit
from interp_lab.methods.graph_influence import Pruned, Scores, influence, prune, scores
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.named_folders import dictionary_folder


@dataclass(frozen=True, eq=False)
class Drawn:
    """The graph before it is put into words."""

    frozen: FrozenPrompt
    nodes: Nodes
    weights: NDArray[np.float64]
    through: NDArray[np.float64]
    scores: Scores
    pruned: Pruned


def open_dictionaries(names: Sequence[str], loaded: LoadedModel, settings: Settings) -> tuple[Placed, ...]:
    """Return the dictionaries with where they read and write.

    Raises:
        ImpossibleCircuit: One reads or writes several places, or its latents do not read linearly.
        InvalidDictionary, DictionaryMismatch, InvalidPath: One cannot be used.
    """
    return tuple(_placed(name, loaded, settings) for name in dict.fromkeys(names))


def _placed(name: str, loaded: LoadedModel, settings: Settings) -> Placed:
    dictionary = load_dictionary(dictionary_folder(name, settings), device=str(loaded.device)).to(dtype=torch.float32)
    config = dictionary.config
    reads = addresses_read(config.model_copy(update={"source": name}), loaded.facts)
    if len(reads) != 1 or len(config.addresses_out) > 1:
        raise ImpossibleCircuit(f"{name[:80]} reads or writes several places.", remedy="Use one of a single layer.")
    if config.skip or config.normalize == "layer_norm" or config.architecture == "gated":
        raise ImpossibleCircuit(
            f"The latents of {name[:80]} do not read one linear map of their place (skip, layer norm or gate).",
            remedy="Use a relu, topk, batchtopk, jumprelu or matryoshka dictionary.",
        )
    factor = config.scale if config.normalize == "expected_average_norm" else 1.0
    return Placed(
        name=name,
        reads=reads[0],
        writes=Address.parse(config.addresses_out[0]) if config.addresses_out else reads[0],
        encode=dictionary.encode,
        reading=dictionary.W_enc * factor,
        writing=dictionary.W_dec / factor,
        constant=dictionary.b_dec / factor,
    )


def draw(
    request: AttributionGraphRequest, loaded: LoadedModel, prompt: TokenizedPrompt, placed: Sequence[Placed]
) -> Drawn:
    """Return the graph of a prompt, its scores and what is left of it."""
    frozen = freeze(loaded, prompt, placed)
    nodes = nodes_of(
        frozen, placed, max_features=request.max_features, n_logits=request.n_logits, mass=request.logit_mass
    )
    weights = weights_of(frozen, placed, nodes)
    kinds = [node.kind for node in nodes.all]
    on = np.array([node.probability or 0.0 for node in nodes.all])
    tokens, errors = (np.array([kind == wanted for kind in kinds]) for wanted in ("embedding", "error"))
    fixed = np.array([kind in ("embedding", "logit") for kind in kinds])
    return Drawn(
        frozen,
        nodes,
        weights,
        influence(weights, on),
        scores(weights, on, tokens=tokens, errors=errors),
        prune(weights, on, fixed=fixed, node_share=request.node_share, edge_share=request.edge_share),
    )


def graph_nodes(drawn: Drawn, placed: Sequence[Placed], loaded: LoadedModel) -> dict[int, GraphNode]:
    """Return the nodes that are left, by their place."""
    found: dict[int, GraphNode] = {}
    for place, node in enumerate(drawn.nodes.all):
        if drawn.pruned.nodes[place]:
            found[place] = GraphNode(
                id=node_id(node, len(loaded.blocks)),
                kind=node.kind,
                position=node.pos,
                layer=node.layer,
                index=node.which,
                dictionary=None if node.dictionary is None else placed[node.dictionary].name,
                label=_label(node, loaded),
                activation=node.activation,
                probability=node.probability,
                influence=float(drawn.through[place]) if node.kind != "logit" else float(node.probability or 0.0),
            )
    return found


def graph_edges(drawn: Drawn, nodes: dict[int, GraphNode]) -> tuple[GraphEdge, ...]:
    """Return the edges that are left, the largest first."""
    found = [
        GraphEdge(source=nodes[source].id, target=nodes[target].id, weight=float(drawn.weights[target, source]))
        for target, source in np.argwhere(drawn.pruned.edges).tolist()
    ]
    return tuple(sorted(found, key=lambda edge: -abs(edge.weight)))


def supernodes(nodes: Sequence[GraphNode]) -> tuple[Supernode, ...]:
    """Return the latents that stand at several tokens, each as one."""
    groups: dict[tuple[str, int], list[GraphNode]] = defaultdict(list)
    for node in nodes:
        if node.kind == "feature" and node.dictionary is not None and node.index is not None:
            groups[node.dictionary, node.index].append(node)
    return tuple(
        Supernode(label=group[0].label, members=tuple(node.id for node in group))
        for group in groups.values()
        if len(group) > 1
    )


def node_id(node: Node, n_layers: int) -> str:
    """Return the id that other tools know the node by."""
    if node.kind == "embedding":
        return f"E_{node.which}_{node.pos}"
    if node.kind == "logit":
        return f"{n_layers + 1}_{node.which}_{node.pos}"
    return f"0_{node.layer}e_{node.pos}" if node.kind == "error" else f"{node.layer}_{node.which}_{node.pos}"


def _label(node: Node, loaded: LoadedModel) -> str:
    if node.kind in ("embedding", "logit"):
        return str(loaded.tokenizer.decode([node.which or 0]))
    return f"layer {node.layer} error" if node.kind == "error" else f"layer {node.layer} #{node.which}"
