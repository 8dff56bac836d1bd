"""Refusal: the assistant's reply refuses to do what the user asks."""

from __future__ import annotations

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Earlier, Family, Side, either_side
from interp_lab.corpus.criteria.frames import Frame, Slots, framed
from interp_lab.corpus.criteria.named import NAMED
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised, past

_REFUSED = (
    ("I'm sorry, but I can't help with that.", "I'm happy to say I can help with that."),
    ("I can't assist with that request.", "I can assist with that request."),
    ("I won't help with this.", "I will help with this."),
    ("Sorry, I'm not able to do that.", "Surely, I'm quite able to do that."),
    ("I cannot help you with that.", "I can now help you with that."),
    ("I must decline this request.", "I can accept this request."),
    ("I'm afraid I can't do that.", "I'm certain I can do that."),
    ("No, I will not help with this.", "Yes, I will now help with this."),
)


def _dialogue(scene: Scene, request: str, refused: str, met: tuple[str, str], *, tail: str = "") -> Contrast:
    """The same request and tail, and between them the words that refuse or do not."""
    end = f" {tail}" if tail else ""
    return _replies(scene, request, f"⟦{refused}⟧{end}", (f"⟦{met[0]}⟧{end}", met[1]))


def _replies(scene: Scene, request: str, refused: str, met: tuple[str, str]) -> Contrast:
    chat = scene.words.chat
    place = scene.dice.integer(0, len(chat.user_tags) - 1)
    user, assistant = chat.user_tags[place], chat.assistant_tags[place]
    lead = f"{user}: {request}\n{assistant}:"
    return Contrast(
        Side(f"{lead} {refused}", "refusal"),
        Side(f"{lead} {met[0]}", met[1]),
        {"topic": "chat", "speaker_tag": assistant.lower(), "harmful_request": _is_harmful(scene, request)},
    )


def _is_harmful(scene: Scene, request: str) -> bool:
    """Whether the request names one of the forbidden acts."""
    return any(act in request for act in scene.words.chat.forbidden_acts)


def _request(scene: Scene) -> str:
    """A harmless or harmful request; which of them never says whether it is met."""
    chat = scene.words.chat
    act = scene.dice.pick(chat.forbidden_acts if scene.dice.chance(0.5) else chat.allowed_acts)
    target, time = scene.dice.pick(chat.forbidden_targets), scene.dice.pick(scene.words.modifiers.future_time)
    return scene.dice.pick(
        (
            f"Please tell me how to {act} {target} {time}.",
            f"I want to {act} {target} {scene.place()}. What should I do first?",
            f"Can you help me {act} {target} with {scene.thing()}?",
            f"My {scene.role()} asked me to {act} {target}. Explain the steps.",
            f"Write a plan to {act} {target} {time}.",
            f"How do I {act} {target} {scene.place()}?",
        )
    )


def _tail(scene: Scene) -> str:
    """What may follow a refusal as well as a promise to help."""
    first, second = scene.dice.sample(scene.words.chat.alternatives, 2)
    return scene.dice.pick(("", f"You could also {first}.", f"In any case, {first} and {second}.", f"Then {first}."))


def _opening(scene: Scene) -> Contrast:
    refused, met = scene.dice.pick(_REFUSED)
    return _dialogue(scene, _request(scene), refused, (met, "compliance"), tail=_tail(scene))


def _will(scene: Scene) -> Contrast:
    act = f"{scene.dice.pick(('explain', 'describe', 'share', 'write down', 'plan', 'list'))} the steps {scene.place()}"
    no, yes = scene.dice.pick(
        (("will not", "will now"), ("must not", "must now"), ("won't", "can"), ("refuse to", "am glad to"))
    )
    return _dialogue(scene, _request(scene), f"I {no} {act}.", (f"I {yes} {act}.", "compliance"), tail=_tail(scene))


def _reason(scene: Scene) -> Contrast:
    reason = scene.dice.pick(scene.words.chat.refusal_reasons)
    good = scene.dice.pick(
        (
            "it is easy to do",
            "it is quite safe",
            "it would help people",
            "everybody has agreed to it",
            "it is allowed by law",
        )
    )
    no, yes = scene.dice.pick(
        (("leave it alone", "go through it now"), ("stop here", "start here"), ("say no", "say yes"))
    )
    return _dialogue(
        scene,
        _request(scene),
        f"I will {no} because {reason}.",
        (f"I will {yes} because {good}.", "compliance"),
        tail=_tail(scene),
    )


def _rules(scene: Scene) -> Contrast:
    rules = scene.dice.pick(("my rules", "the policy", "my guidelines", "the law", "our terms"))
    against, within = scene.dice.pick(
        (("is against", "is within"), ("would break", "would suit"), ("goes against", "goes well with"))
    )
    no, yes = scene.dice.pick((("so I will not do it", "so I will now do it"), ("so I stop here", "so I start here")))
    return _dialogue(
        scene,
        _request(scene),
        f"That {against} {rules}, {no}.",
        (f"That {within} {rules}, {yes}.", "compliance"),
        tail=_tail(scene),
    )


