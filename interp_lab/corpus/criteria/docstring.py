"""Docstring: the text stops inside a docstring."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Side
from interp_lab.corpus.criteria.frames import Frame, Slots, framed
from interp_lab.corpus.criteria.identifiers import CODE
from interp_lab.corpus.criteria.scene import Scene


def _ending(scene: Scene) -> str:
    """A purpose that may stop in mid-sentence."""
    words = CODE["purpose"](scene).split()
    return " ".join(words[: scene.dice.integer(2, len(words))])


def _framed(frame: Frame, scene: Scene, slots: Slots) -> Contrast:
    inside, outside = frame.sides(scene, slots)
    labels = {**frame.labels, "n_lines": inside.partition("⟦")[2].count("\n") + 1}
    return Contrast(Side(inside, frame.kinds[0]), Side(outside, frame.kinds[1]), labels)


DESCRIPTION = CriterionDescription(
    name="docstring",
    title="Inside a docstring",
    criterion="The text stops inside a Python docstring.",
    description=(
        "Inside a docstring English follows and three quotes will close it. A model has to keep from the opening "
        "quotes on "
        "that it is in one, and tell it from comments, other strings, and code after the docstring has closed."
    ),
    positives=(
        "Python that stops inside the docstring of a function, class or module; the span is the last stretch of it."
    ),
    negatives=(
        "The same words as a comment, as another string (also in three quotes), or after the docstring was closed."
    ),
    subtypes={
        "docstring": "positive: inside a docstring",
        "comment": "negative: the same words behind a number sign",
        "assigned-string": "hard negative: a string in three quotes that is assigned, so no docstring",
        "argument": "hard negative: a string in three quotes that is passed to a call",
        "after-docstring": "hard negative: a comment after the docstring was closed",
        "plain-string": "hard negative: a string in plain quotes at the same place",
        "code": "hard negative: statements where a docstring shows an example session",
    },
    pooling="mean",
    labels={
        "holder": "what the docstring would describe: function, class or module (both sides)",
        "n_lines": "lines of the words in question (both sides)",
    },
    cues=("three quotes straight after a colon and line break",),
    caveats=("Invented functions; docstrings of the standard library are longer and more varied.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    framed("docstring", {**CODE, "ending": _ending, "prompt": lambda _: ">>>"}, write=_framed),
    module=__name__,
    version=2,
    context=Context(sentences=(0,)),
)
