# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Exact passes of a decoder in which every reader sees its own sum of writers: kept, or replaced by what ablates them.

The model's own modules run. Each prompt goes through every block once per reader of that block; what enters the row of
a reader is its own sum, and only that reader's part of what leaves the row is used. With every edge kept the logits are
those of the model, which is checked before anything else is done. A pass that differs from an earlier one only in what
later readers see begins at the first block that differs, with what the earlier one wrote before it.

Source: edges as in Conmy et al., "Towards Automated Circuit Discovery" (2023), with the inputs of queries, keys and
values of a head taken together.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.batches import TokenBatch, make_batch, plan_batches
from interp_lab.engine.capture import capture, model_inputs
from interp_lab.engine.components.nodes import OUTPUT, Components
from interp_lab.engine.intervention.resume import skipping, tuple_length
from interp_lab.engine.paths.segment import Tap, refuse_without_stream, register
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleCircuit
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

TOLERANCE = 1e-3
"""Largest difference from the model's own logits, over the largest logit, with every edge kept."""
_SAME = 1e-5
_WORKING_BYTES = 2**30
"""Memory that what the readers of one batch see may take, with gradients."""

Writes = Float[Tensor, "writer batch pos d_model"]
Gates = Float[Tensor, "reader writer"]


@dataclass(frozen=True, eq=False)
class Passed:
    """What one pass showed."""

    logits: Float[Tensor, "batch pos n_vocab"]
    writes: Writes
    """What every writer wrote in this pass."""
    gates: Gates
    """With which it was made."""
    constants: tuple[Tensor | float, ...]
    """Biases of attention that had been added before every block, and after the last."""
    start: int
    """The first block that really ran."""


