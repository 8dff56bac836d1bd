"""The contexts of one challenge: drawn from held-out prompts, alike in length, with the answers kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from interp_lab.errors import TooFewContexts
from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.workflows.explaining.halves import Explained
from interp_lab.workflows.features.neighbours import coactive, decoder_neighbours
from interp_lab.workflows.querying.texts import token_texts

WIDTH, SET_WIDTH = 24, 14
"""Tokens of a context, and of one in a set of four."""
MARKS = ("⟦", "⟧")
LEAST = 4
"""Contexts with activity that a kind of test needs on its scarcer side."""
_TRIED = 4000
_NEIGHBOURS = 8


class Item(NamedTuple):
    """One question with its answer."""

    texts: tuple[str, ...]
    """One context, or a set of four."""
    answer: int
    """1 for active or rightly marked, 0 otherwise; of a set the number of the intruder, 1 to 4."""
    group: int
    """Independent group of the prompt that decides the answer."""
    hard: bool
    """Whether it was taken from where a neighbouring latent is active."""


@dataclass(eq=False)
class Draw:
    """A way through the held-out prompts on which none is met twice."""

    explained: Explained
    rng: np.random.Generator
    used: set[int]
    """Prompts of this challenge and of those before."""
    texts: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    firing: list[int] = field(default_factory=list[int])
    """One row with activity of each prompt that is left."""
    silent: Ints = field(default_factory=lambda: np.zeros(0, np.intp))
    hard: Ints = field(default_factory=lambda: np.zeros(0, np.intp))

    def __post_init__(self) -> None:
        view, signal = self.explained.view, self.explained.signal
        fresh = ~self.explained.explores & ~np.isin(view.row_prompt, list(self.used))
        rows = self.rng.permutation(signal.active[fresh[signal.active]])
        first = np.sort(np.unique(view.row_prompt[rows], return_index=True)[1])
        self.firing = _groups_first(rows[first], view.prompt_group[view.row_prompt[rows[first]]])
        quiet = fresh & ~signal.is_active
        self.silent = self.rng.permutation(np.flatnonzero(quiet))[:_TRIED]
        self.hard = self.rng.permutation(np.flatnonzero(quiet & _near_rows(self.explained)))[:_TRIED]

    def around(self, row: int, width: int) -> tuple[int, int]:
        """Return a stretch of a prompt with the row at a place in it that says nothing."""
        begin, end = self.explained.run_of(row)
        length = min(width, end - begin)
        start = int(self.rng.integers(max(begin, row - length + 1), min(row, end - length) + 1))
        return start, start + length

    def group(self, row: int) -> int:
        """Return the independent group of a row."""
        view = self.explained.view
        return int(view.prompt_group[view.row_prompt[row]])

    def take(self, row: int, start: int, stop: int) -> str | None:
        """Return the text of a stretch and use its prompt up, or None if that text was shown already."""
        texts = tuple(token_texts(self.explained.view, start, stop))
        if texts in self.texts:
            return None
        self.texts.add(texts)
        self.used.add(int(self.explained.view.row_prompt[row]))
        return "".join(texts)


def detection_items(draw: Draw, n_each: int) -> list[Item]:
    """Return contexts with activity, and as many of the same lengths without; half of these near neighbours."""
    items: list[Item] = []
    lengths: list[int] = []
    while draw.firing and len(items) < n_each:
        row = draw.firing.pop(0)
        start, stop = draw.around(row, WIDTH)
        text = draw.take(row, start, stop)
        if text is not None:
            items.append(Item((text,), 1, draw.group(row), hard=False))
            lengths.append(stop - start)
    for place, length in enumerate(lengths):
        found = _without(draw, length, WIDTH, hard=place % 2 == 0)
        if found is not None:
            items.append(Item((found.text,), 0, draw.group(found.row), hard=found.hard))
    return items


def fuzzing_items(draw: Draw, n_each: int) -> list[Item]:
    """Return contexts with activity: the active tokens marked, or the same pattern of marks shifted off them."""
    items: list[Item] = []
    want = {1: n_each, 0: n_each}
    while draw.firing and any(want.values()):
        answer = 1 if want[1] >= want[0] else 0
        row = draw.firing.pop(0)
        start, stop = draw.around(row, WIDTH)
        active = draw.explained.signal.is_active[start:stop]
        shifted = _shifted(active, draw.rng)
        if shifted is None:  # asked of both answers alike, so that being markable says nothing
            continue
        if draw.take(row, start, stop) is None:
            continue
        marks = active if answer else shifted
        text = _marked(token_texts(draw.explained.view, start, stop), marks)
        items.append(Item((text,), answer, draw.group(row), hard=False))
        want[answer] -= 1
    return items


def intruder_items(draw: Draw, n: int) -> list[Item]:
    """Return sets of four contexts, three with activity and one of the same length without."""
    items: list[Item] = []
    while len(draw.firing) >= 3 and len(items) < n:
        rows = [draw.firing.pop(0) for _ in range(3)]
        spans = [draw.around(row, SET_WIDTH) for row in rows]
        texts = [draw.take(row, start, stop) for row, (start, stop) in zip(rows, spans, strict=True)]
        length = int(draw.rng.choice([stop - start for start, stop in spans]))
        other = _without(draw, length, SET_WIDTH, hard=len(items) % 2 == 0)
        if other is None:
            break
        shown = [text for text in texts if text is not None]
        if len(shown) < 3:
            continue
        place = int(draw.rng.integers(4))
        items.append(Item((*shown[:place], other.text, *shown[place:]), place + 1, draw.group(other.row), other.hard))
    return items


def shares(n_firing: int, n_items: int, feature: str) -> tuple[int, int, int]:
    """Return contexts a side of detection and fuzzing, and sets of intruder, that this many prompts allow.

    Raises:
        TooFewContexts: They do not even allow the smallest detection test.
    """
    half = n_items // 2
    for each, fuzz, sets in ((half, half, half), (n_firing // 6, n_firing // 6, n_firing // 6)):
        if min(each, half) >= LEAST and each + 2 * fuzz + 3 * sets <= n_firing:
            return min(each, half), min(fuzz, half), min(sets, half)
    each = min(half, n_firing // 3)
    if each >= LEAST:
        return each, each, 0
    if n_firing >= LEAST:
        return min(half, n_firing), 0, 0
    raise TooFewContexts(f"{n_firing} held-out prompts in which {feature} is active are left; {LEAST} are needed.")


class _Without(NamedTuple):
    text: str
    row: int
    hard: bool


def _without(draw: Draw, length: int, width: int, *, hard: bool) -> _Without | None:
    """Return a stretch without activity, drawn as those with it are, whose length is nearest, of a prompt not met yet.

    It is never cut to length: a text that begins where no other does would give the answer away.
    """
    view, signal = draw.explained.view, draw.explained.signal
    for rows, is_hard in ((draw.hard, True), (draw.silent, False))[0 if hard else 1 :]:
        best: tuple[int, int, int, int] | None = None
        for row in (int(each) for each in rows):
            if int(view.row_prompt[row]) in draw.used:
                continue
            start, stop = draw.around(row, width)
            if signal.is_active[start:stop].any() or tuple(token_texts(view, start, stop)) in draw.texts:
                continue
            gap = abs(stop - start - length)
            if best is None or gap < best[0]:
                best = gap, row, start, stop
            if gap == 0:
                break
        if best is not None:
            text = draw.take(*best[1:])
            if text is not None:
                return _Without(text, best[1], is_hard)
    return None


def _near_rows(explained: Explained) -> Bools:
    """Return on which rows a neighbouring latent is active: by decoder, where it is known, and by co-activation."""
    subject, view = explained.subject, explained.view
    near = [each.unit for each in coactive(explained.signal, _NEIGHBOURS, seed=0).latents]
    if subject.dictionary is not None:
        near += [each.unit for each in decoder_neighbours(subject.dictionary, subject.unit, _NEIGHBOURS)]
    found = np.zeros(view.n_rows, np.bool_)
    for unit in near:
        found[view.store.codes(subject.column).latent(unit).rows] = True
    return found


def _groups_first(rows: Ints, groups: Ints) -> list[int]:
    """Return the rows with one of every group first: independent evidence before more of the same."""
    first = np.zeros(rows.size, np.bool_)
    first[np.unique(groups, return_index=True)[1]] = True
    return [int(row) for row in (*rows[first], *rows[~first])]


def _shifted(active: Bools, rng: np.random.Generator) -> Bools | None:
    """Return the marks moved around the stretch onto inactive tokens only; None where no move does that."""
    for step in rng.permutation(np.arange(1, active.size)):
        moved = np.roll(active, int(step))
        if not (moved & active).any():
            return moved
    return None


def _marked(texts: Sequence[str], marks: Bools) -> str:
    return "".join(_mark(texts, marks))


def _mark(texts: Sequence[str], marks: Bools) -> Iterator[str]:
    opening, closing = MARKS
    for text, marked in zip(texts, marks, strict=True):
        plain = text.replace(opening, "[").replace(closing, "]")
        yield f"{opening}{plain}{closing}" if marked else plain
