"""Negation: the main clause is grammatically denied."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Side, opened
from interp_lab.corpus.criteria.frames import framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import gerund, participle, past


def _sides(positive: str, negative: str, kind: str, cue: str, *, denied_word: bool = False) -> Contrast:
    return Contrast(
        Side(f"{opened(positive)}.", "clause-negation", {"has_negative_word": True}),
        Side(f"{opened(negative)}.", kind, {"has_negative_word": denied_word}),
        {"cue": cue},
    )


def _had_not(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), participle(scene.verb()), scene.thing(), scene.place()
    other = scene.dice.pick(("now", "just", "also", "long"))
    return _sides(
        f"{who} had ⟦not⟧ {act} {thing} {place}", f"{who} had ⟦{other}⟧ {act} {thing} {place}", "affirmed", "not"
    )


def _never(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), past(scene.verb()), scene.thing(), scene.place()
    other = scene.dice.pick(("often", "soon", "later", "always"))
    return _sides(f"{who} ⟦never⟧ {act} {thing} {place}", f"{who} ⟦{other}⟧ {act} {thing} {place}", "affirmed", "never")


def _nobody(scene: Scene) -> Contrast:
    role, act, thing, place = scene.role(), past(scene.verb()), scene.thing(), scene.place()
    no, some = scene.dice.pick((("no", "one"), ("not one", "at least one")))
    return _sides(f"⟦{no}⟧ {role} {act} {thing} {place}", f"⟦{some}⟧ {role} {act} {thing} {place}", "affirmed", "no")


def _neither(scene: Scene) -> Contrast:
    first, second, act, thing = scene.person(), scene.person(), past(scene.verb()), scene.thing()
    return _sides(
        f"⟦neither⟧ {first} ⟦nor⟧ {second} {act} {thing}",
        f"⟦both⟧ {first} ⟦and⟧ {second} {act} {thing}",
        "affirmed",
        "nor",
    )


def _contraction(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), scene.verb(), scene.thing(), scene.place()
    other = scene.dice.pick(("now", "then", "soon"))
    return _sides(
        f"{who} did⟦n't⟧ {act} {thing} {place}", f"{who} did ⟦{other}⟧ {act} {thing} {place}", "affirmed", "contraction"
    )


def _relative_clause(scene: Scene) -> Contrast:
    who, first, second = scene.person(), participle(scene.verb()), participle(scene.verb())
    one, two = scene.thing(), scene.thing()
    return _sides(
        f"{who} who had just {first} {one} had ⟦not⟧ {second} {two}",
        f"{who} who had not {first} {one} had ⟦just⟧ {second} {two}",
        "subordinate-negation",
        "not",
        denied_word=True,
    )


def _because(scene: Scene) -> Contrast:
    who, other, first, second = scene.person(), scene.person(), gerund(scene.verb()), gerund(scene.verb())
    one, two, word = scene.thing(), scene.thing(), scene.dice.pick(("because", "since", "while", "as"))
    return _sides(
        f"{who} was ⟦not⟧ {first} {one} {word} {other} was still {second} {two}",
        f"{who} was ⟦still⟧ {first} {one} {word} {other} was not {second} {two}",
        "subordinate-negation",
        "not",
        denied_word=True,
    )


def _although(scene: Scene) -> Contrast:
    who, other, first, second = scene.person(), scene.person(), past(scene.verb()), past(scene.verb())
    one, two, word = scene.thing(), scene.thing(), scene.dice.pick(("although", "while", "if", "when"))
    return _sides(
        f"{word} {other} often {first} {one}, {who} ⟦never⟧ {second} {two}",
        f"{word} {other} never {first} {one}, {who} ⟦often⟧ {second} {two}",
        "subordinate-negation",
        "never",
        denied_word=True,
    )


def _not_only(scene: Scene) -> Contrast:
    who, act, one, two = scene.person(), scene.verb(), scene.thing(), scene.thing()
    return _sides(
        f"{who} did ⟦not⟧ even {act} {one} or {two}",
        f"{who} did ⟦not only⟧ {act} {one} but {two}",
        "not-only",
        "not",
        denied_word=True,
    )


def _no_doubt(scene: Scene) -> Contrast:
    role, act, thing, place = scene.role(), past(scene.verb()), scene.thing(), scene.place()
    return _sides(
        f"⟦no⟧ other {role} {act} {thing} {place}",
        f"⟦no doubt⟧ the {role} {act} {thing} {place}",
        "fixed-phrase",
        "no",
        denied_word=True,
    )


def _implicit(scene: Scene) -> Contrast:
    who, act, thing, place = scene.person(), scene.verb(), scene.thing(), scene.place()
    refused = scene.dice.pick(("refused to", "failed to", "forgot to", "declined to"))
    wanted = scene.dice.pick(("want to", "mean to", "try to", "plan to"))
    return _sides(
        f"{who} did ⟦not⟧ {wanted} {act} {thing} {place}",
        f"{who} once more ⟦{refused}⟧ {act} {thing} {place}",
        "implicit-negation",
        "not",
    )


DESCRIPTION = CriterionDescription(
    name="negation",
    title="Negation",
    criterion="The main clause of the last sentence is grammatically negated.",
    description=(
        "A model that tracks scope knows, from the negating word on, that the main clause is denied, and does not "
        "take a "
        "negative word in a relative clause or a fixed phrase for it."
    ),
    positives=(
        "A sentence whose main clause is denied by not, n't, never, no, none, nothing or neither; the span is the "
        "negating word (on negatives the word in its place)."
    ),
    negatives=(
        "The same sentence affirmed by a word of about the same length, or a sentence that has a negative word "
        "which does "
        "not deny its main clause, or one that denies by its verb alone."
    ),
    subtypes={
        "clause-negation": "positive: the main clause is denied",
        "affirmed": "negative: the denying word is replaced by an affirming one",
        "subordinate-negation": "hard negative: only a subordinate clause is denied, in the same words",
        "not-only": "hard negative: 'not only … but' affirms both parts",
        "fixed-phrase": "hard negative: 'no doubt', 'not long ago' and 'whether or not' deny nothing",
        "phrase-negation": "hard negative: 'without' denies a phrase",
        "affixal-negation": "hard negative: 'un-' denies a word",
        "implicit-negation": "hard negative: refused or failed to, without a grammatical negation",
    },
    pooling="span",
    labels={
        "cue": "negating form that the family is about (both sides)",
        "has_negative_word": "whether the text has a negative word, in either role",
    },
    cues=("the negating word itself: 'not', 'never', 'no', 'nor', 'nothing', 'none', 'nobody'",),
    caveats=("Whether implicit negation counts is a convention; the subtype lets it be left out.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "had-not": _had_not,
        "never": _never,
        "nobody": _nobody,
        "neither": _neither,
        "contraction": _contraction,
        "relative-clause": _relative_clause,
        "because": _because,
        "although": _although,
        "not-only": _not_only,
        "no-doubt": _no_doubt,
        "implicit": _implicit,
        **framed("negation"),
    },
    module=__name__,
    version=2,
    context=Context(avoid=frozenset({"no", "not"})),
)