class ComponentGraph:
    """A loaded decoder whose edges can be replaced one by one."""

    def __init__(self, loaded: LoadedModel, prompts: Sequence[TokenizedPrompt]) -> None:
        """Find the components and check, on some of the prompts, that together they are the model.

        Raises:
            ImpossiblePath: The residual stream passes through norms, or there are no next-token logits.
            ImpossibleCircuit: The components do not add up to the model's logits.
        """
        refuse_without_stream(loaded)
        self.loaded = loaded
        self.components = _components(loaded, prompts[:4])
        parts = self.components
        seen = torch.tensor([parts.n_seen(reader) for reader in parts.readers])
        self._is_edge = (torch.arange(len(parts.writers)) < seen[:, None]).to(loaded.device)
        self._n_given = 0
        self._check(prompts[:4])

    @property
    def all_kept(self) -> Gates:
        """Return gates that keep every edge; entries where there is no edge are never read."""
        return torch.ones(len(self.components.readers), len(self.components.writers), device=self.loaded.device)

    def batches(self, prompts: Sequence[TokenizedPrompt]) -> tuple[TokenBatch, ...]:
        """Return prompts padded on the right, where causal attention never reads, so many at once as memory holds."""
        per_token = 8 * len(self.components.writers) * self.components.n_layers * self.loaded.facts.d_model
        chosen = plan_batches([len(prompt) for prompt in prompts], max(1, _WORKING_BYTES // per_token))
        return tuple(make_batch(self.loaded, prompts, indices=indices) for indices in chosen)

    def pass_bytes(self, batch: TokenBatch) -> int:
        """Return the memory that keeping one pass of a batch takes."""
        return (
            4
            * batch.ids.numel()
            * (len(self.components.writers) * self.loaded.facts.d_model + (self.loaded.facts.n_vocab or 0))
        )

    def __call__(
        self, batch: TokenBatch, gates: Gates, ablated: Writes | None = None, *, known: Sequence[Passed] = ()
    ) -> Passed:
        """Return the logits when every edge carries `gate * written + (1 - gate) * ablated`; gradients flow to gates.

        `ablated` is what an ablated writer is seen to write, broadcast against the writes; None is nothing, zero.
        `known` are earlier passes of the same batch and ablation; what they share with this one is not run again.
        """
        start, earlier = self.shared(gates, known)
        run = _Pass(self.loaded, self.components, batch, gates=gates, ablated=ablated, earlier=earlier, start=start)
        with ExitStack() as stack:
            stack.enter_context(self.loaded.lock)
            for tap in run.taps():
                stack.callback(register(tap).remove)
            if start:
                rows = (len(run.rows.ids), run.rows.ids.shape[1], self.loaded.facts.d_model)
                given = torch.zeros((), dtype=self.loaded.dtype, device=self.loaded.device).expand(rows)
                stack.enter_context(skipping(self.loaded.blocks[:start], given, self._n_given))
            logits = self.loaded.model(**model_inputs(self.loaded, run.rows)).logits
        if logits.shape[:2] != batch.ids.shape:
            raise ImpossibleCircuit("This model does not let the stream before its logits be replaced.")
        return Passed(logits.float(), run.writes, gates, run.constants, start)

    def shared(self, gates: Gates, known: Sequence[Passed]) -> tuple[int, Passed | None]:
        """Return the first block at which a pass differs from the known one that it shares most with, and that one."""
        found = [(self._first_difference(gates, one.gates), place) for place, one in enumerate(known)]
        start, place = max(found, default=(0, -1))
        return start, known[place] if start else None

    def _first_difference(self, gates: Gates, other: Gates) -> int:
        """Return the first block whose readers see something else; the number of blocks if none does."""
        rows = ((gates != other) & self._is_edge).any(dim=1).tolist()
        per_block = self.components.n_heads + 1
        return min((row // per_block for row, differs in enumerate(rows) if differs), default=self.components.n_layers)

    def _check(self, prompts: Sequence[TokenizedPrompt]) -> None:
        batch = make_batch(self.loaded, prompts)
        given: list[int] = []
        last = self.loaded.blocks[-1].register_forward_hook(lambda _m, _a, output: given.append(tuple_length(output)))
        try:
            with capture(self.loaded, [Address("logits")]) as captured, torch.no_grad():
                own = captured(batch)[Address("logits")].float()
        finally:
            last.remove()
        self._n_given = given[0]
        with torch.no_grad():
            found = self(batch, self.all_kept).logits
        error = float(((found - own).abs() * batch.mask[..., None]).max() / own.abs().max().clamp(min=1e-30))
        limit = TOLERANCE if self.loaded.dtype in (torch.float32, torch.float64) else 30 * TOLERANCE
        if not error <= limit:
            raise ImpossibleCircuit(f"The components miss the model's logits by {error:.2g} of the largest logit.")


class _Written:
    """What has been written so far: one tensor that is filled, or a list of parts where gradients flow through them."""

    def __init__(self, n_writers: int, like: TokenBatch, d_model: int, *, gradients: bool) -> None:
        shape = (n_writers, *like.ids.shape, d_model)
        self._whole = None if gradients else torch.empty(shape, device=like.ids.device)
        self._parts: list[Tensor] = []
        self._n = 0

    def add(self, parts: Float[Tensor, "part batch pos d_model"]) -> None:
        """Write some more."""
        if self._whole is None:
            self._parts.append(parts)
        else:
            self._whole[self._n : self._n + len(parts)] = parts
        self._n += len(parts)

    def first(self, n: int | None = None) -> Writes:
        """Return what the first `n` writers wrote, or all."""
        return torch.cat(self._parts)[:n] if self._whole is None else self._whole[: self._n][:n]


class _Pass:
    """One pass under way: rows are heads times prompts, `head * batch + prompt`, and a last one.

    The last row of attention shows its bias alone. Between the norm after attention and the sum after the MLP there is
    only the row of the MLP where that reads the stream after attention, and the last one where it reads beside it.
    What is added up to then is never read, since the next block is given its own sums.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        components: Components,
        batch: TokenBatch,
        *,
        gates: Gates,
        ablated: Writes | None,
        earlier: Passed | None,
        start: int,
    ) -> None:
        self._loaded, self._components, self._batch = loaded, components, batch
        self._gates, self._ablated = gates, ablated
        self._n_rows = components.n_heads + 1
        self._start = start
        gradients = torch.is_grad_enabled() and gates.requires_grad
        self._written = _Written(len(components.writers), batch, loaded.facts.d_model, gradients=gradients)
        self._constants: list[Tensor | float] = []
        self._constant: Tensor | float = 0.0
        if earlier is not None:
            ended = start == components.n_layers
            n = len(components.writers) if ended else components.n_seen(components.block(start)[0])
            self._written.add(earlier.writes[:n])
            self._constants = list(earlier.constants[:start])
            self._constant = earlier.constants[start]
        self._embedded: Tensor | None = None
        self._whole_shape = torch.Size()
        self.rows = _repeated(batch, self._n_rows)

    @property
    def writes(self) -> Writes:
        """What has been written so far."""
        return self._written.first()

    @property
    def constants(self) -> tuple[Tensor | float, ...]:
        """Biases of attention that had been added before every block, and after the last."""
        return tuple(self._constants)

    def taps(self) -> list[Tap]:
        """Return everything that is done in the pass."""
        found = [] if self._start else [Tap(find_place(self._loaded, Address("embed")), self._keep_embedding)]
        for layer in range(self._start, self._components.n_layers):
            found.append(self._tap("resid_pre", layer, self._enter))
            if self._components.splits_heads:
                found.append(self._tap("z", layer, self._split))
            found.append(self._tap("attn_out", layer, self._attended))
            if not self._components.parallel:
                found.append(self._tap("resid_mid", layer, self._between))
            found.append(self._tap("mlp_out", layer, self._computed))
        return [*found, self._tap("resid_post", self._components.n_layers - 1, self._end)]

    def _tap(self, point: str, layer: int, act: Any) -> Tap:
        return Tap(find_place(self._loaded, Address(point, layer)), lambda x: act(x, layer))

    def _keep_embedding(self, x: Tensor) -> None:
        self._embedded = x[: len(self._batch.ids)]

    def _enter(self, x: Tensor, layer: int) -> Tensor:
        if layer == 0:
            self._begin(x[: len(self._batch.ids)])
        self._constants.append(self._constant)
        *heads, mlp = self._components.block(layer)
        return self._seen_by((*heads, mlp if self._components.parallel else heads[0])).flatten(0, 1).to(x.dtype)

    def _begin(self, stream: Tensor) -> None:
        if self._components.learned_positions and self._embedded is not None:
            self._written.add(torch.stack([self._embedded.float(), (stream - self._embedded).float()]))
        else:
            self._written.add(stream.float()[None])

    def _split(self, z: Tensor, _layer: int) -> Tensor:
        """Row `h` keeps head `h`; the last row keeps none, so what leaves it is the bias of the projection."""
        n = self._components.n_heads
        parts = z.unflatten(0, (self._n_rows, -1)).unflatten(-1, (n, -1))
        mine = torch.eye(self._n_rows, n, device=z.device, dtype=z.dtype)
        return (parts * mine.reshape(self._n_rows, *[1] * (parts.ndim - 3), n, 1)).flatten(-2).flatten(0, 1)

    def _attended(self, out: Tensor, _layer: int) -> None:
        rows = self._by_row(out)
        if self._components.splits_heads:
            bias = rows[-1, :1, :1]
            self._constant = self._constant + bias
            self._written.add(rows[:-1] - bias)
        else:
            self._written.add(rows[:1])

    def _between(self, x: Tensor, layer: int) -> Tensor:
        self._whole_shape = x.shape
        own = self._seen_by((f"mlp.{layer}",)).to(x.dtype)
        return own.reshape(-1, *x.shape[1:]) if x.ndim == 2 else own[0]

    def _computed(self, out: Tensor, _layer: int) -> Tensor | None:
        if self._components.parallel:
            self._written.add(self._by_row(out)[-1:])
            return None
        self._written.add(out.reshape(1, *self._batch.ids.shape, -1).float())
        return out.new_zeros(()).expand(self._whole_shape)

    def _end(self, x: Tensor, _layer: int) -> Tensor:
        self._constants.append(self._constant)
        return self._seen_by((OUTPUT,))[0].to(x.dtype)

    def _by_row(self, out: Tensor) -> Float[Tensor, "row batch pos d_model"]:
        """Some modules see all tokens in one row after another."""
        return out.reshape(self._n_rows, *self._batch.ids.shape, -1).float()

    def _seen_by(self, readers: Sequence[str]) -> Float[Tensor, "reader batch pos d_model"]:
        """What enters readers that read at the same place."""
        n = self._components.n_seen(readers[0])
        gates = self._gates[[self._components.readers.index(reader) for reader in readers], :n]
        written = self._written.first(n)
        seen = (gates @ written.flatten(1)).unflatten(1, written.shape[1:])
        if self._ablated is not None:
            ablated = self._ablated[:n]
            seen = seen + ((1.0 - gates) @ ablated.flatten(1)).unflatten(1, ablated.shape[1:])
        return seen + self._constant


def _components(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt]) -> Components:
    family = loaded.family
    splits = family.attn_out == family.attention and loaded.facts.n_heads is not None and family.out_proj is not None
    if family.attn_out is None or family.mlp_out is None:
        raise ImpossibleCircuit(f"Attention and MLP of {family.name} models cannot be told apart.")
    return Components(
        n_layers=len(loaded.blocks),
        n_heads=(loaded.facts.n_heads or 1) if splits else 1,
        splits_heads=splits,
        parallel=family.resid_mid is None,
        learned_positions=_learned_positions(loaded, prompts),
    )


def _learned_positions(loaded: LoadedModel, prompts: Sequence[TokenizedPrompt]) -> bool:
    """Whether what is added to the embedding depends on the position alone, whatever the token."""
    embed, first = Address("embed"), Address("resid_pre", 0)
    batch = make_batch(loaded, prompts)
    with capture(loaded, [embed, first]) as captured:
        seen = captured(batch)
    added = (seen[first] - seen[embed]).float()
    if not bool(added.any()) or len(batch.ids) < 2:
        return False
    both = (batch.mask & batch.mask[:1])[..., None]
    return float(((added - added[:1]) * both).abs().max()) <= _SAME * float(added.abs().max())


def _repeated(batch: TokenBatch, n: int) -> TokenBatch:
    return TokenBatch(
        batch.indices * n,
        batch.ids.repeat(n, 1),
        batch.mask.repeat(n, 1),
        batch.keep.repeat(n, 1),
        batch.positions.repeat(n, 1),
    )
