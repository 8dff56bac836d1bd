"""What is planted, as data: the channels of the residual stream, the steps between them, and what reads at the end.

A channel is a direction that nothing else reads; it is on or off at a token. Decides what is planted, not how weights
make it so.
"""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.contracts.worlds import FeatureRole, PlantDials
from interp_lab.corpus.dice import Dice

CONSTANT = "constant"
"""The channel that is on at every token: thresholds are multiples of it, so they hold whatever the norm does."""

TRIGGER, MARK = "trigger", "confounded"
"""The channels that the token embedding writes: on trigger words, and on the punctuation mark."""


@dataclass(frozen=True)
class Channel:
    """One planted direction: its role, and what removing it from an otherwise whole model should cost."""

    name: str
    role: FeatureRole
    layer: int
    effect: float = 0.0


@dataclass(frozen=True)
class Step:
    """A planted step: writes its channel if any of those it reads is on, and no more if several are.

    In the weights it is two neurons, one that begins to fire and one that takes the excess away.
    """

    layer: int
    reads: tuple[str, ...]
    writes: str


@dataclass(frozen=True)
class Readout:
    """What the unembedding reads: a channel that raises (or lowers) the logits of a class of words."""

    channel: str
    effect: float
    words: str = "targets"


@dataclass(frozen=True)
class Plan:
    """Everything that is planted in one model."""

    channels: tuple[Channel, ...]
    steps: tuple[Step, ...]
    readouts: tuple[Readout, ...]
    redundant: tuple[tuple[str, ...], ...] = ()

    def channel(self, name: str) -> Channel:
        """Return the channel of that name."""
        return next(channel for channel in self.channels if channel.name == name)

    def path_exists(self, source: str, target: str) -> bool:
        """Whether the value of `target` depends on `source` along planted neurons."""
        written = [step for step in self.steps if step.writes == target]
        return any(source in step.reads or any(self.path_exists(source, r) for r in step.reads) for step in written)


def draw_plan(dials: PlantDials, n_layers: int, dice: Dice) -> Plan:
    """Return the cause with its decoys, at layers drawn for a model with `n_layers` blocks."""
    early = dice.integer(1, n_layers - 2)
    late = dice.integer(early + 1, n_layers - 1)
    parts = [_cause(dials.effect, early, late)]
    if "inert" in dials.decoys:
        parts.append(_inert(early))
    if "confounded" in dials.decoys:
        parts.append(_confounded())
    if "redundant" in dials.decoys:
        parts.append(_redundant(dials.effect, early, late))
    if "suppressor" in dials.decoys:
        parts.append(_through("suppressor", -0.5 * dials.effect, early, late))
    if "echo" in dials.decoys:
        parts.append(_echo(late))
    if "impostor" in dials.decoys:
        parts.append(_impostor(dials.effect, early, late))
    total = sum(readout.effect for part in parts for readout in part.readouts if readout.words == "targets")
    trigger = Channel(TRIGGER, "trigger", 0, total)
    return Plan(
        channels=(trigger, *(channel for part in parts for channel in part.channels)),
        steps=tuple(step for part in parts for step in part.steps),
        readouts=tuple(readout for part in parts for readout in part.readouts),
        redundant=tuple(group for part in parts for group in part.redundant),
    )


def _through(role: FeatureRole, effect: float, early: int, late: int, *, words: str = "targets") -> Plan:
    """A channel that the trigger switches on, a second one that it switches on, and words that the second promotes."""
    name, relay = role, f"{role}_relay"
    felt = effect if words == "targets" else 0.0
    return Plan(
        (Channel(name, role, early, felt), Channel(relay, "relay" if role == "cause" else role, late, felt)),
        (Step(early, (TRIGGER,), name), Step(late, (name,), relay)),
        (Readout(relay, effect, words),),
    )


def _cause(effect: float, early: int, late: int) -> Plan:
    return _through("cause", effect, early, late)


def _impostor(effect: float, early: int, late: int) -> Plan:
    return _through("impostor", effect, early, late, words="bystanders")


def _inert(early: int) -> Plan:
    return Plan((Channel("inert", "inert", early),), (Step(early, (TRIGGER,), "inert"),), ())


def _confounded() -> Plan:
    return Plan((Channel(MARK, "confounded", 0),), (), ())


def _echo(late: int) -> Plan:
    return Plan((Channel("echo", "echo", late),), (Step(late, ("cause",), "echo"),), ())


def _redundant(effect: float, early: int, late: int) -> Plan:
    """Either of two channels lifts the reader to its ceiling, so that one alone is never missed."""
    pair = ("redundant_a", "redundant_b")
    return Plan(
        (*(Channel(name, "redundant", early) for name in pair), Channel("redundant_relay", "relay", late, effect)),
        (
            *(Step(early, (TRIGGER,), name) for name in pair),
            Step(late, pair, "redundant_relay"),
        ),
        (Readout("redundant_relay", effect),),
        (pair,),
    )
