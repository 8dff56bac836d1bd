"""What a criterion is made of: families of contrasts, each one text with the property and one without.

Both sides of a contrast share topic, family and context, so none of these can tell them apart. Texts mark their
spans with ⟦ and ⟧; `unmarked` turns the marks into character offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.contracts.prompts import Label, Span
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised

OPEN, CLOSE = "⟦", "⟧"


def _no_labels() -> dict[str, Label]:
    return {}


@dataclass(frozen=True)
class Side:
    """One text of a contrast, its kind, and labels that hold of this side alone."""

    text: str
    subtype: str
    labels: Mapping[str, Label] = field(default_factory=_no_labels)


@dataclass(frozen=True)
class Contrast:
    """A text with the property and one without; `paired` when they differ by a minimal edit."""

    positive: Side
    negative: Side
    labels: Mapping[str, Label] = field(default_factory=_no_labels)
    paired: bool = True


Family = Callable[[Scene], Contrast]
"""Draws one contrast of a template family."""


@dataclass(frozen=True)
class Earlier:
    """Something from another contrast that stands, half of the time, before both sides; the label tells when.

    It comes from the family of the contrast, so that families share no template, and may have the property or not, so
    that the words of the property stand before both sides and only the end of the text decides. `draw` brings its own
    separator.
    """

    draw: Callable[[Scene, Family], str]
    label: str


@dataclass(frozen=True)
class Context:
    """How many plain sentences may stand before both sides, which words they must not have, and what else may."""

    sentences: tuple[int, ...] = (0, 0, 1, 1, 2)
    avoid: frozenset[str] = frozenset()
    earlier: Earlier | None = None


@dataclass(frozen=True)
class Criterion:
    """A described property, the families that write its dataset, and the version of what they write.

    `draws_owned` says that the families draw sentences of the criterion split themselves, so that rows need not check.
    """

    description: CriterionDescription
    families: Mapping[str, Family]
    module: str
    version: int = 1
    context: Context = Context()
    draws_owned: bool = False


def unmarked(text: str) -> tuple[str, tuple[Span, ...]]:
    """The text without span marks, and the spans that they delimited."""
    spans: list[Span] = []
    plain, *rest = text.split(OPEN)
    for part in rest:
        inside, _, outside = part.partition(CLOSE)
        spans.append(Span(start=len(plain), end=len(plain) + len(inside)))
        plain += inside + outside
    return plain, tuple(spans)


def opened(sentence: str) -> str:
    """The sentence with its first letter in upper case, even behind an opening span mark."""
    return OPEN + capitalised(sentence[1:]) if sentence.startswith(OPEN) else capitalised(sentence)


def either_side(scene: Scene, draw: Family) -> str:
    """The plain text of one side of a contrast about something else."""
    contrast = draw(scene.branch())
    return unmarked((contrast.positive if scene.dice.chance(0.5) else contrast.negative).text)[0]
