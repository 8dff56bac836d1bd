"""Positive sentiment: the writer's overall judgement is good."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Side, opened
from interp_lab.corpus.criteria.frames import Slots, framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import with_article

_DENIED_COMPLAINTS = (
    ("never boring", "always boring"), ("never late", "always late"), ("hardly noisy", "rather noisy"),
    ("far from dull", "rather dull"), ("never poor", "often poor"), ("not at all ugly", "again so ugly"),
)  # fmt: skip
_DENIED_PRAISES = (
    ("always fun", "never fun"), ("really useful", "hardly useful"), ("rather pretty", "far from pretty"),
    ("always fresh", "never fresh"), ("again so lovely", "not at all lovely"), ("very safe", "hardly safe"),
)  # fmt: skip
_GOT = ("bought", "sold", "chose", "brought", "ordered", "owned", "used", "found", "returned", "rented")


def _sides(praise: str, other: str, kinds: tuple[str, str], cue: str) -> Contrast:
    return Contrast(
        Side(f"{opened(praise)}.", kinds[0]), Side(f"{opened(other)}.", kinds[1]), {"cue": cue, "topic": "review"}
    )


def _product(scene: Scene) -> str:
    return scene.fresh(scene.words.reviews.products)


def _good(scene: Scene) -> str:
    return scene.fresh(scene.words.reviews.positive)


def _bad(scene: Scene) -> str:
    return scene.fresh(scene.words.reviews.negative)


def _setting(scene: Scene) -> str:
    """A neutral tail that makes reviews differ from each other."""
    reason = f"{scene.person()} {scene.dice.pick(_GOT)}"
    return scene.dice.pick((f"that {reason}", f"{scene.place()} that {reason}", scene.place(), f"of {scene.person()}"))


def _aspect(scene: Scene) -> Contrast:
    subject = f"the {scene.dice.pick(scene.words.reviews.aspects)} of the {_product(scene)} {_setting(scene)}"
    verb = scene.dice.pick(("is", "was", "seems", "looked"))
    return _sides(
        f"{subject} {verb} ⟦{_good(scene)}⟧", f"{subject} {verb} ⟦{_bad(scene)}⟧", ("praise", "complaint"), "adjective"
    )


def _attributive(scene: Scene) -> Contrast:
    product, tail = _product(scene), _setting(scene)
    lead = scene.dice.pick(("this is", "I bought", "we found", "they sold us", "it was"))
    return _sides(
        f"{lead} ⟦{with_article(_good(scene))}⟧ {product} {tail}",
        f"{lead} ⟦{with_article(_bad(scene))}⟧ {product} {tail}",
        ("praise", "complaint"),
        "adjective",
    )


def _verb(scene: Scene) -> Contrast:
    reviews, tail = (
        scene.words.reviews,
        f"the {scene.dice.pick(scene.words.reviews.aspects)} of the {_product(scene)} {_setting(scene)}",
    )
    who, adverb = (
        scene.dice.pick(("we", "I", "they", "both of us")),
        scene.dice.pick(("really ", "still ", "also ", "")),
    )
    good, bad = scene.dice.pick(reviews.positive_verbs), scene.dice.pick(reviews.negative_verbs)
    return _sides(f"{who} {adverb}⟦{good}⟧ {tail}", f"{who} {adverb}⟦{bad}⟧ {tail}", ("praise", "complaint"), "verb")


def _denied_complaint(scene: Scene) -> Contrast:
    good, bad = scene.dice.pick(_DENIED_COMPLAINTS)
    lead = f"the {_product(scene)} {_setting(scene)} was"
    return _sides(f"{lead} ⟦{good}⟧", f"{lead} ⟦{bad}⟧", ("denied-complaint", "complaint"), "denial")


def _denied_praise(scene: Scene) -> Contrast:
    good, bad = scene.dice.pick(_DENIED_PRAISES)
    lead = f"the {_product(scene)} {_setting(scene)} was"
    return _sides(f"{lead} ⟦{good}⟧", f"{lead} ⟦{bad}⟧", ("praise", "denied-praise"), "denial")


def _verdict(scene: Scene) -> Contrast:
    first, second = (f"the {scene.fresh(scene.words.reviews.aspects)}" for _ in range(2))
    good, bad, tail = _good(scene), _bad(scene), f"of the {_product(scene)} {_setting(scene)}"
    return _sides(
        f"{first} was {bad}, but ⟦{second} {tail} was {good}⟧",
        f"{first} was {good}, but ⟦{second} {tail} was {bad}⟧",
        ("mixed-good-end", "mixed-bad-end"),
        "order",
    )


def _buy_again(scene: Scene) -> Contrast:
    act = scene.dice.pick(("buy", "rent", "use", "order", "choose", "visit"))
    rest = f"{act} the {_product(scene)} {_setting(scene)} again"
    good, bad = scene.dice.pick((("gladly", "never"), ("surely", "hardly"), ("soon", "not")))
    who = scene.dice.pick(("I", "we", "my family", "my friends", "they"))
    return _sides(f"{who} would ⟦{good}⟧ {rest}", f"{who} would ⟦{bad}⟧ {rest}", ("praise", "complaint"), "intention")


_SLOTS: Slots = {
    "product": _product,
    "aspect": lambda scene: scene.fresh(scene.words.reviews.aspects),
    "good": _good,
    "bad": _bad,
    "setting": _setting,
    "praise": lambda scene: scene.fresh(scene.words.reviews.positive_verbs),
    "blame": lambda scene: scene.fresh(scene.words.reviews.negative_verbs),
    "n": lambda scene: str(scene.dice.integer(2, 11)),
}

DESCRIPTION = CriterionDescription(
    name="positive-sentiment",
    title="Positive sentiment",
    criterion="The writer's overall judgement in the last sentence is favourable.",
    description=(
        "A model that predicts how a review goes on keeps the running judgement. Many texts stop where the next "
        "judgement is due. Denial and contrast turn it round, so that a list of good words does not solve the dataset."
    ),
    positives=(
        "A review sentence that praises a product or a part of it; the span is what praises (on negatives what "
        "stands in its place)."
    ),
    negatives=(
        "The same sentence with a complaint or a denied praise, or with the same words in the other order, so that the "
        "complaint has the last word."
    ),
    subtypes={
        "praise": "positive: plain praise",
        "denied-complaint": "positive: 'never boring'",
        "mixed-good-end": "positive: a complaint, then praise that outweighs it",
        "complaint": "negative: plain complaint",
        "denied-praise": "hard negative: 'never fun'",
        "mixed-bad-end": "hard negative: the same words as its partner in the other order",
    },
    pooling="span",
    labels={"cue": "what carries the judgement in this family (both sides)"},
    cues=("words of praise and blame: most contrasts differ by one such word",),
    caveats=(
        "Reviews only; the judgement is the writer's own, never a quoted one.",
        "After a clear verdict, in reviews like those of the training text, `builtin:pocket-llama` expects the next to "
        "agree, but `builtin:pocket-gpt2` gives praise and blame the same odds: what it has is in single words.",
    ),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "aspect": _aspect,
        "attributive": _attributive,
        "verb": _verb,
        "denied-complaint": _denied_complaint,
        "denied-praise": _denied_praise,
        "verdict": _verdict,
        "buy-again": _buy_again,
        **framed("sentiment", _SLOTS),
    },
    module=__name__,
    version=3,
    context=Context(avoid=frozenset({"light", "heavy", "kind"})),
)