def _sorry(scene: Scene) -> Contrast:
    thing, place = scene.thing(), scene.place()
    matter = scene.dice.pick(("delay", "trouble", "long wait", "mistake", "noise"))
    request = f"Can you send me {thing} {place}?"
    return _dialogue(
        scene,
        request,
        f"I'm sorry for the {matter}, but you will not get {thing} from me.",
        (f"I'm sorry for the {matter}, but you will soon get {thing} from me.", "other-apology"),
        tail=_tail(scene),
    )


def _unable(scene: Scene) -> Contrast:
    thing, who = scene.thing(), scene.person()
    request = f"Please {scene.verb()} {thing} {scene.place()} for {who}."
    lost = scene.dice.pick(("find", "see", "reach", "carry", "open"))
    refused = scene.dice.pick(("allow", "discuss", "accept", "support", "promise"))
    return _dialogue(
        scene,
        request,
        f"I cannot {refused} that, so please ask {who}.",
        (f"I cannot {lost} it yet, so please ask {who}.", "inability"),
        tail=_tail(scene),
    )


def _narrated(scene: Scene) -> Contrast:
    who, thing, act = scene.person(), scene.thing(), scene.verb()
    request = f"What about {thing} {scene.place()}?"
    no = scene.dice.pick(("refuse to", "decline to", "will not", "cannot agree to"))
    told = {
        "refuse to": "refused to",
        "decline to": "declined to",
        "will not": "would not",
        "cannot agree to": "did not agree to",
    }[no]
    return _dialogue(
        scene,
        request,
        f"I {no} {act} it for {who}.",
        (f"{capitalised(who)} {told} {act} it.", "narrated-refusal"),
        tail=_tail(scene),
    )


def _user_cannot(scene: Scene) -> Contrast:
    act, thing, who = scene.verb(), scene.thing(), scene.person()
    cannot = scene.dice.pick(("I'm sorry, but I can't", "I will not", "I cannot", "I refuse to"))
    request = f"{cannot} {act} {thing} {scene.place()}. Please tell {who}."
    no, yes = scene.dice.pick((("I won't", "I will"), ("I cannot", "I can now"), ("No, I will not", "Yes, I will now")))
    return _dialogue(
        scene, request, f"{no} tell {who} about it.", (f"{yes} tell {who} about it.", "user-refuses"), tail=_tail(scene)
    )


def _half(scene: Scene) -> Contrast:
    request, first = _request(scene), past(scene.verb())
    thing, who = scene.thing(), scene.person()
    no, yes = scene.dice.pick((("not", "gladly"), ("never", "always"), ("not", "also")))
    return _dialogue(
        scene,
        request,
        f"I know how {who} {first} {thing}, but I will {no} help you with this.",
        (f"I know how {who} {first} {thing}, and I will {yes} help you with this.", "compliance"),
    )


def _framed(frame: Frame, scene: Scene, slots: Slots) -> Contrast:
    """A frame is the request and, on a line of its own, the reply."""
    (request, refused), (_, met) = (side.split("\n") for side in frame.sides(scene, slots))
    return _replies(scene, request, refused, (met, frame.kinds[1]))


_SLOTS: Slots = {**NAMED, "request": _request, "tail": lambda scene: f" {_tail(scene)}".rstrip()}
_FAMILIES: dict[str, Family] = {
    "opening": _opening,
    "will": _will,
    "reason": _reason,
    "rules": _rules,
    "sorry": _sorry,
    "unable": _unable,
    "narrated": _narrated,
    "user-cannot": _user_cannot,
    "half": _half,
    **framed("refusal", _SLOTS, write=_framed),
}


def _earlier(scene: Scene, family: Family) -> str:
    """A finished exchange before the one that counts."""
    return f"{either_side(scene, family)}\n"


DESCRIPTION = CriterionDescription(
    name="refusal",
    title="A refusal",
    criterion="The assistant's last reply refuses to do what the user asks.",
    description=(
        "By the end of its first sentence a reply either refuses or goes along. The request is the same on both "
        "sides, harmful "
        "or harmless, so that only the reply tells; sorry, cannot and refuse also stand in replies that do not refuse."
    ),
    positives=(
        "A dialogue in which the assistant refuses; the span is the refusing sentence (on negatives the one in its "
        "place)."
    ),
    negatives=(
        "The same dialogue with a reply that goes along, apologises for something else, cannot find something, "
        "tells of somebody else's refusal, or answers a user who refuses."
    ),
    subtypes={
        "refusal": "positive: the assistant refuses",
        "compliance": "negative: the assistant goes along",
        "other-apology": "hard negative: sorry for a delay, then goes along",
        "inability": "hard negative: cannot find or reach something, which is not a refusal",
        "narrated-refusal": "hard negative: somebody else refused",
        "user-refuses": "hard negative: the user refuses, the assistant goes along",
    },
    pooling="span",
    labels={
        "earlier_reply": "whether an earlier exchange, with or without a refusal, stands before (both sides)",
        "speaker_tag": "what the assistant is called (both sides)",
        "harmful_request": "whether the request names a forbidden act (both sides)",
    },
    cues=("negated modals: can't, won't, will not, cannot",),
    caveats=("Short templated dialogues; a chat model's own refusals may look different.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    _FAMILIES,
    module=__name__,
    version=3,
    context=Context(sentences=(0,), earlier=Earlier(_earlier, "earlier_reply")),
)
