"""Question: the last sentence asks something. Every text stops before its final mark."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Side
from interp_lab.corpus.criteria.frames import Frame, Slots, framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised, past


def _sides(scene: Scene, asked: tuple[str, str], told: tuple[str, str], opener: str) -> Contrast:
    """One contrast; now and then an earlier question stands before both sides, so that its mark says nothing."""
    earlier = f"{_earlier_question(scene)} " if scene.dice.chance(0.25) else ""
    return Contrast(
        Side(earlier + f"⟦{capitalised(asked[0])}⟧", asked[1]),
        Side(earlier + f"⟦{capitalised(told[0])}⟧", told[1]),
        {"opener": opener, "earlier_question": bool(earlier)},
    )


def _earlier_question(scene: Scene) -> str:
    other = scene.branch()
    if scene.dice.chance(0.5):
        return f"Where is {other.thing()}?"
    return f"Did {other.person()} {other.verb()} {other.thing()}?"


def _was(scene: Scene) -> Contrast:
    thing, place, form = scene.thing(), scene.place(), scene.dice.pick(("is", "was"))
    return _sides(scene, (f"{form} {thing} {place}", "yes-no"), (f"{thing} {form} {place}", "statement"), "be")


def _did(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), scene.verb(), scene.thing(), scene.place()
    rest = f"{act} {thing} {place}"
    form = scene.dice.pick(("did", "will", "can", "should", "must"))
    return _sides(scene, (f"{form} {who} {rest}", "yes-no"), (f"{who} {form} {rest}", "statement"), "auxiliary")


def _subject(scene: Scene) -> Contrast:
    act, thing, place = past(scene.verb()), scene.thing(), scene.place()
    frame = scene.dice.pick(("I know who", "Ask who", "We saw who", "Tell me who", "We heard who"))
    lead = scene.dice.pick(("and who", "so who", "but who", "then who"))
    rest = f"{act} {thing} {place}"
    return _sides(scene, (f"{lead} {rest}", "wh"), (f"{frame} {rest}", "indirect"), "who")


def _which(scene: Scene) -> Contrast:
    role, act, thing, place = scene.role(), past(scene.verb()), scene.thing(), scene.place()
    word, told = scene.dice.pick((("which", "this"), ("what", "that"), ("which", "every")))
    rest = f"{role} {act} {thing} {place}"
    return _sides(scene, (f"{word} {rest}", "wh"), (f"{told} {rest}", "statement"), "which")


def _wh_object(scene: Scene) -> Contrast:
    who, verb, thing = scene.person(), scene.verb(), scene.thing()
    word = scene.dice.pick(("where", "why", "how", "when"))
    frame = scene.dice.pick(("we saw", "I know", "say", "I see"))
    asked = f"{word} did {who} {verb} {thing}"
    return _sides(scene, (asked, "wh"), (f"{frame} {word} {who} {past(verb)} {thing}", "indirect"), word)


def _after_clause(scene: Scene) -> Contrast:
    who, first, one = scene.person(), past(scene.verb()), scene.thing()
    other, second, two = scene.person(), scene.verb(), scene.thing()
    word = scene.dice.pick(("when", "while", "after", "before"))
    side = f"{word} {who} {first} {one},"
    return _sides(
        scene,
        (f"{side} did {other} {second} {two}", "yes-no"),
        (f"{side} {other} did {second} {two}", "wh-clause" if word == "when" else "statement"),
        word,
    )


def _how(scene: Scene) -> Contrast:
    quality, thing, place = scene.dice.pick(scene.words.modifiers.size), f"the {scene.noun()}", scene.place()
    form = scene.dice.pick(("is", "was"))
    return _sides(
        scene,
        (f"how {quality} {form} {thing} {place}", "wh"),
        (f"how {quality} {thing} {form} {place}", "exclamative"),
        "how",
    )


def _embedded(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), past(scene.verb()), scene.thing(), scene.place()
    word, knows = scene.dice.pick(("who", "which boy", "what woman")), scene.dice.pick(("know", "remember", "notice"))
    rest = f"{knows} {word} {act} {thing} {place}"
    return _sides(scene, (f"does {who} {rest}", "yes-no"), (f"{who} does {rest}", "indirect"), "embedded")


def _choice(scene: Scene) -> Contrast:
    one, two, who, act = scene.thing(), scene.thing(), scene.person(), past(scene.verb())
    rest = f"{one} or {two} that {who} {act}"
    return _sides(scene, (f"is it {rest}", "choice"), (f"it is {rest}", "statement"), "be")


def _framed(frame: Frame, scene: Scene, slots: Slots) -> Contrast:
    asked, told = frame.sides(scene, slots)
    return _sides(scene, (asked, frame.kinds[0]), (told, frame.kinds[1]), str(frame.labels["opener"]))


DESCRIPTION = CriterionDescription(
    name="question",
    title="A question",
    criterion="The last sentence is a direct question.",
    description=(
        "A model that expects a question mark rather than a full stop must know by the last token that the sentence"
        " asks: "
        "from word order, not from a question word alone. The final mark is left out of every text."
    ),
    positives=(
        "A direct question without its mark: yes-no, question word, or choice; the span is the sentence (on both "
        "sides)."
    ),
    negatives=(
        "The same words in the order of a statement, an indirect question or an exclamation, so that question words "
        "and auxiliaries stand on both sides."
    ),
    subtypes={
        "yes-no": "positive: auxiliary before the subject",
        "wh": "positive: opens with a question word",
        "choice": "positive: asks which of two",
        "tag": "positive: a statement and then 'is that right'",
        "statement": "negative: the same words as a statement",
        "indirect": "hard negative: a question word opens a clause inside a statement",
        "exclamative": "hard negative: 'how large the house is'",
        "wh-clause": "hard negative: 'when' opens a clause of time",
    },
    pooling="last",
    labels={
        "opener": "word or construction that the family is about (both sides)",
        "earlier_question": "whether an earlier sentence is a question with its mark (both sides)",
    },
    cues=("word order; single words are nearly balanced",),
    caveats=("Texts are cut before the final mark, so they are unfinished sentences.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "be": _was,
        "auxiliary": _did,
        "who": _subject,
        "which": _which,
        "wh-object": _wh_object,
        "after-clause": _after_clause,
        "how": _how,
        "embedded": _embedded,
        "choice": _choice,
        **framed("question", write=_framed),
    },
    module=__name__,
    version=2,
)
