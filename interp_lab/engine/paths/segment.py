# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The part of a model between two addresses, run for many rows of one prompt; what comes before is handed in.

The model's own forward pass is what runs, so masks, positions and norms are its own. Blocks before the first are
replaced by their known output, and the pass ends as soon as the last place that is read has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.capture import model_inputs
from interp_lab.engine.intervention.resume import BaseRun, entering, skipping
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import HookPointUnavailable, ImpossiblePath
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

_WITHIN = ("resid_pre", "q", "k", "v", "z", "attn_out", "resid_mid", "mlp_in", "mlp_act", "mlp_out", "resid_post")
STREAM = frozenset({"embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"})
"""Points whose change is added to the residual stream as it is."""
_READS_STREAM = frozenset({"resid_pre", "resid_mid", "resid_post"})

Change = Callable[[Tensor], Tensor | None]
"""From the tensor at a place to what is put there; None leaves it."""


class Tap(NamedTuple):
    """Something done at one place in every pass."""

    place: Place
    change: Change


class _EnoughSeen(Exception):
    """Every place that is read has been seen."""


def depth_of(address: Address) -> tuple[int, int]:
    """Return where a pass meets an address, in an order that can be compared.

    Raises:
        ImpossiblePath: Its place in the order is not known, as for attention probabilities and module paths.
    """
    if address.point == "embed":
        return (-1, 0)
    if address.point == "logits":
        return (10_000, 0)
    if address.layer is None or address.point not in _WITHIN:
        raise ImpossiblePath(f"{address} has no place on a path.", remedy="Use a named hook point of a layer.")
    return (address.layer, _WITHIN.index(address.point))


def passes_along(source: Address, target: Address) -> bool:
    """Whether a change at `source` is in the tensor at `target` even if every block in between did nothing."""
    return source.point in STREAM and target.point in _READS_STREAM


def refuse_without_stream(loaded: LoadedModel) -> None:
    """Refuse models whose blocks do not simply add to one stream.

    Raises:
        ImpossiblePath: The residual stream passes through norms, or there are no next-token logits.
    """
    family = loaded.family
    if family.norms_after is not None or family.kind != "decoder":
        raise ImpossiblePath(f"In {family.name} models the residual stream does not pass blocks unchanged.")


def whole_place(loaded: LoadedModel, address: Address) -> Place:
    """Return the place of an address whose tensor can be read with gradients and replaced as a whole.

    Raises:
        ImpossiblePath: It is part of a larger tensor.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    place = find_place(loaded, address)
    separate = place.take in ("q", "k", "v") and loaded.family.qkv_layout == "separate"
    if address.point == "logits" or (place.take != "whole" and not separate):
        raise ImpossiblePath(f"{address} is read out of a larger tensor in {loaded.family.name} models.")
    return place


def reader(place: Place, seen: dict[Address, Tensor], *, stop: bool) -> Tap:
    """Return a tap that keeps what is at a place, gradients included, and may end the pass there."""

    def keep(value: Tensor) -> None:
        seen[place.address] = value
        if stop:
            raise _EnoughSeen

    return Tap(place, keep)


def run_rows(
    loaded: LoadedModel, base: BaseRun, n_rows: int, *, block: int, taps: Sequence[Tap], state: Tensor | None = None
) -> Float[Tensor, "row pos n_vocab"] | None:
    """Return the logits of `n_rows` passes of a prompt from `block` on, or None where a tap ended the pass.

    `state` is what leaves the blocks before; by default that of the unedited run. Taps at one module act in order.
    """
    if block and state is None:
        state = base.before(block, len(loaded.blocks)).expand(n_rows, -1, -1)
    with tapped(loaded, taps), skipping(loaded.blocks[:block], state, base.n_given):
        output = until_seen(lambda: loaded.model(**model_inputs(loaded, _rows(base, n_rows))))
    if output is None:
        return None
    logits = getattr(output, "logits", None)
    if logits is None:
        raise HookPointUnavailable("This checkpoint has no language-model head, so there are no logits.")
    return logits


@contextmanager
def tapped(loaded: LoadedModel, taps: Sequence[Tap]) -> Iterator[None]:
    """Do what the taps say in every pass inside the block; holds the lock of the model."""
    with ExitStack() as stack:
        stack.enter_context(loaded.lock)
        for tap in taps:
            stack.callback(register(tap).remove)
        yield


def until_seen(run: Callable[[], Any]) -> Any:
    """Return what a pass gives, or None where a tap ended it."""
    try:
        return run()
    except _EnoughSeen:
        return None


def start_of(address: Address, n_blocks: int) -> tuple[int, Address | None]:
    """Return the first block that has to run when an address is edited, and the address of what enters it."""
    if address.layer is None:
        return 0, None
    block = address.layer + 1 if address.point == "resid_post" else address.layer
    return block, entering(block, n_blocks) if block else None


def _rows(base: BaseRun, n_rows: int) -> TokenBatch:
    ids = base.ids.expand(n_rows, -1)
    ones = torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1], device=ids.device).expand(n_rows, -1)
    return TokenBatch(tuple(range(n_rows)), ids, ones, ones, positions)


def register(tap: Tap) -> Any:
    """Return the handle of the hook that does what a tap says in every pass."""
    place, change = tap
    if place.side == "in":

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            made = change(args[0] if args else kwargs["hidden_states"])
            if made is None:
                return None
            return ((made, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": made})

        return place.module.register_forward_pre_hook(before, with_kwargs=True)

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        made = change(output[0] if isinstance(output, (tuple, list)) else output)
        if made is None:
            return None
        return type(output)((made, *output[1:])) if isinstance(output, (tuple, list)) else made

    return place.module.register_forward_hook(after)
