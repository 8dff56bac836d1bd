"""Slots for names, places, substances and numbers as the documents of the corpus have them; scenes have none."""

from __future__ import annotations

from interp_lab.corpus.criteria.frames import Slots
from interp_lab.corpus.criteria.scene import Scene


def given_name(scene: Scene) -> str:
    """'Clara': a given name that nobody else in the scene has."""
    names = scene.words.names
    return scene.fresh(names.feminine if scene.dice.chance(0.5) else names.masculine)


NAMED: Slots = {
    "given": given_name,
    "surname": lambda scene: scene.fresh(scene.words.names.surnames),
    "city": lambda scene: scene.fresh(scene.words.places.cities),
    "site": lambda scene: scene.fresh(scene.words.places.sites),
    "mass": lambda scene: scene.fresh(scene.words.nouns.mass),
    "container": lambda scene: scene.dice.pick(scene.words.instructions.containers),
    "n": lambda scene: str(scene.dice.integer(2, 90)),
    "digit": lambda scene: str(scene.dice.integer(1, 9)),
    "month": lambda scene: scene.fresh(scene.words.calendar.months),
}
