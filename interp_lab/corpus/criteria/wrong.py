"""Two datasets that are wrong on purpose: each is solved by one surface property and by nothing else.

They exist so that an audit can be seen to catch them, and so that nobody can report a feature found on them.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Family, Side
from interp_lab.corpus.criteria.frames import fill, section
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

_SHAPES = TypeAdapter(dict[str, str]).validate_python(section("wrong"))
"""Plain sentences in as many shapes as there are families."""


def _sentence(scene: Scene, shape: str) -> str:
    """A sentence of that shape that the criterion split owns."""
    writer = Writer(scene.dice, Split.CRITERIA)
    return writer.sentence(lambda: capitalised(fill(shape, scene.branch(), {})[0]) + ".")


_COMMAS = frozenset({"there"})
"""Opens the one plain sentence that has a comma: marks must say as little as they can."""


def _long_or_short(shape: str) -> Family:
    def family(scene: Scene) -> Contrast:
        several = [_sentence(scene, shape), *(scene.plain(_COMMAS) for _ in range(scene.dice.integer(2, 3)))]
        return Contrast(
            Side(" ".join(several), "long"),
            Side(_sentence(scene, shape), "short"),
            {"n_sentences_positive": len(several)},
            paired=False,
        )

    return family


def _marked_or_not(shape: str) -> Family:
    def family(scene: Scene) -> Contrast:
        sentence = _sentence(scene, shape).rstrip(".")
        more = scene.plain().rstrip(".").replace(",", "")
        text = f"{sentence} and {more[0].lower()}{more[1:]}"
        return Contrast(Side(f"{text}⟦!⟧", "marked"), Side(text, "unmarked"), {"n_words": len(text.split())})

    return family


LENGTH = Criterion(
    CriterionDescription(
        name="wrong-length",
        title="Wrong on purpose: length",
        criterion="The text gives a careful and complete account.",
        description=(
            "WRONG ON PURPOSE. The claimed property is not in the data: both sides are the same plain sentences, "
            "positives several of them and negatives one. Any latent that counts tokens 'finds' the criterion."
        ),
        positives="Three or four plain sentences.",
        negatives="One plain sentence drawn in the same way.",
        subtypes={"long": "positive: three or four sentences", "short": "negative: one sentence"},
        pooling="last",
        labels={"n_sentences_positive": "sentences of the group's positive (both sides)"},
        cues=("length in characters or tokens separates the sides completely",),
        caveats=("Nothing found on this dataset says anything about accounts, care or completeness.",),
        confounds=("length",),
    ),
    {name: _long_or_short(shape) for name, shape in _SHAPES.items()},
    module=__name__,
    version=2,
    context=Context(sentences=(0,)),
    draws_owned=True,
)

PUNCTUATION = Criterion(
    CriterionDescription(
        name="wrong-punctuation",
        title="Wrong on purpose: punctuation",
        criterion="The writer is excited about what happened.",
        description=(
            "WRONG ON PURPOSE. The claimed property is not in the data: both sides are the same plain sentences, and "
            "every positive ends in an exclamation mark that its negative lacks. Any latent on that mark 'finds' "
            "the criterion."
        ),
        positives="A plain sentence with an exclamation mark; the span is the mark.",
        negatives="The same sentence without the mark. There is no other punctuation on either side.",
        subtypes={"marked": "positive: ends in an exclamation mark", "unmarked": "negative: the same words without it"},
        pooling="last",
        labels={"n_words": "words of the sentence (both sides)"},
        cues=("one punctuation mark separates the sides completely",),
        caveats=("Nothing found on this dataset says anything about excitement.",),
        confounds=("punctuation",),
    ),
    {name: _marked_or_not(shape) for name, shape in _SHAPES.items()},
    module=__name__,
    version=2,
    context=Context(sentences=(0,)),
    draws_owned=True,
)

CRITERIA = (LENGTH, PUNCTUATION)
