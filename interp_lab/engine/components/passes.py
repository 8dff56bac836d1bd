# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Exact passes of a decoder in which every reader sees its own sum of writers: kept, or replaced by what ablates them.

The model's own modules run. Each prompt goes through every block once per reader of that block; what enters the row of
a reader is its own sum, and only that reader's part of what leaves the row is used. With every edge kept the logits are
those of the model, which is checked before anything else is done.

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

    def __call__(self, batch: TokenBatch, gates: Gates, ablated: Writes | None = None) -> Passed:
        """Return the logits when every edge carries `gate * written + (1 - gate) * ablated`; gradients flow to gates.

        `ablated` is what an ablated writer is seen to write, broadcast against the writes; None is nothing, zero.
        """
        run = _Pass(self.loaded, self.components, batch, gates=gates, ablated=ablated)
        with ExitStack() as stack:
            stack.enter_context(self.loaded.lock)
            for tap in run.taps():
                stack.callback(register(tap).remove)
            logits = self.loaded.model(**model_inputs(self.loaded, run.rows)).logits
        if logits.shape[:2] != batch.ids.shape:
            raise ImpossibleCircuit("This model does not let the stream before its logits be replaced.")
        return Passed(logits.float(), run.writes)

    def _check(self, prompts: Sequence[TokenizedPrompt]) -> None:
        batch = make_batch(self.loaded, prompts)
        with capture(self.loaded, [Address("logits")]) as captured, torch.no_grad():
            own = captured(batch)[Address("logits")].float()
        with torch.no_grad():
            found = self(batch, self.all_kept).logits
        error = float(((found - own).abs() * batch.mask[..., None]).max() / own.abs().max().clamp(min=1e-30))
        limit = TOLERANCE if self.loaded.dtype in (torch.float32, torch.float64) else 30 * TOLERANCE
        if not error <= limit:
            raise ImpossibleCircuit(f"The components miss the model's logits by {error:.2g} of the largest logit.")


class _Pass:
    """One pass under way: rows are readers times prompts, `reader * batch + prompt`."""

    def __init__(
        self, loaded: LoadedModel, components: Components, batch: TokenBatch, *, gates: Gates, ablated: Writes | None
    ) -> None:
        self._loaded, self._components, self._batch = loaded, components, batch
        self._gates, self._ablated = gates, ablated
        self._n_rows = components.n_heads + 1  # the last one is the MLP's
        self._written: list[Tensor] = []
        self._constant: Tensor | float = 0.0
        self._embedded: Tensor | None = None
        self.rows = _repeated(batch, self._n_rows)

    @property
    def writes(self) -> Writes:
        """What has been written so far."""
        return torch.stack(self._written)

    def taps(self) -> list[Tap]:
        """Return everything that is done in the pass."""
        found = [Tap(find_place(self._loaded, Address("embed")), self._keep_embedding)]
        for layer in range(self._components.n_layers):
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
        seen = self._seen_by(self._components.block(layer)[:-1])
        mlp = self._seen_by((f"mlp.{layer}",)) if self._components.parallel else seen[:1]
        return torch.cat([seen, mlp]).flatten(0, 1).to(x.dtype)

    def _begin(self, stream: Tensor) -> None:
        if self._components.learned_positions and self._embedded is not None:
            self._written += [self._embedded.float(), (stream - self._embedded).float()]
        else:
            self._written.append(stream.float())

    def _split(self, z: Tensor, _layer: int) -> Tensor:
        """Row `h` keeps head `h`; the last row keeps none, so what leaves it is the bias of the projection."""
        n = self._components.n_heads
        parts = z.unflatten(0, (self._n_rows, -1)).unflatten(-1, (n, -1))
        mine = torch.eye(self._n_rows, n, device=z.device, dtype=z.dtype)
        return (parts * mine.reshape(self._n_rows, *[1] * (parts.ndim - 3), n, 1)).flatten(-2).flatten(0, 1)

    def _attended(self, out: Tensor, _layer: int) -> None:
        rows = self._by_row(out)
        if self._components.splits_heads:
            self._constant = self._constant + rows[-1]
            self._written += list(rows[:-1] - rows[-1])
        else:
            self._written.append(rows[0])

    def _between(self, x: Tensor, layer: int) -> Tensor:
        rows = x.reshape(self._n_rows, *self._batch.ids.shape, -1)
        return torch.cat([rows[:-1], self._seen_by((f"mlp.{layer}",)).to(x.dtype)]).reshape(x.shape)

    def _computed(self, out: Tensor, _layer: int) -> None:
        self._written.append(self._by_row(out)[-1])

    def _end(self, x: Tensor, _layer: int) -> Tensor:
        return self._seen_by((OUTPUT,))[0].to(x.dtype)

    def _by_row(self, out: Tensor) -> Float[Tensor, "row batch pos d_model"]:
        """Some modules see all tokens in one row after another."""
        return out.reshape(self._n_rows, *self._batch.ids.shape, -1).float()

    def _seen_by(self, readers: Sequence[str]) -> Float[Tensor, "reader batch pos d_model"]:
        """What enters readers that read at the same place."""
        n = self._components.n_seen(readers[0])
        gates = self._gates[[self._components.readers.index(reader) for reader in readers], :n]
        written = torch.stack(self._written[:n])
        if self._ablated is None:
            return torch.einsum("rw,wbpd->rbpd", gates, written) + self._constant
        ablated = self._ablated[:n]
        moved = torch.einsum("rw,wbpd->rbpd", gates, written - ablated)
        return moved + ablated.sum(0).expand_as(written[0]) + self._constant


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
