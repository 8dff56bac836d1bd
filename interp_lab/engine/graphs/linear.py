# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""One prompt with attention patterns, norms and MLP outputs held, so that everything else is linear.

Sources are vectors put into the residual stream: tokens, what latents write, what dictionaries miss. Targets are what a
later latent reads, or a logit. The weight from a source to a target is exact: take the source away, with everything
that is held still held, and the target's input falls by that much. With dictionaries that do not stand in for MLPs, the
MLPs in between stay and are replaced by their slope at this prompt, which makes weights first-order.

Source: Ameisen et al., "Circuit Tracing: Revealing Computational Graphs in Language Models" (2025), sections 3.1-3.2.
Differs in that dictionaries read and write one layer each, and that the embedding of a token includes its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.intervention.resume import BaseRun, base_run
from interp_lab.engine.paths.freeze import Held, Part, holding, noting
from interp_lab.engine.paths.segment import Tap, reader, refuse_without_stream, run_rows, whole_place
from interp_lab.errors import ImpossibleCircuit
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

_HELD: frozenset[Part] = frozenset({"attention", "norms"})
ROWS_AT_ONCE = 64
"""Targets of one batched backward pass."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A dictionary and where it reads and writes."""

    name: str
    reads: Address
    writes: Address
    encode: Callable[[Float[Tensor, "token d_in"]], Float[Tensor, "token latent"]]
    reading: Float[Tensor, "d_in latent"]
    """What every latent reads of the activation as it is."""
    writing: Float[Tensor, "latent d_out"]
    """What every latent writes per unit of its value."""
    constant: Float[Tensor, " d_out"]
    """What is written whatever fires."""

    @property
    def layer(self) -> int:
        """Return the layer that it belongs to."""
        assert self.writes.layer is not None
        return self.writes.layer


@dataclass(frozen=True, eq=False)
class FrozenPrompt:
    """A prompt whose unedited pass has been held."""

    loaded: LoadedModel
    base: BaseRun
    held: Held
    stands_in: bool
    """Whether every dictionary stands in for an MLP, so that all MLPs are cut out and weights are exact."""
    cuts: tuple[Address, ...]
    """Where sources enter, earliest first: the first block's input, then every place whose tensor is held."""
    values: dict[Address, Float[Tensor, "pos width"]]
    """What the unedited pass had at the cuts and where dictionaries read."""
    logits: Float[Tensor, " n_vocab"]
    """Of the last position."""

    @contextmanager
    def linear(self) -> Iterator[Linear]:
        """Yield the pass with everything held, ready for backward passes."""
        leaves = {cut: self.values[cut].clone()[None].requires_grad_() for cut in self.cuts}
        seen: dict[Address, Tensor] = {}
        with torch.enable_grad():
            logits = self.forward(leaves, seen)
            yield Linear(leaves, seen, logits)

    def forward(self, at: dict[Address, Tensor], seen: dict[Address, Tensor]) -> Float[Tensor, "row pos n_vocab"]:
        """Return the logits with these tensors put in at the cuts; `seen` is filled where dictionaries read."""
        reads = [address for address in self.values if address not in self.cuts or address in self._both]
        taps = [reader(whole_place(self.loaded, address), seen, stop=False) for address in reads]
        taps += [
            Tap(whole_place(self.loaded, cut), lambda x, cut=cut: at[cut].reshape(x.shape).to(x.dtype))
            for cut in self.cuts
        ]
        n_rows = max(len(tensor) for tensor in at.values())
        with holding(self.loaded, self.held):
            logits = run_rows(self.loaded, self.base, n_rows, block=0, taps=taps)
        assert logits is not None
        return logits

    @property
    def _both(self) -> frozenset[Address]:
        """Places that a dictionary reads and writes."""
        return frozenset(self.cuts[1:]) if not self.stands_in else frozenset()


