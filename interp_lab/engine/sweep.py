# pyright: standard
"""Many pieces of text through a model, every token kept: one pass after another, only as deep as is asked for.

The order of passes is a function of the lengths alone. A pass that runs out of memory is done again in halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from interp_lab.engine.budget import is_out_of_memory
from interp_lab.engine.capture import Capture, capture
from interp_lab.engine.packing import Rows, lay_out, plan_passes
from interp_lab.errors import HookPointUnavailable, OutOfMemory
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


@dataclass(frozen=True, slots=True)
class PassPlan:
    """How pieces are laid out."""

    token_budget: int
    """Padded tokens of one pass, unless a single piece is longer."""
    row: int | None
    """Tokens of a packed row; None pads pieces of similar length instead."""


class Swept(NamedTuple):
    """One pass: which pieces went through it, and every token of each, one piece after another."""

    pieces: tuple[int, ...]
    values: dict[Address, Tensor]
    """`(n_tokens, width)` per address, on the device of the model; tokens of `pieces` in order, no padding."""


def sweep(
    loaded: LoadedModel,
    ids: Sequence[Sequence[int]],
    addresses: Sequence[Address],
    plan: PassPlan,
    *,
    sources: Sequence[Sequence[int]] | None = None,
    check: Callable[[], None] = lambda: None,
    on_halved: Callable[[int], None] = lambda _n_tokens: None,
) -> Iterator[Swept]:
    """Yield the activations of all tokens of all pieces, pass by pass, longest pieces first.

    `sources` holds what the encoder reads for each piece, when the decoder of an encoder-decoder is read.

    `check` is called before every block of the model and may raise to stop the work. `on_halved` hears of every pass
    that ran out of memory and was done in halves. The model stays locked until the generator is exhausted or closed.

    Raises:
        HookPointUnavailable: The model does not have one of the places, or it has no width.
        LayerOutOfRange: There is no such layer.
        OutOfMemory: A single piece does not fit.
    """
    with ExitStack() as stack:
        run = stack.enter_context(capture(loaded, addresses))
        stack.enter_context(_interruptible(loaded, check))
        passes = _Passes(loaded, ids, sources, run, packed=plan.row is not None, check=check, on_halved=on_halved)
        lengths = [len(piece) for piece in ids]
        if sources is not None:
            lengths = [own + len(source) for own, source in zip(lengths, sources, strict=True)]
        for rows in plan_passes(lengths, plan.token_budget, plan.row):
            yield from _pass(passes, rows)


class _Passes(NamedTuple):
    loaded: LoadedModel
    ids: Sequence[Sequence[int]]
    sources: Sequence[Sequence[int]] | None
    run: Capture
    packed: bool
    check: Callable[[], None]
    on_halved: Callable[[int], None]


def _pass(passes: _Passes, rows: Rows) -> Iterator[Swept]:
    swept = _try(passes, rows)
    if swept is not None:
        yield swept
        return
    # Outside the handler of the error, so that nothing of the failed pass is kept alive by its traceback.
    passes.on_halved(sum(len(passes.ids[index]) for members in rows for index in members))
    for half in _halves(rows):
        yield from _pass(passes, half)


def _try(passes: _Passes, rows: Rows) -> Swept | None:
    passes.check()
    rectangle = lay_out(passes.loaded, passes.ids, rows, packed=passes.packed, sources=passes.sources)
    try:
        seen = passes.run(rectangle.batch)
        values = {address: _tokens(address, value, rectangle.flat) for address, value in seen.items()}
        return Swept(rectangle.batch.indices, values)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if sum(map(len, rows)) == 1:
            n_tokens = len(passes.ids[rows[0][0]])
            raise OutOfMemory(f"A single text of {n_tokens} tokens does not fit into memory.") from error
        return None


def _halves(rows: Rows) -> tuple[Rows, Rows]:
    if len(rows) > 1:
        return rows[: len(rows) // 2], rows[len(rows) // 2 :]
    only = next(iter(rows))
    return (only[: len(only) // 2],), (only[len(only) // 2 :],)


def _tokens(address: Address, value: Tensor, flat: Tensor) -> Tensor:
    if value.ndim != 3:
        raise HookPointUnavailable(f"{address} has shape {tuple(value.shape)}, not one row of numbers per token.")
    rows = value.flatten(0, 1)
    return rows if len(flat) == len(rows) else rows[flat]


@contextmanager
def _interruptible(loaded: LoadedModel, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before every block, so that a pass of many seconds can still be stopped at once."""
    handles = [block.register_forward_pre_hook(lambda *_: check()) for block in loaded.blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
