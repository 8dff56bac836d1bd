"""Template families as data: one line of text with slots says both sides of a contrast.

- `{who}`, `{who2}`: a slot; the same name stands for the same words, also on the other side
- `[a|b]`: one of these; the same list makes the same choice wherever it stands
- `<a/b>`: a on the positive side, b on the negative one
- `⟦a⟧`: a span
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

from pydantic import Field, TypeAdapter

from interp_lab.contracts.base import Contract
from interp_lab.contracts.prompts import Label
from interp_lab.corpus.criteria.contrast import Contrast, Family, Side, opened
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.morphology import capitalised, gerund, participle, past, plural, third_person, with_article

Slots = Mapping[str, Callable[[Scene], str]]
"""How each slot is drawn."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([A-Za-z_]+)(\d*)\}")
_SIDES = re.compile(r"<([^<>/]*)/([^<>/]*)>")

_DRAWN: Slots = {
    "who": Scene.person,
    "role": Scene.role,
    "people": Scene.people,
    "thing": Scene.thing,
    "things": Scene.things,
    "described": Scene.described,
    "noun": Scene.noun,
    "verb": Scene.verb,
    "adjective": Scene.adjective,
    "place": Scene.place,
}
_FORMS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "past": ("verb", past),
    "done": ("verb", participle),
    "third": ("verb", third_person),
    "doing": ("verb", gerund),
    "Who": ("who", capitalised),
    "Verb": ("verb", capitalised),
    "Third": ("verb", lambda verb: capitalised(third_person(verb))),
    "NOUN": ("noun", str.upper),
    "a_type": ("type", with_article),
    "nouns": ("noun", plural),
    "a_noun": ("noun", with_article),
    "a_good": ("good", with_article),
    "a_bad": ("bad", with_article),
}


class Frame(Contract):
    """A template family: its text, the kinds of its two sides, and labels of both or of one side."""

    kinds: tuple[str, str]
    text: str
    labels: dict[str, Label] = Field(default_factory=dict[str, Label])
    positive: dict[str, Label] = Field(default_factory=dict[str, Label])
    negative: dict[str, Label] = Field(default_factory=dict[str, Label])

    def sides(self, scene: Scene, slots: Slots) -> tuple[str, str]:
        """The filled text with the property and the one without, spans marked."""
        return fill(self.text, scene, slots)

    def contrast(self, scene: Scene, slots: Slots) -> Contrast:
        """Both sides as sentences of their own."""
        one, other = self.sides(scene, slots)
        return Contrast(
            Side(opened(one), self.kinds[0], self.positive),
            Side(opened(other), self.kinds[1], self.negative),
            self.labels,
        )


Write = Callable[[Frame, Scene, Slots], Contrast]
_FRAMES = TypeAdapter(dict[str, Frame])


def fill(text: str, scene: Scene, slots: Slots) -> tuple[str, str]:
    """The text of both sides: choices first, then slots in the order of the text."""
    chosen: dict[str, str] = {}

    def _chosen(found: re.Match[str]) -> str:
        return chosen.setdefault(found[1], scene.dice.pick(found[1].split("|")))

    while _CHOICE.search(text):
        text = _CHOICE.sub(_chosen, text)
    drawn = values(text, scene, slots)
    one, other = (_SIDES.sub(rf"\{side}", text) for side in (1, 2))
    return slotted(one, drawn), slotted(other, drawn)


def slotted(text: str, drawn: Mapping[str, str]) -> str:
    """The text with every slot replaced by what was drawn for it."""
    return _SLOT.sub(lambda found: drawn[found[0]], text)


def values(text: str, scene: Scene, slots: Slots) -> dict[str, str]:
    """What stands for every slot; forms of one word share it."""
    bases: dict[tuple[str, str], str] = {}
    drawn: dict[str, str] = {}
    for found in _SLOT.finditer(text):
        base, form = (found[1], str) if found[1] in slots else _FORMS.get(found[1], (found[1], str))
        key = base, found[2]
        if key not in bases:
            bases[key] = slots[base](scene) if base in slots else _DRAWN[base](scene)
        drawn[found[0]] = form(bases[key])
    return drawn


@cache
def section(name: str) -> Mapping[str, object]:
    """The JSON object that holds the families of a criterion."""
    folder = resources.files("interp_lab.corpus") / "data" / "criteria"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def framed(name: str, slots: Slots | None = None, *, write: Write = Frame.contrast) -> dict[str, Family]:
    """The families that the data file of a criterion lists, in its order; `write` makes a contrast of a frame."""
    frames = _FRAMES.validate_python(section(name))
    return {family: _family(frame, slots or {}, write) for family, frame in frames.items()}


def _family(frame: Frame, slots: Slots, write: Write) -> Family:
    def family(scene: Scene) -> Contrast:
        return write(frame, scene, slots)

    return family
