"""The identifiers of one piece of invented Python, as slots of frames."""

from __future__ import annotations

from interp_lab.corpus.criteria.frames import Slots
from interp_lab.corpus.criteria.scene import Scene


def _function_name(scene: Scene) -> str:
    code = scene.words.code
    middle = f"{scene.dice.pick(code.adjectives)}_" if scene.dice.chance(0.4) else ""
    return f"{scene.dice.pick(code.verbs)}_{middle}{scene.fresh(code.nouns)}"


CODE: Slots = {
    "fname": _function_name,
    "verb": lambda scene: scene.fresh(scene.words.code.verbs),
    "noun": lambda scene: scene.fresh(scene.words.code.nouns),
    "arg": lambda scene: scene.fresh(scene.words.code.nouns),
    "adj": lambda scene: scene.fresh(scene.words.code.adjectives),
    "type": lambda scene: scene.dice.pick(scene.words.code.types),
    "cls": lambda scene: scene.fresh(scene.words.code.classes),
    "module": lambda scene: scene.fresh(scene.words.code.modules),
    "exc": lambda scene: scene.dice.pick(scene.words.code.exceptions),
    "purpose": lambda scene: scene.fresh(scene.words.code.purposes),
    "n": lambda scene: str(scene.dice.integer(2, 99)),
}
