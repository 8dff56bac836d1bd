"""JSON tool call: the last message is a JSON object that calls a tool with arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Earlier, Family, Side, either_side
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.families.assistant import Value, argument_value
from interp_lab.corpus.lexicon import Tool
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

_ARGUMENT_KEYS = ("arguments", "parameters", "input")
_RECORD_KEYS = ("properties", "contents", "entry", "fields", "state")
_RECORD_NAMES = (
    "daily_log",
    "old_record",
    "station_7",
    "front_desk",
    "main_table",
    "second_row",
    "north_hall",
    "first_page",
)
_TYPES = {"integer": "integer", "boolean": "boolean", "names": "array"}

Object = Mapping[str, object]


class _Call:
    """One tool with values for its arguments, and the words that lead to it."""

    def __init__(self, scene: Scene) -> None:
        writer = Writer(scene.dice, Split.CRITERIA)
        self.dice = scene.dice
        self.tool: Tool = scene.dice.pick(scene.words.tools.tools)
        self.values: dict[str, Value] = {a.name: argument_value(writer, a.kind) for a in self.tool.arguments}
        self.key = scene.dice.pick(_ARGUMENT_KEYS)
        self.indent = 2 if scene.dice.chance(0.2) else None
        need = (
            f"I need to {self.tool.purpose} for {scene.person()} {scene.dice.pick(scene.words.modifiers.future_time)}"
        )
        request = scene.dice.pick((need, f"{need}, {scene.place()}", f"{need}, with {scene.thing()}"))
        self.speaker = scene.dice.pick(("Call", "Assistant", "Output", "Answer", "Message", "Record", "Result"))
        self.lead = f"User: {request}.\n{self.speaker}: "

    def contrast(self, call: Object, other: Object | str, kind: str, *, paired: bool = True) -> Contrast:
        """The call against something else after the same words."""
        return Contrast(
            Side(f"{self.lead}⟦{self._written(call)}⟧", "tool-call"),
            Side(f"{self.lead}⟦{self._written(other)}⟧", kind),
            {"topic": self.tool.name, "n_arguments": len(self.values), "speaker_tag": self.speaker.lower()},
            paired=paired,
        )

    def _written(self, value: Object | str) -> str:
        return value if isinstance(value, str) else json.dumps(value, indent=self.indent)


def _record(scene: Scene) -> Contrast:
    call, dice = _Call(scene), scene.dice
    return call.contrast(
        {"name": call.tool.name, call.key: call.values},
        {"name": dice.pick(_RECORD_NAMES), dice.pick(_RECORD_KEYS): call.values},
        "record",
    )


def _result(scene: Scene) -> Contrast:
    call = _Call(scene)
    key = scene.dice.pick(("result", "returned", "output", "answer"))
    return call.contrast(
        {"name": call.tool.name, call.key: call.values}, {"name": call.tool.name, key: call.values}, "tool-result"
    )


def _declaration(scene: Scene) -> Contrast:
    call = _Call(scene)
    types = {argument.name: _TYPES.get(argument.kind, "string") for argument in call.tool.arguments}
    return call.contrast(
        {"name": call.tool.name, call.key: call.values},
        {"name": call.tool.name, call.key: types},
        "declaration",
        paired=False,
    )


def _remote(scene: Scene) -> Contrast:
    call, dice = _Call(scene), scene.dice
    inner, number = {"name": call.tool.name, call.key: call.values}, dice.integer(1, 99)
    method = dice.pick(("files/move", "logs/write", "rows/store", "notes/save"))
    return call.contrast(
        {"id": number, "method": "tools/call", "params": inner},
        {"id": number, "method": method, "params": inner},
        "other-method",
    )


def _typed(scene: Scene) -> Contrast:
    call, dice = _Call(scene), scene.dice
    kind, other = dice.pick((("tool_use", "log_line"), ("tool_call", "data_row"), ("function", "calendar")))
    return call.contrast(
        {"type": kind, "name": call.tool.name, "input": call.values},
        {"type": other, "name": dice.pick(_RECORD_NAMES), "state": call.values},
        "record",
    )


def _nested(scene: Scene) -> Contrast:
    call, dice = _Call(scene), scene.dice
    outer = dice.pick(("station", "document", "customer", "building"))
    return call.contrast(
        {"function": {"name": call.tool.name, call.key: call.values}},
        {outer: {"name": dice.pick(_RECORD_NAMES), dice.pick(_RECORD_KEYS): call.values}},
        "record",
    )


def _python(scene: Scene) -> Contrast:
    call = _Call(scene)
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.values.items())
    target = f'{scene.dice.pick(("data", "result", "answer"))}["{scene.noun()}"]'
    code = f'{target} = {call.tool.name}("{scene.adjective()}", {arguments})'
    return call.contrast({"name": call.tool.name, call.key: call.values}, code, "python-call", paired=False)


def _listed(scene: Scene) -> Contrast:
    call = _Call(scene)
    rows = ", ".join(json.dumps({"key": name, "value": value}) for name, value in list(call.values.items())[:2])
    return call.contrast(
        {"name": call.tool.name, call.key: call.values},
        f'{{"{scene.noun()}": [{rows}]}}',
        "list-of-records",
        paired=False,
    )


_DRAWS: dict[str, Family] = {
    "record": _record,
    "result": _result,
    "declaration": _declaration,
    "remote": _remote,
    "typed": _typed,
    "nested": _nested,
    "python": _python,
    "listed": _listed,
}


def _earlier(scene: Scene, family: Family) -> str:
    """A finished exchange before the one that counts."""
    return f"{either_side(scene, family)}\n"


DESCRIPTION = CriterionDescription(
    name="json-tool-call",
    title="A JSON tool call",
    criterion="The last message is a JSON object that calls a tool with arguments.",
    description=(
        "Inside the JSON a model that writes tool calls has to know whether it is in the arguments of a call or in "
        "any other "
        "data of the same shape: a record, a result, a declaration of types, another method."
    ),
    positives="A request followed by a tool call in one of the usual shapes; the span is the JSON.",
    negatives=(
        "The same request followed by JSON of the same shape, mostly with the same values, that is not a call, or by "
        "Python that calls the same function; the span is what stands in the call's place."
    ),
    subtypes={
        "tool-call": "positive: a JSON object that names a tool and gives arguments",
        "record": "hard negative: the same values as a record under a name that is no tool",
        "tool-result": "hard negative: the same tool and values as a result",
        "declaration": "hard negative: the tool with the types of its arguments",
        "other-method": "hard negative: the same parameters for another remote method",
        "python-call": "hard negative: the same call as Python",
        "list-of-records": "hard negative: the same values as a list of records",
    },
    pooling="span",
    labels={
        "earlier_exchange": "whether an earlier request with a call or other data stands before (both sides)",
        "n_arguments": "arguments of the tool (both sides)",
        "speaker_tag": "word before the JSON (both sides)",
    },
    cues=("keys: arguments, parameters, input, tools/call, tool_use", "names of tools"),
    caveats=("'parameters' with types is a declaration, with values a call.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    _DRAWS,
    module=__name__,
    version=2,
    context=Context(sentences=(0,), earlier=Earlier(_earlier, "earlier_exchange")),
)
