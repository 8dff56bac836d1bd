"""Every kind of world and how one is made: kind, seed and dials in, a finished and verified world out."""
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from pydantic import ValidationError

from interp_lab.contracts.base import Contract
from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.contracts.worlds import Check, CircuitDials, PairDials, PlantDials
from interp_lab.errors import ImpossibleWorld, WorldNotVerified
from interp_lab.worlds.circuits.build import circuit_world
from interp_lab.worlds.folder import World
from interp_lab.worlds.pairs import diff_world, twins_world
from interp_lab.worlds.planted import planted_world
from interp_lab.worlds.sparse.build import sparse_world

DEVELOPMENT_SEEDS = range(1000)
"""For building and tuning."""

REPORTING_SEEDS = range(1000, 2000)
"""For figures that are reported; nothing is ever tuned on them."""


class Kind(NamedTuple):
    """One kind of world."""

    dials: type[Contract]
    make: Callable[[Any, int], World]
    what: str


KINDS: Mapping[str, Kind] = {
    "planted": Kind(PlantDials, planted_world, "a cause with its decoys, planted into one model by rank-one edits"),
    "induction": Kind(CircuitDials, partial(circuit_world, "induction"), "induction heads in two attention layers"),
    "proportion": Kind(CircuitDials, partial(circuit_world, "proportion"), "the share of earlier words of a class"),
    "reverse": Kind(CircuitDials, partial(circuit_world, "reverse"), "words in reverse order after a separator"),
    "gates": Kind(CircuitDials, partial(circuit_world, "gates"), "AND, OR and XOR units over two words"),
    "twins": Kind(PairDials, twins_world, "one concept in two models of different family, width and basis"),
    "diff": Kind(PairDials, diff_world, "a base model and its planted twin"),
    "dictionary": Kind(DictionaryDials, partial(sparse_world, "dictionary"), "activations of known features"),
    "transcoder": Kind(DictionaryDials, partial(sparse_world, "transcoder"), "features in, a map of them out"),
    "crosscoder": Kind(DictionaryDials, partial(sparse_world, "crosscoder"), "shared and exclusive features"),
    "absorption": Kind(DictionaryDials, partial(sparse_world, "absorption"), "absorption at known rates"),
}


def make_world(kind: str, seed: int, **dials: Any) -> World:
    """Return a finished world whose every check holds.

    Raises:
        ImpossibleWorld: There is no such kind, or the dials do not fit it.
        WorldNotVerified: An intervention did not show what the construction implies.
    """
    if kind not in KINDS:
        raise ImpossibleWorld(f"There is no kind {kind[:80]!r}; there are: {', '.join(KINDS)}.")
    row = KINDS[kind]
    try:
        chosen = row.dials.model_validate(dials)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ImpossibleWorld(f"Dial {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    world = row.make(chosen, seed)
    if not getattr(chosen, "noise", 0.0):
        refuse_unverified(world.truth)
    return world


def refuse_unverified(truth: Contract) -> None:
    """Check every claim of a truth.

    Raises:
        WorldNotVerified: naming the first claims that do not hold.
    """
    failed = [check for check in checks_in(truth) if not check.holds]
    if failed:
        named = "; ".join(f"{c.name}: expected {c.expected:.3g}, measured {c.measured:.3g}" for c in failed[:3])
        raise WorldNotVerified(f"{len(failed)} checks fail: {named}.")


def checks_in(record: Contract) -> Iterator[Check]:
    """Yield every check of a truth, those of its parts included."""
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Contract):
            yield from checks_in(value)
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Check))
