# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Pieces as rectangles of token ids: packed into full rows where the model keeps them apart, else padded by length.

Packing rests on the model reading a fall of the position ids as the beginning of a new text. Whether a loaded model
does is never assumed: `packing_check` runs packed and single texts and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from jaxtyping import Int
from torch import Tensor, nn

from interp_lab.engine.batches import TokenBatch, pad_id, plan_batches, source_batch
from interp_lab.engine.capture import capture
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address

Rows = tuple[tuple[int, ...], ...]
"""Which pieces stand in each row of a rectangle, one after another."""

MAX_PACKED_ERROR = 1e-5
"""Largest difference over the largest entry, float32: packed against single."""
_MAX_PACKED_ERROR_HALF = 3e-2
"""The same for half-precision weights; there, that no text influences its neighbours is required bit by bit."""
_PROBE_LENGTHS = (7, 1, 12, 5)


@dataclass(frozen=True, eq=False)
class Rectangle:
    """Some pieces laid out for one pass."""

    batch: TokenBatch
    """Its `indices` name the pieces in the order in which `flat` lists their tokens."""
    flat: Int[Tensor, " n_tokens"]
    """Where each token of each piece lies in the rectangle, counted row after row; padding is not listed."""


class PackingCheck(NamedTuple):
    """Whether short texts may share a row of this loaded model, and what was measured."""

    exact: bool
    error: float
    """Packed against single: largest difference over the largest entry."""
    leaks: bool
    """Whether what stands next to a text changes it."""


def plan_passes(lengths: Sequence[int], token_budget: int, row: int | None) -> tuple[Rows, ...]:
    """Return the rows of each pass: packed into rows of about `row` tokens, or one piece a row without it.

    The plan depends on the lengths only, so the same request always meets the same matrix shapes.
    """
    rows = pack_rows(lengths, row) if row else tuple((index,) for index in range(len(lengths)))
    filled = [sum(lengths[index] for index in members) for members in rows]
    return tuple(tuple(rows[number] for number in numbers) for numbers in plan_batches(filled, token_budget))


def pack_rows(lengths: Sequence[int], row: int) -> Rows:
    """Return pieces by row, best fit, longest first; no row holds more than `row` tokens unless it is one piece."""
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(row + 1)]
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = min(lengths[index], row)
        room = next((room for room in range(length, row + 1) if by_room[room]), None)
        if room is None:
            number, room = len(rows), row
            rows.append([])
        else:
            number = by_room[room].pop()
        rows[number].append(index)
        by_room[room - length].append(number)
    return tuple(tuple(members) for members in rows)


def lay_out(
    loaded: LoadedModel,
    ids: Sequence[Sequence[int]],
    rows: Rows,
    *,
    packed: bool,
    sources: Sequence[Sequence[int]] | None = None,
) -> Rectangle:
    """Return the rows as a rectangle on the device of the model, padded on the right.

    Packed rows carry positions that begin anew with each piece; otherwise every row must hold one piece. `sources`
    holds what the encoder reads for each piece, when the decoder of an encoder-decoder is read.
    """
    width = max(sum(len(ids[index]) for index in members) for members in rows)
    table = torch.full((len(rows), width), pad_id(loaded), dtype=torch.long)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    flat: list[Tensor] = []
    for number, members in enumerate(rows):
        begin = 0
        for index in members:
            end = begin + len(ids[index])
            table[number, begin:end] = torch.as_tensor(ids[index], dtype=torch.long)
            positions[number, begin:end] = torch.arange(end - begin)
            mask[number, begin:end] = True
            flat.append(torch.arange(number * width + begin, number * width + end))
            begin = end
    device = loaded.device
    order = tuple(index for members in rows for index in members)
    on_device = (table.to(device), mask.to(device), mask.to(device), positions.to(device))
    source = None if sources is None else source_batch(loaded, [sources[index] for index in order])
    return Rectangle(TokenBatch(order, *on_device, packed=packed, source=source), torch.cat(flat).to(device))


def packing_check(loaded: LoadedModel) -> PackingCheck:
    """Return whether texts in one row come out of the deepest block as they do alone, untouched by their neighbours.

    An attention that sees the whole row, as an eager one without a mask does, fails both.
    """
    alone = loaded.family.positions_follow_padding or loaded.family.part == "decoder"
    if "position_ids" not in loaded.accepts or alone:
        return PackingCheck(exact=False, error=float("inf"), leaks=True)
    texts, others = _probe_texts(loaded, shift=0), _probe_texts(loaded, shift=3)
    together = _read(loaded, texts, packed=True)
    alone = [_read(loaded, [text], packed=True)[0] for text in texts]
    error = largest_error(together, alone)
    leaks = any(
        not torch.equal(_read(loaded, [*others[:i], texts[i], *others[i + 1 :]], packed=True)[i], together[i])
        for i in range(len(texts))
    )
    limit = MAX_PACKED_ERROR if loaded.dtype in (torch.float32, torch.float64) else _MAX_PACKED_ERROR_HALF
    return PackingCheck(exact=error <= limit and not leaks, error=error, leaks=leaks)


def largest_error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference over the largest entry of what was expected."""
    largest = max(float(value.double().abs().max()) for value in expected)
    errors = [float((a.double() - b.double()).abs().max()) for a, b in zip(found, expected, strict=True)]
    return max(errors) / max(largest, 1e-30)


def probe_passes(loaded: LoadedModel) -> list[Tensor]:
    """Return what leaves the last block for a few texts in rows of their own, some of them padded, and one alone."""
    texts = _probe_texts(loaded, shift=0)
    return [value for some in (texts, texts[:1]) for value in _read(loaded, some, packed=False)]


def _probe_texts(loaded: LoadedModel, shift: int) -> list[list[int]]:
    """A few texts of ids spread over the vocabulary; those of another shift have the same lengths and other ids."""
    n_vocab = cast("nn.Embedding", loaded.model.get_input_embeddings()).num_embeddings
    stride, longest = n_vocab // 17 + 1, loaded.facts.context_length or max(_PROBE_LENGTHS)
    lengths = [min(length, longest) for length in _PROBE_LENGTHS]
    return [[(5 + shift + stride * (i + 31 * text)) % n_vocab for i in range(n)] for text, n in enumerate(lengths)]


def _read(loaded: LoadedModel, texts: Sequence[Sequence[int]], *, packed: bool) -> list[Tensor]:
    """What leaves the last block for each text: all of them in one row in the given order, or each in its own."""
    numbers = range(len(texts))
    rectangle = lay_out(loaded, texts, (tuple(numbers),) if packed else tuple((i,) for i in numbers), packed=packed)
    deepest = Address("resid_post", len(loaded.blocks) - 1)
    with capture(loaded, [deepest]) as run:
        values = run(rectangle.batch)[deepest].flatten(0, 1)[rectangle.flat]
    return list(values.split([len(text) for text in texts]))
