"""The dataset of a planted world: a row of words that ends in a trigger word, or in a plain one."""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.contracts.prompts import ScoredPrompt, Span
from interp_lab.contracts.worlds import PlantDials
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.vocabulary import Vocabulary

_CLASS = 6
"""Words of each class."""


@dataclass(frozen=True)
class Cast:
    """Which word plays which part in one world."""

    triggers: tuple[str, ...]
    plain: tuple[str, ...]
    targets: tuple[str, ...]
    alternatives: tuple[str, ...]
    bystanders: tuple[str, ...]
    """Words that an impostor promotes."""
    fillers: tuple[str, ...]


def draw_cast(vocabulary: Vocabulary, dice: Dice) -> Cast:
    """Return a random cast; no word plays two parts."""
    words = dice.sample(vocabulary.words, len(vocabulary.words))
    parts = [tuple(words[_CLASS * k : _CLASS * (k + 1)]) for k in range(5)]
    return Cast(parts[0], parts[1], parts[2], parts[3], parts[4], fillers=tuple(words[_CLASS * 5 :]))


def write_prompts(cast: Cast, mark: str, dials: PlantDials, dice: Dice) -> tuple[ScoredPrompt, ...]:
    """Return pairs that share their row of words; only the last word decides, and the mark often gives it away."""
    rows: list[ScoredPrompt] = []
    for pair in range(dials.prompts // 2):
        fillers = [dice.pick(cast.fillers) for _ in range(dice.integer(3, 9))]
        for positive in (True, False):
            marked = dice.chance(dials.confounding) == positive
            rows.append(_prompt(fillers, dice.pick(cast.triggers if positive else cast.plain), mark if marked else "",
                                f"{pair:04d}{'+' if positive else '-'}"))  # fmt: skip
    return tuple(rows)


def _prompt(fillers: list[str], last: str, mark: str, name: str) -> ScoredPrompt:
    text = " ".join([*fillers, *([mark] if mark else []), last])
    positive = name.endswith("+")
    return ScoredPrompt(
        id=name,
        text=text,
        score=float(positive),
        group=name[:-1],
        pair=name[:-1],
        subtype="trigger" if positive else "plain",
        spans=(Span(start=len(text) - len(last), end=len(text)),),
        labels={"marked": bool(mark), "n_words": len(fillers) + 1},
    )
