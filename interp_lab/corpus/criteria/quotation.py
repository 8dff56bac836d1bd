"""Quoted speech: words in quotation marks that somebody is said to have spoken."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Contrast, Criterion, Side, opened
from interp_lab.corpus.criteria.frames import framed
from interp_lab.corpus.criteria.named import NAMED
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised, past

_SPOKE = ("said", "shouted", "whispered", "replied", "answered", "called", "insisted")
_WROTE = ("painted", "typed", "printed", "carved", "stamped", "wrote", "engraved")
_SURFACES = ("sign", "label", "poster", "ticket", "note", "cover", "screen", "menu")
_WORKS = ("novel", "song", "film", "poem", "play", "report", "essay", "magazine")
_VOICES = ("cry", "shout", "whisper", "reply", "call")
_WORDS = ("word", "title", "label", "brand", "motto")


def _sides(spoken: str, other: str, kind: str, order: str) -> Contrast:
    return Contrast(Side(opened(spoken), "speech"), Side(opened(other), kind), {"quote_position": order})


def _said(scene: Scene) -> str:
    """A few words that one could say, print or use as a title."""
    act, thing, quality = scene.verb(), scene.noun(), scene.adjective()
    return scene.dice.pick(
        (
            f"{act} the {thing}",
            f"the {thing} is {quality}",
            f"a {quality} {thing}",
            f"{quality} {thing}s",
            f"{act} every {thing}",
        )
    )


def _spoken(scene: Scene) -> str:
    """A sentence that one could say or write down."""
    thing, verb, quality = scene.thing(), scene.verb(), scene.adjective()
    return scene.dice.pick(
        (
            f"I {past(verb)} {thing} {scene.place()}.",
            f"{capitalised(thing)} is {quality}.",
            f"Do not {verb} {thing}!",
            f"Where is {thing}?",
            f"{capitalised(scene.person())} {past(verb)} {thing}.",
        )
    )


def _told(verb: str, other: str, quote: str, lead_tail: tuple[str, str]) -> tuple[str, str]:
    lead, tail = lead_tail
    return f'{lead} {verb} ⟦"{quote}"⟧ {tail}.', f'{lead} {other} ⟦"{quote}"⟧ {tail}.'


def _verb(scene: Scene) -> Contrast:
    comma = scene.dice.pick(("", ","))
    frame = (
        scene.dice.pick((scene.person(), scene.fresh(_names(scene)))),
        scene.dice.pick((f"and {past(scene.verb())} {scene.thing()}", scene.place(), f"to {scene.person()}")),
    )
    texts = _told(scene.fresh(_SPOKE) + comma, scene.fresh(_WROTE) + comma, _said(scene), frame)
    return _sides(*texts, "inscription", "middle")


def _speaker(scene: Scene) -> Contrast:
    quote, place = _said(scene), scene.place()
    surface, verb = scene.dice.pick(_SURFACES), scene.dice.pick(("said", "told us", "announced", "repeated"))
    return _sides(
        f'the {scene.role()} {place} {verb} ⟦"{quote}"⟧.',
        f'the {surface} {place} {verb} ⟦"{quote}"⟧.',
        "inscription",
        "last",
    )


def _first(scene: Scene) -> Contrast:
    quote, who, place = _said(scene), scene.person(), scene.place()
    spoke, read = scene.dice.pick(
        (("said", "read"), ("whispered", "translated"), ("shouted", "painted"), ("called", "filed"))
    )
    other = scene.dice.pick(("copied", "bought", "borrowed", "framed", read))
    return _sides(f'⟦"{quote},"⟧ {spoke} {who} {place}.', f'⟦"{quote},"⟧ {other} by {who} {place}.', "title", "first")


def _work(scene: Scene) -> Contrast:
    who, quote, tail = scene.person(), _said(scene), f"{past(scene.verb())} {scene.thing()}"
    verb = scene.dice.pick(("gave", "heard", "had", "got"))
    lead, voice, work = (
        f"{who} {verb} the",
        scene.dice.pick(("answer", "reply", "order", "warning")),
        scene.dice.pick(_WORKS),
    )
    return _sides(
        f'{lead} {voice} ⟦"{quote}"⟧ and {tail}.', f'{lead} {work} ⟦"{quote}"⟧ and {tail}.', "title", "middle"
    )


def _mention(scene: Scene) -> Contrast:
    quote, who, place = scene.noun(), scene.person(), scene.place()
    tail = scene.dice.pick((f"came from {who} {place}", f"reached {who} {place}", f"woke {who} {place}"))
    return _sides(
        f'the {scene.dice.pick(_VOICES)} ⟦"{quote}"⟧ {tail}.',
        f'the {scene.dice.pick(_WORDS)} ⟦"{quote}"⟧ {tail}.',
        "mention",
        "middle",
    )


def _crossed(scene: Scene) -> Contrast:
    role, quote, place = scene.role(), _said(scene), scene.place()
    spoke, wrote = scene.fresh(_SPOKE), scene.fresh(_WROTE)
    much = scene.dice.pick(("little", "too much", "enough", "for years", "only once", "every day"))
    tail = scene.dice.pick((place, f"near {scene.thing()}", f"for {scene.person()}"))
    return _sides(
        f'the {role} who {wrote} {much} {spoke} ⟦"{quote}"⟧ {tail}.',
        f'the {role} who {spoke} {much} {wrote} ⟦"{quote}"⟧ {tail}.',
        "inscription",
        "middle",
    )


def _scare(scene: Scene) -> Contrast:
    quote, who, thing = f"{scene.adjective()} {scene.noun()}", scene.person(), scene.thing()
    act, place = past(scene.verb()), scene.place()
    return _sides(
        f'{who} {place} {act} {thing} and said ⟦"{quote}"⟧.',
        f'{who} {place} {act} {thing} and a dubious ⟦"{quote}"⟧.',
        "scare-quotes",
        "last",
    )


def _indirect(scene: Scene) -> Contrast:
    who, thing, quality, place = scene.person(), scene.thing(), scene.adjective(), scene.place()
    paper = scene.dice.pick(("Star", "Globe", "Herald", "Courier", "Times"))
    verb = scene.dice.pick(("said", "answered", "insisted", "replied", "claimed"))
    return _sides(
        f'{who} from the {paper} {verb} ⟦"{thing} {place} is {quality}"⟧.',
        f'{who} from the "{paper}" {verb} ⟦that {thing} {place} is {quality}⟧.',
        "indirect-speech",
        "last",
    )


def _code(scene: Scene) -> Contrast:
    quote, name = _said(scene), scene.dice.pick(("label", "title", "name", "text", "message", "header", "key"))
    who, one, two = scene.fresh(_names(scene)), scene.noun(), scene.role()
    return Contrast(
        Side(f'{who} said ⟦"{quote}"⟧ to {two} or {one}', "speech"),
        Side(f'{name} = ⟦"{quote}"⟧ if {two} else {one}', "code-string"),
        {"quote_position": "middle"},
    )


def _names(scene: Scene) -> tuple[str, ...]:
    return scene.words.names.feminine + scene.words.names.masculine


def _dialogue(scene: Scene) -> Contrast:
    one, two = _said(scene), _said(scene)
    first, second, verb = scene.person(), scene.person(), scene.fresh(_SPOKE)
    other, back, printed = scene.fresh(_WROTE), scene.dice.pick(("back", "aloud", "at once")), scene.fresh(_WROTE)
    return Contrast(
        Side(opened(f'{first} {verb} ⟦"{one}"⟧, and {second} replied ⟦"{two}"⟧ {back}.'), "speech"),
        Side(opened(f'{first} {other} ⟦"{one}"⟧, and {second} {printed} ⟦"{two}"⟧ {back}.'), "inscription"),
        {"quote_position": "middle"},
    )


DESCRIPTION = CriterionDescription(
    name="quoted-speech",
    title="Quoted speech",
    criterion="The last sentence quotes, in quotation marks, what somebody said.",
    description=(
        "Inside quotation marks a model has to know whether somebody is speaking or whether the marks hold a title,"
        " a label, "
        "a mention or a string of code. Nearly all negatives have the same marks around the same words."
    ),
    positives=(
        "A sentence with direct speech in quotation marks; the span is the quotation with its marks (on both sides)."
    ),
    negatives=(
        "The same words in quotation marks as an inscription, title, mention, doubted name or code string, or the same "
        "statement as indirect speech beside a quoted newspaper."
    ),
    subtypes={
        "speech": "positive: spoken words in quotation marks",
        "inscription": "hard negative: written, painted or printed words, also when a sign 'said' them",
        "title": "hard negative: the title of a work",
        "mention": "hard negative: a word or title that is spoken of, not spoken",
        "scare-quotes": "hard negative: a thing whose name is doubted",
        "indirect-speech": "hard negative: reported without quotation marks, beside a quoted name",
        "code-string": "hard negative: a string literal in a line of code",
    },
    pooling="mean",
    labels={"quote_position": "where in the sentence the marks stand (both sides)"},
    cues=("verbs and nouns of speaking: said, whispered, reply, cry",),
    caveats=("Straight double marks only.", "A sign that 'said' something counts as a negative."),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "verb": _verb,
        "speaker": _speaker,
        "first": _first,
        "work": _work,
        "mention": _mention,
        "crossed": _crossed,
        "scare": _scare,
        "indirect": _indirect,
        "code": _code,
        "dialogue": _dialogue,
        **framed("quotation", {**NAMED, "quote": _said, "spoken": _spoken}),
    },
    module=__name__,
    version=3,
)
