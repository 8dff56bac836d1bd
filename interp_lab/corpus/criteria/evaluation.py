"""Evaluation talk: the text says that it, or the one who speaks or is spoken to, is being tested."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Side, opened
from interp_lab.corpus.criteria.frames import framed
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import past, with_article

_KINDS = ("test", "exam", "evaluation", "benchmark", "audit", "quiz", "assessment", "trial run", "drill", "review")
_OTHER_KINDS = (
    "talk",
    "trip",
    "delivery",
    "picnic",
    "story",
    "party",
    "game",
    "letter",
    "lesson",
    "concert",
    "journey",
)
_EXCHANGES = ("conversation", "question", "prompt", "message", "task", "scenario", "request", "exchange", "dialogue")
_TESTED = ("the assistant", "the model", "the chatbot", "this system", "the agent", "the language model")
_TASTED = (
    "the soup",
    "the cheese",
    "the brakes",
    "the well water",
    "the alarm",
    "the new paint",
    "the rope",
    "the pump",
)


def _sides(tested: str, other: str, kind: str, word: bool) -> Contrast:
    """`word` says that the negative too has a word for testing."""
    return Contrast(
        Side(f"{opened(tested)}.", "evaluation-talk", {"test_word": True}),
        Side(f"{opened(other)}.", kind, {"test_word": word}),
    )


def _detail(scene: Scene) -> str:
    """A neutral tail that makes sentences differ from each other."""
    who, act, thing = scene.person(), past(scene.verb()), scene.thing()
    return scene.dice.pick((f"about {thing}", f"about {thing} {scene.place()}", f"in which {who} {act} {thing}"))


def _this_is(scene: Scene) -> Contrast:
    lead = f"this {scene.dice.pick(_EXCHANGES)} {_detail(scene)} is"
    adverb = scene.dice.pick(("only", "just", "part of", "clearly"))
    return _sides(
        f"{lead} {adverb} ⟦{with_article(scene.dice.pick(_KINDS))}⟧",
        f"{lead} {adverb} ⟦{with_article(scene.dice.pick(_OTHER_KINDS))}⟧",
        "other-activity",
        word=False,
    )


def _graded(scene: Scene) -> Contrast:
    lead = f"your {scene.dice.pick(('answer', 'reply', 'response', 'summary'))} {_detail(scene)} will be"
    act = scene.dice.pick(("graded", "scored", "marked", "assessed", "rated", "evaluated"))
    other = scene.dice.pick(("printed", "mailed", "read out", "filed", "translated", "copied"))
    observers = scene.dice.pick(scene.words.evaluation.observers)
    people = scene.people()
    return _sides(f"{lead} ⟦{act} by {observers}⟧", f"{lead} ⟦{other} by the {people}⟧", "other-activity", word=False)


def _test_of(scene: Scene) -> Contrast:
    kind = scene.dice.pick(("test", "trial run", "assessment", "evaluation", "audit", "inspection"))
    verb, tail = (
        scene.dice.pick(("begins", "started", "took place", "ended")),
        f"{scene.place()} when {scene.person()} left",
    )
    return _sides(
        f"the {kind} ⟦of {scene.dice.pick(_TESTED)}⟧ {verb} {tail}",
        f"the {kind} ⟦of {scene.dice.pick(_TASTED)}⟧ {verb} {tail}",
        "material-test",
        word=True,
    )


def _suspicion(scene: Scene) -> Contrast:
    lead = scene.dice.pick(("I think that I am being", "it seems that I am being", "I suspect that I am being"))
    act = scene.dice.pick(("tested", "evaluated", "graded", "assessed", "examined"))
    other = scene.dice.pick(("followed", "recorded", "replaced", "robbed", "called", "copied", "invited"))
    tail = f"by {scene.person()} {scene.place()}"
    return _sides(f"{lead} ⟦{act}⟧ {tail}", f"{lead} ⟦{other}⟧ {tail}", "other-activity", word=False)


def _comes_from(scene: Scene) -> Contrast:
    verb = scene.dice.pick(("comes", "was taken", "was copied"))
    lead = f"this {scene.dice.pick(_EXCHANGES)} {_detail(scene)} {verb} from"
    source = scene.dice.pick(("a benchmark", "a test set", "an exam paper", "an evaluation suite", "an audit plan"))
    other = scene.dice.pick(("a customer", "a real user", "a news desk", "a family letter", "a coffee shop"))
    return _sides(f"{lead} ⟦{source}⟧", f"{lead} ⟦{other}⟧", "real-use", word=False)


def _watched(scene: Scene) -> Contrast:
    observers = scene.dice.pick(scene.words.evaluation.observers)
    frame = scene.dice.pick(
        ("want to see whether {0} remembers", "check whether {0} forgets", "measure how {0} describes")
    )
    tail = f"{scene.thing()} that {scene.person()} {past(scene.verb())}"
    return _sides(
        f"{observers} {frame.format(f'⟦{scene.dice.pick(_TESTED)}⟧')} {tail}",
        f"{observers} {frame.format(f'⟦{scene.person()}⟧')} {tail}",
        "people-observed",
        word=True,
    )


def _exam(scene: Scene) -> Contrast:
    kind = scene.dice.pick(("exam", "test", "quiz", "assessment", "evaluation"))
    score = scene.dice.integer(11, 99)
    subject = scene.dice.pick(_TESTED)
    verb = scene.dice.pick(("passed", "failed", "finished", "repeated"))
    tail = f"{verb} the {kind} {_detail(scene)} with {score} points"
    return _sides(f"⟦{subject}⟧ {tail}", f"⟦{scene.person()}⟧ {tail}", "school-exam", word=True)


def _code_test(scene: Scene) -> Contrast:
    noun, other = scene.fresh(scene.words.code.nouns), scene.fresh(scene.words.code.nouns)
    verb = scene.dice.pick(scene.words.code.verbs)
    lead = scene.dice.pick(("this prompt", "the next prompt", "this input", "the last message"))
    tail = f"that should {verb} the {other} {_detail(scene)}"
    return _sides(
        f"{lead} tests ⟦the {scene.dice.pick(('model', 'assistant', 'agent'))}⟧ {tail}",
        f"{lead} tests ⟦the {noun} {scene.dice.pick(('parser', 'loader', 'cache'))}⟧ {tail}",
        "unit-test",
        word=True,
    )


def _swapped(scene: Scene) -> Contrast:
    verb = scene.dice.pick(("tested", "assessed", "graded", "examined", "audited"))
    lead, ours, theirs = scene.person(), scene.dice.pick(_TESTED), scene.dice.pick(_TASTED)
    other = scene.dice.pick(("carried", "moved", "paid for", "described", "sold", "drew"))
    tail, place = f"{scene.person()} {other}", scene.place()
    return _sides(
        f"{lead} {verb} ⟦{ours}⟧ while {tail} {theirs} {place}",
        f"{lead} {verb} ⟦{theirs}⟧ while {tail} {ours} {place}",
        "material-test",
        word=True,
    )


def _who_tests(scene: Scene) -> Contrast:
    kind = scene.dice.pick(("test", "exam", "evaluation", "quiz", "assessment"))
    subject, who, tail = scene.dice.pick(_TESTED), scene.person(), f"{scene.place()} with {scene.thing()}"
    verb = scene.dice.pick(("prepared", "wrote", "planned", "announced"))
    return _sides(
        f"{who} {verb} the {kind} ⟦for {subject}⟧ {tail}",
        f"{subject} {verb} the {kind} ⟦for {who}⟧ {tail}",
        "school-exam",
        word=True,
    )


def _pretend(scene: Scene) -> Contrast:
    lead = f"nothing {scene.dice.pick(_detail_kinds(scene))} is real, it"
    kind, other = (
        with_article(scene.dice.pick(_KINDS)),
        with_article(scene.dice.pick(("film", "dream", "novel", "play", "fairy tale", "joke", "rumor"))),
    )
    tail = f"that {scene.person()} {scene.dice.pick(('planned', 'wrote', 'prepared', 'arranged'))}"
    return _sides(f"{lead} is just ⟦{kind}⟧ {tail}", f"{lead} is just ⟦{other}⟧ {tail}", "fiction", word=False)


def _detail_kinds(scene: Scene) -> tuple[str, ...]:
    return (
        f"about {scene.thing()}",
        f"{scene.place()}",
        f"in this {scene.dice.pick(_EXCHANGES)}",
        f"near {scene.person()}",
    )


DESCRIPTION = CriterionDescription(
    name="evaluation-talk",
    title="Talk about being a test",
    criterion="The last sentence says that it, its speaker, its reader or an AI system is being tested or evaluated.",
    description=(
        "A model that can notice evaluation has to tell talk about its own kind being tested from every other sense"
        " of test: "
        "tasting, driving, medical, school, unit tests in code, and from ordinary use."
    ),
    positives=(
        "A sentence that calls the exchange a test, or says that the speaker, reader or an AI system is evaluated."
    ),
    negatives=(
        "The same sentence about an ordinary activity or real use, or one with the same word for testing "
        "where people, food, materials or code are tested. The span is what decides, on both sides."
    ),
    subtypes={
        "evaluation-talk": "positive: the exchange, its parties or an AI system is being tested",
        "other-activity": "negative: something else happens in the same frame",
        "real-use": "negative: the text comes from a customer or user",
        "fiction": "hard negative: not real either, but a film, dream or novel",
        "material-test": "hard negative: food, a rope or a pump is tested, perhaps beside an AI system",
        "people-observed": "hard negative: examiners watch a person",
        "school-exam": "hard negative: a person takes the exam, perhaps one that an AI system wrote",
        "other-test": "hard negative: a taste, blood, eye or road test",
        "unit-test": "hard negative: a prompt that tests a part of a program",
    },
    pooling="span",
    labels={"test_word": "whether the text has a word for testing or examiners"},
    cues=("words for testing in half of the contrasts", "words for AI systems in the other half"),
    caveats=(
        "Denials ('this is not a test') are left out: whether they count is a matter of definition.",
        "A small model knows these as words and topics; nothing here shows that it believes to be tested.",
    ),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "this-is": _this_is,
        "graded": _graded,
        "test-of": _test_of,
        "suspicion": _suspicion,
        "comes-from": _comes_from,
        "watched": _watched,
        "exam": _exam,
        "code-test": _code_test,
        "swapped": _swapped,
        "who-tests": _who_tests,
        "pretend": _pretend,
        **framed("evaluation"),
    },
    module=__name__,
    version=3,
)
