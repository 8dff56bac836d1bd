"""Where a unit is strongest, and one drawn context from each band of its values: what a reader should look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from interp_lab.contracts.features import FeatureContext, ShowFeatureRequest
from interp_lab.reports.figures import TokenHeat, TokenRow
from interp_lab.statistics.arrays import Ints
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.signal import Signal
from interp_lab.workflows.querying.texts import Window, token_texts, window

_WINDOW, _BAND_WINDOW = 8, 4
_NEAR = 3
"""Other active tokens that are named beside a context."""
_DRAWS = 32
_ALIKE = 8
"""Prompts that are looked at for each strongest context: templates make many that read the same."""
_AHEAD = 64


class Chosen(NamedTuple):
    """One row to show."""

    row: int
    band: int
    window: Window


def choose_contexts(signal: Signal, request: ShowFeatureRequest) -> tuple[Chosen, ...]:
    """Return the strongest rows, one per prompt, then a seeded draw from each band, of prompts not shown before."""
    prompts = signal.view.row_prompt
    chosen = _strongest(signal, request.n_contexts)
    used = {int(prompts[each.row]) for each in chosen}
    rng = np.random.default_rng(request.seed)
    for band, members in enumerate(_bands(signal.rows.size, request.n_bands), start=1):
        drawn = rng.choice(members.size, size=min(_DRAWS, members.size), replace=False)
        rows = (int(signal.rows[members.start + place]) for place in drawn)
        row = next((row for row in rows if int(prompts[row]) not in used), None)
        if row is not None:
            used.add(int(prompts[row]))
            chosen.append(Chosen(row, band, window(signal.view, row, _BAND_WINDOW)))
    return tuple(chosen)


def shown_contexts(signal: Signal, chosen: Sequence[Chosen]) -> tuple[FeatureContext, ...]:
    """Return the contexts as the answer has them."""
    view = signal.view
    return tuple(
        FeatureContext(
            band=each.band,
            value=rounded(float(signal.at(np.array([each.row]))[0])),
            prompt=int(view.row_prompt[each.row]),
            position=int(view.position[each.row]),
            before=each.window.before,
            token=each.window.token,
            after=each.window.after,
            near=_near(signal, each) or None,
        )
        for each in chosen
    )


def context_heat(signal: Signal, chosen: Sequence[Chosen]) -> TokenHeat:
    """Return the contexts with the value of every token, for the page."""
    return TokenHeat(
        title=f"{signal.unit} in context",
        note="Colour is the activation at a token; the marked token chose the context.",
        rows=tuple(_heat_row(signal, each) for each in chosen),
    )


class _Members(NamedTuple):
    start: int
    size: int


def _bands(n: int, n_bands: int) -> Iterator[_Members]:
    """Equally filled bands of n ranked values, the first ones larger by one; empty ones are left out."""
    start = 0
    for band in range(n_bands):
        size = n // n_bands + (band < n % n_bands)
        if size:
            yield _Members(start, size)
        start += size


def _strongest(signal: Signal, n: int) -> list[Chosen]:
    """Return the strongest rows, one per prompt; of prompts that read the same there, the first."""
    texts: dict[tuple[str, str, str], Chosen] = {}
    for row in _first_of_prompts(signal, _ALIKE * n):
        around = window(signal.view, int(row), _WINDOW)
        texts.setdefault((around.before, around.token, around.after), Chosen(int(row), 0, around))
        if len(texts) == n:
            break
    return list(texts.values())


def _first_of_prompts(signal: Signal, n: int) -> Ints:
    """Return the strongest row of the `n` prompts with the strongest ones."""
    for reach in (_AHEAD * n, signal.rows.size):
        rows = signal.rows[:reach]
        first = np.sort(np.unique(signal.view.row_prompt[rows], return_index=True)[1])[:n]
        if first.size == n:
            break
    return rows[first]


def _near(signal: Signal, each: Chosen) -> tuple[tuple[int, float], ...]:
    index = np.arange(each.window.start, each.window.stop)
    values = signal.at(index)
    others = np.flatnonzero((values != 0) & (index != each.row))
    strongest = np.sort(others[np.argsort(-np.abs(values[others]), kind="stable")][:_NEAR])
    return tuple((int(index[place]) - each.row, rounded(float(values[place]))) for place in strongest)


def _heat_row(signal: Signal, each: Chosen) -> TokenRow:
    start, stop = each.window.start, each.window.stop
    where = f"prompt {signal.view.row_prompt[each.row]}, position {signal.view.position[each.row]}"
    return TokenRow(
        label=f"{'strongest' if each.band == 0 else f'band {each.band}'}: {where}",
        tokens=tuple(token_texts(signal.view, start, stop)),
        values=tuple(float(value) for value in signal.at(np.arange(start, stop))),
        peak=each.row - start,
    )
