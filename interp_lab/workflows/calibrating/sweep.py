"""The sweep: an easy setting, and from it one thing varied at a time until it breaks. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from interp_lab.contracts.calibrate import SEED_RANGE, WORLDS_PER_SETTING, Axis, CalibrateRequest, Setting, Size
from interp_lab.contracts.worlds import Base, PlantDials
from interp_lab.errors import InvalidRequest

BASES: tuple[Base, ...] = ("tiny-gpt2", "tiny-llama")
"""Bases of the models of one setting, in turn."""

EASY = PlantDials(
    effect=3.0,
    noise=0.0,
    prompts=64,
    confounding=0.5,
    decoys=("inert", "confounded", "redundant", "suppressor", "echo", "impostor"),
)
_ALONE = ("inert", "confounded", "suppressor", "echo", "impostor")
"""Decoys without redundancy."""
_SAME_WORDS = ("inert", "confounded", "redundant", "suppressor", "echo")
"""Decoys without an impostor: where the pipeline chooses the words, those that it promotes may be among them."""

_HOLDS: dict[Axis, tuple[Any, ...]] = {
    "easy": ("",),
    "effect": (2.0, 6.0),
    "prompts": (128, 256),
    "redundancy": ("none",),
    "targets": ("chosen",),
    "base": ("builtin:pocket-gpt2", "builtin:pocket-llama"),
}
"""Settings as easy as the easy one, to which the bars apply; chosen before any reported run."""

_VALUES: dict[Size, dict[Axis, tuple[Any, ...]]] = {
    "small": {"easy": ("",), "effect": (2.0, 6.0), "redundancy": ("none",)},
    "held": {"easy": ("",), "effect": (2.0, 6.0), "redundancy": ("none",), "targets": ("chosen",)},
    "whole": {
        "easy": ("",),
        "effect": (0.1, 0.25, 0.5, 1.0, 2.0, 6.0),
        "noise": (0.02, 0.05, 0.1, 0.3),
        "prompts": (24, 40, 128, 256),
        "redundancy": ("none",),
        "confounding": (0.7, 0.9),
        "targets": ("chosen",),
        "base": ("builtin:pocket-gpt2", "builtin:pocket-llama"),
    },
}


class Draw(NamedTuple):
    """One model to be made."""

    setting: Setting
    seed: int


def settings_of(size: Size) -> tuple[Setting, ...]:
    """Return the settings of a sweep."""
    return tuple(_setting(axis, value) for axis, values in _VALUES[size].items() for value in values)


def draws(request: CalibrateRequest) -> Iterator[Draw]:
    """Yield every model with a seed of its own, settings in turn, so that a part of the run shows all of them.

    Raises:
        InvalidRequest: The seeds would run from the range for development into the one for reported figures.
    """
    settings, each = settings_of(request.size), worlds_per_setting(request)
    last = request.first_seed + len(settings) * each - 1
    if request.first_seed // SEED_RANGE != last // SEED_RANGE:
        raise InvalidRequest(
            f"Seeds {request.first_seed} to {last} lie in two ranges; 0-999 are for development, 1000-1999 for "
            "reported figures.",
            remedy="Choose a first_seed or fewer worlds, so that all lie in one.",
        )
    for place in range(len(settings) * each):
        turn, number = divmod(place, len(settings))
        yield Draw(_on_base(settings[number], turn + number), request.first_seed + place)


def worlds_per_setting(request: CalibrateRequest) -> int:
    """Return the models per setting."""
    return request.worlds or WORLDS_PER_SETTING[request.size]


def _setting(axis: Axis, value: Any) -> Setting:
    fixed = {"easy": {}, "redundancy": {"decoys": _ALONE}, "targets": {"decoys": _SAME_WORDS}}
    dials = PlantDials.model_validate(EASY.model_dump() | fixed.get(axis, {axis: value}))
    holds = value in _HOLDS.get(axis, ())
    return Setting(axis=axis, value=str(value), meant_to_hold=holds, dials=dials, targets_given=axis != "targets")


def _on_base(setting: Setting, turn: int) -> Setting:
    if setting.axis == "base":
        return setting
    dials = setting.dials.model_copy(update={"base": BASES[turn % len(BASES)]})
    return setting.model_copy(update={"dials": dials})
