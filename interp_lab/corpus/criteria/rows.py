"""From a criterion to the rows of its dataset: draw contrasts, refuse what leaks, label, number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from interp_lab.contracts.prompts import Label, ScoredPrompt, Span
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Family, Side, unmarked
from interp_lab.corpus.criteria.near import Groups
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.splits import Split, owner
from interp_lab.errors import OperationError

SEED = 20_260
PAIRS = 210
_MAX_DRAWS = 20_000
_SHORT, _MEDIUM = 60, 120


@dataclass(frozen=True)
class _Drawn:
    pair: str
    family: str
    topic: str
    context: tuple[str, ...]
    before: str
    contrast: Contrast
    labels: dict[str, Label]


def rows(criterion: Criterion, seed: int = SEED) -> tuple[ScoredPrompt, ...]:
    """The dataset of a criterion: the same for the same seed on every machine.

    Raises:
        OperationError: A family has no filling left that is new and owned by the criterion split.
    """
    name = criterion.description.name
    dice = Dice(seed, f"order/{name}")
    sides = [(drawn, side) for drawn in _contrasts(criterion, seed) for side in dice.sample((True, False), 2)]
    return tuple(_row(f"{name}-{number:04d}", drawn, holds) for number, (drawn, holds) in enumerate(sides))


def _contrasts(criterion: Criterion, seed: int) -> Iterator[_Drawn]:
    """One contrast of every family in turn, so that the first rows of a dataset are of all families."""
    seen = Groups()
    dice = {name: Dice(seed, f"{criterion.description.name}/{name}") for name in criterion.families}
    for number in range(-(-PAIRS // len(criterion.families))):
        for name, family in criterion.families.items():
            yield _new_contrast(criterion, dice[name], seen, (name, family, number))


def _new_contrast(criterion: Criterion, dice: Dice, seen: Groups, place: tuple[str, Family, int]) -> _Drawn:
    name, family, number = place
    for _ in range(_MAX_DRAWS):
        scene = Scene(dice)
        contrast = family(scene)
        if not (criterion.draws_owned or _owned(contrast)):
            continue
        before, labels = _before(criterion, scene, family)
        pair = f"{name}.{number:02d}"
        drawn = _Drawn(pair, name, scene.topic, _context(criterion, scene), before, contrast, labels)
        if seen.accept(tuple(unmarked(_text(drawn, side))[0] for side in (contrast.positive, contrast.negative))):
            return drawn
    raise OperationError(f"The family {name!r} of {criterion.description.name!r} ran out of new texts.")


def _before(criterion: Criterion, scene: Scene, family: Family) -> tuple[str, dict[str, Label]]:
    earlier = criterion.context.earlier
    if earlier is None:
        return "", {}
    if scene.dice.chance(0.5):
        return "", {earlier.label: False}
    for _ in range(_MAX_DRAWS):
        text = earlier.draw(scene, family)
        if owner(text) is Split.CRITERIA:
            return text, {earlier.label: True}
    raise OperationError(f"Nothing that may stand before {criterion.description.name!r} is owned by its split.")


def _owned(contrast: Contrast) -> bool:
    return all(owner(unmarked(side.text)[0]) is Split.CRITERIA for side in (contrast.positive, contrast.negative))


def _context(criterion: Criterion, scene: Scene) -> tuple[str, ...]:
    context = criterion.context
    return tuple(scene.plain(context.avoid) for _ in range(scene.dice.pick(context.sentences)))


def _text(drawn: _Drawn, side: Side) -> str:
    return " ".join((*drawn.context, drawn.before + side.text))


def _row(name: str, drawn: _Drawn, holds: bool) -> ScoredPrompt:
    side = drawn.contrast.positive if holds else drawn.contrast.negative
    text, spans = unmarked(_text(drawn, side))
    return ScoredPrompt(
        id=name,
        text=text,
        score=1.0 if holds else 0.0,
        group=drawn.family,
        pair=drawn.pair if drawn.contrast.paired else None,
        subtype=side.subtype,
        spans=spans,
        labels=_labels(drawn, side, text),
    )


def _labels(drawn: _Drawn, side: Side, text: str) -> dict[str, Label]:
    length = "short" if len(text) <= _SHORT else "medium" if len(text) <= _MEDIUM else "long"
    common: dict[str, Label] = {
        "length_class": length,
        "topic": drawn.topic,
        "template_family": drawn.family,
        "context_sentences": len(drawn.context),
    }
    return common | drawn.labels | dict(drawn.contrast.labels) | dict(side.labels)


def span_texts(prompt: ScoredPrompt) -> tuple[str, ...]:
    """The stretches of text that a prompt's spans delimit."""

    def _cut(span: Span) -> str:
        return prompt.text[span.start : span.end]

    return tuple(map(_cut, prompt.spans))
