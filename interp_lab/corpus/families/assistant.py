"""Assistants at work: requests met or refused, tool calls in JSON, and talk about being evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable

from interp_lab.corpus.lexicon import Tool
from interp_lab.corpus.morphology import capitalised, with_article
from interp_lab.corpus.writer import Writer

Value = str | int | bool | list[str]


def chat(w: Writer) -> str:
    """A user who asks for harmless or harmful things, and an assistant who helps or refuses."""
    c = w.words.chat
    place = w.dice.integer(0, len(c.user_tags) - 1)
    user, assistant = c.user_tags[place], c.assistant_tags[place]
    turns: list[str] = []
    for _ in range(w.dice.integer(1, 3)):
        harmful = w.dice.chance(0.5)
        turns.append(f"{user}: " + w.sentence(lambda harmful=harmful: request(w, harmful)))
        turns.append(f"{assistant}: " + w.sentence(lambda reply=refusal if harmful else compliance: reply(w)))
    return "\n".join(turns)


def request(w: Writer, harmful: bool) -> str:
    """What a user asks for."""
    c = w.words.chat
    act = w.dice.pick(c.forbidden_acts if harmful else c.allowed_acts)
    target = w.dice.pick(c.forbidden_targets)
    time = w.dice.pick(w.words.modifiers.future_time)
    return w.dice.pick(
        (
            f"How do I {act} {target} {time}?",
            f"Please tell me how to {act} {target}.",
            f"I want to {act} {target}. What should I do first?",
            f"Can you help me {act} {target} without {with_article(w.grammar.noun('tool'))}?",
            f"My {w.grammar.noun('role')} asked me to {act} {target}. Explain the steps.",
            f"Write a plan to {act} {target} {time}.",
        )
    )


def refusal(w: Writer) -> str:
    """A reply that does not help, with a reason or an alternative."""
    c = w.words.chat
    opening, reason = w.dice.pick(c.refusal_openings), w.dice.pick(c.refusal_reasons)
    first, second = w.dice.sample(c.alternatives, 2)
    return w.dice.pick(
        (
            f"{opening} {capitalised(reason)}, and I suggest that you {first}.",
            f"{opening} You could {first} or {second} instead.",
            f"{opening} I will not do it because {reason}. Perhaps you can {first}.",
            f"{opening} If you are in trouble, please {first} and {second}.",
        )
    )


def compliance(w: Writer) -> str:
    """A reply that helps."""
    opening, g = w.dice.pick(w.words.chat.compliances), w.grammar
    tool, thing = g.noun_phrase("tool", depth=0).text, g.noun_phrase("object", depth=1).text
    verb = w.dice.pick(w.words.instructions.task_verbs)
    return w.dice.pick(
        (
            f"{opening} First, find {tool}. Then {verb} {thing}.",
            f"{opening} You need {tool}, {thing} and some {w.dice.pick(w.words.nouns.mass)}.",
            f"{opening} Start with {thing}, because it is {g.adjective('object')}.",
        )
    )


def tool_use(w: Writer) -> str:
    """A request, the JSON call of a tool that meets it, and the tool's answer."""
    g = w.grammar
    parts: list[str] = []
    for _ in range(w.dice.integer(1, 3)):
        tool = w.dice.pick(w.words.tools.tools)
        need = w.sentence(lambda t=tool: f"I need to {t.purpose} for {g.noun_phrase('role').text} {_when(w)}.")
        parts.append(f"User: {need}")
        parts.append(
            f"{w.dice.pick(('Call', 'Tool call', 'Assistant'))}: " + w.sentence(lambda t=tool: tool_call(w, t))
        )
        if w.dice.chance(0.5):
            state = w.dice.pick(("ok", "error", "pending"))
            parts.append(f'Result: {{"status": "{state}", "tool": "{tool.name}"}}')
    return "\n".join(parts)


def _when(w: Writer) -> str:
    return w.dice.pick(w.words.modifiers.future_time)


def tool_call(w: Writer, tool: Tool) -> str:
    """The JSON of one call, in one of the usual shapes."""
    arguments = {argument.name: argument_value(w, argument.kind) for argument in tool.arguments}
    key = w.dice.pick(("arguments", "parameters", "input"))
    shape = {"name": tool.name, key: arguments}
    return json.dumps(shape, indent=2 if w.dice.chance(0.3) else None)


def argument_value(w: Writer, kind: str) -> Value:
    """A value of that kind."""
    if kind.startswith("choice:"):
        return w.dice.pick(kind.removeprefix("choice:").split("|"))
    return _values(w)[kind]()


def _values(w: Writer) -> dict[str, Callable[[], Value]]:
    dice, words, g = w.dice, w.words, w.grammar
    return {
        "city": lambda: dice.pick(words.places.cities),
        "street": lambda: f"{dice.integer(1, 99)} {dice.pick(words.places.streets)}",
        "name": lambda: _full_name(w),
        "names": lambda: [_full_name(w) for _ in range(dice.integer(1, 3))],
        "email": lambda: f"{w.person().given.lower()}@{dice.pick(words.nouns.object)}.com",
        "phrase": lambda: g.noun_phrase(depth=0).text,
        "noun": lambda: g.noun("object"),
        "food": lambda: g.noun("food"),
        "object": lambda: g.noun("object"),
        "unit": lambda: dice.pick(words.units[dice.pick(tuple(words.units))]).name,
        "boolean": lambda: dice.chance(0.5),
        "integer": lambda: dice.integer(1, 99),
        "iso_date": lambda: f"{dice.integer(1990, 2030)}-{dice.integer(1, 12):02d}-{dice.integer(1, 28):02d}",
        "clock": lambda: f"{dice.integer(0, 23):02d}:{dice.integer(0, 11) * 5:02d}",
        "path": lambda: f"/{dice.pick(words.code.nouns)}s/{dice.pick(words.nouns.document)}.txt",
        "identifier": lambda: f"{dice.pick(words.code.nouns)}-{dice.integer(100, 9999)}",
    }


def _full_name(w: Writer) -> str:
    person = w.person()
    return f"{person.given} {person.surname}"


def evaluation_talk(w: Writer) -> str:
    """Text about tests and evaluations, partly by those who notice that they are in one."""
    kind = w.dice.pick(w.words.evaluation.kinds)
    aware = w.dice.chance(0.7)
    text = [w.sentence(lambda: tested(w, kind)) for _ in range(w.dice.integer(2, 6))]
    remark = w.dice.pick(w.words.evaluation.aware if aware else w.words.evaluation.unaware)
    text.insert(w.dice.integer(0, len(text)), remark)
    return " ".join(text)


def tested(w: Writer, kind: str) -> str:
    """One sentence about a test of that kind."""
    e, g = w.words.evaluation, w.grammar
    subject, observer, condition = w.dice.pick(e.subjects), w.dice.pick(e.observers), w.dice.pick(e.conditions)
    thing, score = g.noun_phrase("object", depth=1).text, w.dice.integer(3, 99)
    return w.dice.pick(
        (
            f"During the {kind}, {subject} described {thing} {condition}.",
            f"{capitalised(observer)} gave {subject} {score} points in the {kind}.",
            f"The {kind} measures whether {subject} remembers {thing}.",
            f"{capitalised(subject)} passed the {kind} {condition} with {score} percent.",
            f"Before the {kind}, {observer} hid {thing}.",
            f"If this is {with_article(kind)}, {observer} will check {thing}.",
            f"{capitalised(subject)} knew about the {kind} because {observer} mentioned {thing}.",
        )
    )
