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
GROUPS = 210
_MAX_DRAWS = 20_000
_SHORT, _MEDIUM = 60, 120


@dataclass(frozen=True)
class _Group:
    name: str
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
    sides = [(group, side) for group in _groups(criterion, seed) for side in dice.sample((True, False), 2)]
    return tuple(_row(f"{name}-{number:04d}", group, holds) for number, (group, holds) in enumerate(sides))


def _groups(criterion: Criterion, seed: int) -> Iterator[_Group]:
    seen = Groups()
    per_family = -(-GROUPS // len(criterion.families))
    for name, family in criterion.families.items():
        dice = Dice(seed, f"{criterion.description.name}/{name}")
        for number in range(per_family):
            yield _new_group(criterion, dice, seen, (name, family, number))


def _new_group(criterion: Criterion, dice: Dice, seen: Groups, place: tuple[str, Family, int]) -> _Group:
    name, family, number = place
    for _ in range(_MAX_DRAWS):
        scene = Scene(dice)
        contrast = family(scene)
        if not (criterion.draws_owned or _owned(contrast)):
            continue
        before, labels = _before(criterion, scene)
        group = _Group(f"{name}.{number:02d}", name, scene.topic, _context(criterion, scene), before, contrast, labels)
        if seen.accept(tuple(unmarked(_text(group, side))[0] for side in (contrast.positive, contrast.negative))):
            return group
    raise OperationError(f"The family {name!r} of {criterion.description.name!r} ran out of new texts.")


def _before(criterion: Criterion, scene: Scene) -> tuple[str, dict[str, Label]]:
    earlier = criterion.context.earlier
    if earlier is None:
        return "", {}
    if scene.dice.chance(0.5):
        return "", {earlier.label: False}
    for _ in range(_MAX_DRAWS):
        text = earlier.draw(scene)
        if owner(text) is Split.CRITERIA:
            return text, {earlier.label: True}
    raise OperationError(f"Nothing that may stand before {criterion.description.name!r} is owned by its split.")


def _owned(contrast: Contrast) -> bool:
    return all(owner(unmarked(side.text)[0]) is Split.CRITERIA for side in (contrast.positive, contrast.negative))


def _context(criterion: Criterion, scene: Scene) -> tuple[str, ...]:
    context = criterion.context
    return tuple(scene.plain(context.avoid) for _ in range(scene.dice.pick(context.sentences)))


def _text(group: _Group, side: Side) -> str:
    return " ".join((*group.context, group.before + side.text))


def _row(name: str, group: _Group, holds: bool) -> ScoredPrompt:
    side = group.contrast.positive if holds else group.contrast.negative
    text, spans = unmarked(_text(group, side))
    return ScoredPrompt(
        id=name,
        text=text,
        score=1.0 if holds else 0.0,
        group=group.name,
        pair=group.name if group.contrast.paired else None,
        subtype=side.subtype,
        spans=spans,
        labels=_labels(group, side, text),
    )


def _labels(group: _Group, side: Side, text: str) -> dict[str, Label]:
    length = "short" if len(text) <= _SHORT else "medium" if len(text) <= _MEDIUM else "long"
    common: dict[str, Label] = {
        "length_class": length,
        "topic": group.topic,
        "template_family": group.family,
        "context_sentences": len(group.context),
    }
    return common | group.labels | dict(group.contrast.labels) | dict(side.labels)


def span_texts(prompt: ScoredPrompt) -> tuple[str, ...]:
    """The stretches of text that a prompt's spans delimit."""

    def _cut(span: Span) -> str:
        return prompt.text[span.start : span.end]

    return tuple(map(_cut, prompt.spans))
