# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The nodes of an attribution graph of one prompt, and the exact weight of every edge between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.engine.graphs.linear import FrozenPrompt, Placed
from interp_lab.errors import NonFiniteActivations
from interp_lab.points import Address

NodeKind = Literal["embedding", "feature", "error", "logit"]
_NOTHING = 1e-6
"""Length of an error, over that of what was to be reconstructed, under which it is rounding."""


class Node(NamedTuple):
    """One node; `layer` is None for tokens and logits."""

    kind: NodeKind
    pos: int
    layer: int | None = None
    which: int | None = None
    """Latent, or id of the token."""
    dictionary: int | None = None
    """Place of its dictionary."""
    activation: float | None = None
    probability: float | None = None


@dataclass(frozen=True, eq=False)
class Nodes:
    """Sources with the vectors that they put in, and targets."""

    sources: tuple[Node, ...]
    cuts: tuple[Address, ...]
    """Where each source enters."""
    vectors: Float[Tensor, "source width"]
    logits: tuple[Node, ...]
    n_active: int
    """Latents that fire, those beyond the limit too: these are parts of error nodes."""

    @property
    def all(self) -> tuple[Node, ...]:
        """Return every node, logits last."""
        return (*self.sources, *self.logits)


def nodes_of(frozen: FrozenPrompt, placed: Sequence[Placed], *, max_features: int, n_logits: int, mass: float) -> Nodes:
    """Return the nodes: tokens, the latents that write most, what they leave over, and the likeliest logits."""
    codes = [each.encode(frozen.values[each.reads]).float() for each in placed]
    found: list[tuple[float, int, int, int]] = []
    for number, each in enumerate(placed):
        sizes = codes[number] * each.writing.norm(dim=1)
        for pos, index in codes[number].nonzero().tolist():
            found.append((float(sizes[pos, index]), number, pos, index))
    kept = sorted(sorted(found, reverse=True)[:max_features], key=lambda row: row[1:])
    first = frozen.cuts[0]
    ids = frozen.base.ids.tolist()
    nodes = [Node("embedding", pos, which=token) for pos, token in enumerate(ids)]
    cuts, vectors = [first] * len(ids), list(frozen.values[first])
    left = {cut: frozen.values[cut].clone() for cut in frozen.cuts[1:]}
    for each in placed:
        left[each.writes] -= each.constant
    for _, number, pos, index in kept:
        each, value = placed[number], float(codes[number][pos, index])
        vector = value * each.writing[index]
        left[each.writes][pos] -= vector
        nodes.append(Node("feature", pos, each.layer, index, number, value))
        cuts.append(each.writes)
        vectors.append(vector)
    for cut, rest in left.items():
        for pos, vector in enumerate(rest):
            if float(vector.norm()) > _NOTHING * float(frozen.values[cut][pos].norm()):
                nodes.append(Node("error", pos, cut.layer))
                cuts.append(cut)
                vectors.append(vector)
    return Nodes(tuple(nodes), tuple(cuts), torch.stack(vectors), _logits(frozen, n_logits, mass), len(found))


def weights_of(frozen: FrozenPrompt, placed: Sequence[Placed], nodes: Nodes) -> NDArray[np.float64]:
    """Return `(n_nodes, n_nodes)`, target by source: what the source adds to the target's input.

    Raises:
        NonFiniteActivations: A weight is NaN or infinite.
    """
    n = len(nodes.all)
    found = np.zeros((n, n))
    with frozen.linear() as linear:
        for number, each in enumerate(placed):
            rows = [i for i, node in enumerate(nodes.sources) if node.kind == "feature" and node.dictionary == number]
            targets = [(nodes.sources[i].pos, nodes.sources[i].which or 0) for i in rows]
            for part, slopes in linear.of_latents(each, targets):
                found[rows[part], : len(nodes.sources)] = _against(nodes, slopes)
        slopes = linear.of_logits([node.which or 0 for node in nodes.logits])
        found[len(nodes.sources) :, : len(nodes.sources)] = _against(nodes, slopes)
    if not np.isfinite(found).all():
        raise NonFiniteActivations("A weight of the graph is not finite.")
    return found


def _against(nodes: Nodes, slopes: dict[Address, Tensor]) -> NDArray[np.float64]:
    n_targets = len(next(iter(slopes.values())))
    found = torch.zeros(n_targets, len(nodes.sources))
    for cut, slope in slopes.items():
        mine = [i for i, own in enumerate(nodes.cuts) if own == cut]
        at = slope[:, [nodes.sources[i].pos for i in mine]]
        found[:, mine] = (at * nodes.vectors[mine]).sum(-1).cpu()
    return found.double().numpy()


def _logits(frozen: FrozenPrompt, n: int, mass: float) -> tuple[Node, ...]:
    """The likeliest tokens, until they hold that share of the probability."""
    shares, tokens = frozen.logits.softmax(-1).topk(min(n, len(frozen.logits)))
    before = shares.cumsum(0) - shares
    keep = int((before < mass).sum())
    last = len(frozen.base.ids) - 1
    return tuple(
        Node("logit", last, which=int(token), probability=float(share))
        for share, token in zip(shares[:keep], tokens[:keep], strict=True)
    )
