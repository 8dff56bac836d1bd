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
_OTHER_SENSES = (
    ("was good for the {0}", "was a good mile from the {0}"),
    ("was a pretty sight to the {0}", "was pretty far from the {0}"),
    ("went well for the {0}", "fell into a well of the {0}"),
    ("was kind to the {0}", "was one kind of box for the {0}"),
    ("was just fine for the {0}", "cost a fine for the {0}"),
    ("was a great help to the {0}", "was sent to the great {0}"),
    ("felt right to the {0}", "stood right of the {0}"),
)
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


def _other_sense(scene: Scene) -> Contrast:
    subject, who = f"the {_product(scene)} {_setting(scene)}", scene.role()
    good, other = scene.dice.pick(_OTHER_SENSES)
    return _sides(
        f"{subject} ⟦{good.format(who)}⟧", f"{subject} ⟦{other.format(who)}⟧", ("praise", "other-sense"), "word-sense"
    )


def _buy_again(scene: Scene) -> Contrast:
    act = scene.dice.pick(("buy", "rent", "use", "order", "choose", "visit"))
    rest = f"{act} the {_product(scene)} {_setting(scene)} again"
    good, bad = scene.dice.pick((("gladly", "never"), ("surely", "hardly"), ("soon", "not")))
    who = scene.dice.pick(("I", "we", "my family", "my friends", "they"))
    return _sides(f"{who} would ⟦{good}⟧ {rest}", f"{who} would ⟦{bad}⟧ {rest}", ("praise", "complaint"), "intention")


def _wish(scene: Scene) -> Contrast:
    rest = f"the {_product(scene)} {_setting(scene)} had been {_good(scene)}"
    good, bad = scene.dice.pick((("felt", "wish"), ("saw", "wish"), ("knew", "wish"), ("thought", "pretended")))
    who = scene.dice.pick(("I", "we", "they", "my friends"))
    return _sides(f"{who} {good} ⟦{rest}⟧", f"{who} {bad} ⟦{rest}⟧", ("praise", "wished-praise"), "wish")


_SLOTS: Slots = {
    "product": _product,
    "aspect": lambda scene: scene.fresh(scene.words.reviews.aspects),
    "good": _good,
    "bad": _bad,
    "setting": _setting,
}

DESCRIPTION = CriterionDescription(
    name="positive-sentiment",
    title="Positive sentiment",
    criterion="The writer's overall judgement in the last sentence is favourable.",
    description=(
        "A model that predicts how a review goes on keeps the running judgement. Denial, contrast and wishes turn "
        "it round, so that a list of good words does not solve the dataset."
    ),
    positives=(
        "A review sentence that praises a product or a part of it; the span is what praises (on negatives what "
        "stands in its place)."
    ),
    negatives=(
        "The same sentence with a complaint, a denied or merely wished praise, a neutral remark, or a good word in "
        "another sense."
    ),
    subtypes={
        "praise": "positive: plain praise",
        "denied-complaint": "positive: 'never boring'",
        "mixed-good-end": "positive: a complaint, then praise that outweighs it",
        "complaint": "negative: plain complaint",
        "denied-praise": "hard negative: 'never fun'",
        "mixed-bad-end": "hard negative: the same words as its partner in the other order",
        "neutral": "negative: a quality without judgement",
        "other-sense": "hard negative: good, fine, kind, great, right, pretty or well in another sense",
        "wished-praise": "hard negative: praise that is only wished or pretended",
    },
    pooling="span",
    labels={"cue": "what carries the judgement in this family (both sides)"},
    cues=("words of praise and blame: about a third of the contrasts differ by one such word",),
    caveats=("Reviews only; the judgement is the writer's own, never a quoted one.",),
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
        "other-sense": _other_sense,
        "buy-again": _buy_again,
        "wish": _wish,
        **framed("sentiment", _SLOTS),
    },
    module=__name__,
    version=2,
    context=Context(avoid=frozenset({"light", "heavy", "kind"})),
)
