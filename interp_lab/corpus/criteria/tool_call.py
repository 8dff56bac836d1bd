"""JSON tool call: the last message is a JSON object that calls a tool with arguments."""

from __future__ import annotations

import json

from pydantic import JsonValue, TypeAdapter

from interp_lab.contracts.base import Contract
from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Earlier, Family, Side, either_side
from interp_lab.corpus.criteria.frames import Slots, fill, section
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.families.assistant import Value, argument_value
from interp_lab.corpus.lexicon import Tool
from interp_lab.corpus.morphology import capitalised
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

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


class _Shape(Contract):
    """A family: the request, the call, and what stands in its place; names with $ are filled in."""

    kind: str
    request: str
    call: dict[str, JsonValue]
    other: dict[str, JsonValue] | str
    paired: bool = True


class _Call:
    """One tool with values for its arguments."""

    def __init__(self, scene: Scene) -> None:
        writer = Writer(scene.dice, Split.CRITERIA)
        self.scene = scene
        self.tool: Tool = scene.dice.pick(scene.words.tools.tools)
        self.values: dict[str, JsonValue] = {
            a.name: _json_value(argument_value(writer, a.kind)) for a in self.tool.arguments
        }
        self.indent = 2 if scene.dice.chance(0.2) else None
        self.parts: dict[str, JsonValue] = {
            "$tool": self.tool.name,
            "$args": self.values,
            "$types": {a.name: _TYPES.get(a.kind, "string") for a in self.tool.arguments},
            "$record": scene.dice.pick(_RECORD_NAMES),
            "$number": scene.dice.integer(1, 99),
            "$phrase": f"{scene.verb()} {scene.thing()}",
        }

    def written(self, shape: dict[str, JsonValue] | str) -> str:
        """The shape with the values of this call, as it stands in the text."""
        if isinstance(shape, str):
            return {"$python": self._python, "$list": self._list}[shape]()
        return json.dumps(self._filled(shape), indent=self.indent)

    def _filled(self, shape: JsonValue) -> JsonValue:
        if isinstance(shape, dict):
            return {str(self.parts.get(key, key)): self._filled(value) for key, value in shape.items()}
        if isinstance(shape, list):
            return [self._filled(value) for value in shape]
        return self.parts.get(shape, shape) if isinstance(shape, str) else shape

    def _python(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        target = f'{self.scene.dice.pick(("data", "result", "answer"))}["{self.scene.noun()}"]'
        return f'{target} = {self.tool.name}("{self.scene.adjective()}", {arguments})'

    def _list(self) -> str:
        rows = [{"key": name, "value": value} for name, value in list(self.values.items())[:2]]
        return json.dumps({self.scene.noun(): rows})


def _json_value(value: Value) -> JsonValue:
    return [*value] if isinstance(value, list) else value


def _family(shape: _Shape) -> Family:
    def family(scene: Scene) -> Contrast:
        call = _Call(scene)
        slots: Slots = {"task": lambda _: call.tool.purpose, "when": _when}
        speaker = scene.dice.pick(("Call", "Assistant", "Output", "Answer", "Message", "Record", "Result"))
        lead = f"User: {capitalised(fill(shape.request, scene, slots)[0])}\n{speaker}: "
        return Contrast(
            Side(f"{lead}⟦{call.written(shape.call)}⟧", "tool-call"),
            Side(f"{lead}⟦{call.written(shape.other)}⟧", shape.kind),
            {"topic": call.tool.name, "n_arguments": len(call.values), "speaker_tag": speaker.lower()},
            paired=shape.paired,
        )

    return family


def _when(scene: Scene) -> str:
    return scene.dice.pick(scene.words.modifiers.future_time)


def _families() -> dict[str, Family]:
    shapes = TypeAdapter(dict[str, _Shape]).validate_python(section("tool_call"))
    return {name: _family(shape) for name, shape in shapes.items()}


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
    cues=("keys: tool, function, arguments, parameters, input, tools/call", "names of tools"),
    caveats=("'parameters' with types is a declaration, with values a call.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    _families(),
    module=__name__,
    version=3,
    context=Context(sentences=(0,), earlier=Earlier(_earlier, "earlier_exchange")),
)
