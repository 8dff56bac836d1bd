"""Names of a decoder's components and the edges that its architecture allows. Torch-free.

Writers add to the residual stream: the embedding, learned positions, heads, MLPs. Readers read the stream: heads, MLPs
and the logits. An edge is what one reader sees of one writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

EMBED, POSITIONS, OUTPUT = "embed", "positions", "logits"
Edge = tuple[str, str]


@dataclass(frozen=True)
class Components:
    """Which components a decoder has."""

    n_layers: int
    n_heads: int
    """1 where a norm after attention mixes the heads: then a layer's attention is one component, `attn.LAYER`."""
    splits_heads: bool
    parallel: bool
    """Attention and MLP of a block read the same stream."""
    learned_positions: bool

    @cached_property
    def writers(self) -> tuple[str, ...]:
        """Return the names of writers, in the order in which they write."""
        first = (EMBED, POSITIONS) if self.learned_positions else (EMBED,)
        return (*first, *(name for layer in range(self.n_layers) for name in self.block(layer)))

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """Return the names of readers, in the order in which they read."""
        return (*(name for layer in range(self.n_layers) for name in self.block(layer)), OUTPUT)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Return the names of all nodes, writers before their readers."""
        return (*self.writers, OUTPUT)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Return every edge that the architecture allows, reader by reader."""
        return tuple((writer, reader) for reader in self.readers for writer in self.seen_by(reader))

    def block(self, layer: int) -> tuple[str, ...]:
        """Return the names of one block's components: heads, or its attention as a whole, and its MLP."""
        heads = [f"head.{layer}.{head}" for head in range(self.n_heads)] if self.splits_heads else [f"attn.{layer}"]
        return (*heads, f"mlp.{layer}")

    def seen_by(self, reader: str) -> tuple[str, ...]:
        """Return the writers that come before a reader."""
        return self.writers[: self.n_seen(reader)]

    def n_seen(self, reader: str) -> int:
        """Return how many writers come before a reader; components of one block that run side by side do not."""
        if reader == OUTPUT:
            return len(self.writers)
        layer = int(reader.split(".")[1])
        before = (2 if self.learned_positions else 1) + layer * (self.n_heads + 1)
        return before + self.n_heads if reader.startswith("mlp.") and not self.parallel else before


def touching(edges: Iterator[Edge] | tuple[Edge, ...]) -> frozenset[str]:
    """Return the nodes at either end of some edges."""
    return frozenset(node for edge in edges for node in edge)