@dataclass(frozen=True, eq=False)
class Linear:
    """The held pass with its graph of gradients."""

    leaves: dict[Address, Tensor]
    seen: dict[Address, Tensor]
    logits: Tensor

    def of_latents(
        self, placed: Placed, targets: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[slice, dict[Address, Float[Tensor, "target pos width"]]]]:
        """Yield, for latents `(position, index)`, the slope of what each reads with respect to every cut."""
        end = self.seen[placed.reads]
        for start in range(0, len(targets), ROWS_AT_ONCE):
            some = targets[start : start + ROWS_AT_ONCE]
            given = torch.zeros(len(some), *end.shape, device=end.device)
            for row, (pos, index) in enumerate(some):
                given[row].view(-1, end.shape[-1])[pos] = placed.reading[:, index]
            yield slice(start, start + len(some)), self._back(end, given)

    def of_logits(self, tokens: Sequence[int]) -> dict[Address, Float[Tensor, "target pos width"]]:
        """Return the slope of each logit of the last position, less the mean logit."""
        given = torch.zeros(len(tokens), *self.logits.shape, device=self.logits.device)
        given[:, 0, -1, :] = -1.0 / self.logits.shape[-1]
        given[range(len(tokens)), 0, -1, list(tokens)] += 1.0
        return self._back(self.logits, given)

    def _back(self, end: Tensor, given: Tensor) -> dict[Address, Tensor]:
        cuts = list(self.leaves)
        found = torch.autograd.grad(
            end,
            [self.leaves[cut] for cut in cuts],
            given.to(end.dtype),
            retain_graph=True,
            is_grads_batched=True,
            allow_unused=True,
        )
        return {
            cut: slope.reshape(len(given), *self.leaves[cut].shape[-2:]).float()
            for cut, slope in zip(cuts, found, strict=True)
            if slope is not None
        }


def freeze(loaded: LoadedModel, prompt: TokenizedPrompt, placed: Sequence[Placed]) -> FrozenPrompt:
    """Return the prompt with its unedited pass held.

    Raises:
        ImpossiblePath: The residual stream passes through norms, or attention or norms cannot be held.
        ImpossibleCircuit: Two dictionaries are of one layer, or one reads what the first block is given.
    """
    refuse_without_stream(loaded)
    first = Address("resid_pre", 0)
    stands_in = all(each.reads.point == "mlp_in" and each.writes.point == "mlp_out" for each in placed)
    written = [each.writes for each in placed]
    if len({address.layer for address in written}) != len(written):
        raise ImpossibleCircuit("Two dictionaries write in the same layer.", remedy="Name one dictionary per layer.")
    if first in (*written, *(each.reads for each in placed)):
        raise ImpossibleCircuit(
            "A dictionary at resid_pre.0 reads the tokens themselves, so nothing comes before it.",
            remedy="Name dictionaries of later places.",
        )
    layers = range(len(loaded.blocks))
    held_out = [Address("mlp_out", layer) for layer in layers] if stands_in else sorted_by_depth(written)
    cuts = (first, *held_out)
    wanted = tuple(dict.fromkeys([*cuts, *(each.reads for each in placed)]))
    base = base_run(loaded, prompt.ids, [first], keep_cache=False)
    seen: dict[Address, Tensor] = {}
    taps = [reader(whole_place(loaded, address), seen, stop=False) for address in wanted]
    with torch.no_grad(), noting(loaded, _HELD) as held:
        logits = run_rows(loaded, base, 1, block=0, taps=taps)
    assert logits is not None
    values = {address: seen[address].detach().reshape(len(prompt), -1).float() for address in wanted}
    return FrozenPrompt(loaded, base, held, stands_in, cuts, values, logits[0, -1].detach().float())


def sorted_by_depth(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses in the order in which a pass meets them."""
    order = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
    for address in addresses:
        if address.point not in order:
            raise ImpossibleCircuit(f"A dictionary that writes {address} adds to no residual stream.")
    return sorted(addresses, key=lambda address: (address.layer or 0, order.index(address.point)))
