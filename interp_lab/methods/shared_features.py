"""Which units of several models belong together, by the pairs of them that were matched.

Units are a family if a chain of matches leads from one to the other. A chain is as good as its weakest link: of all
chains between two units the one whose worst q is smallest counts, and nothing that was matched only through others is
called matched itself.

Source: the smallest bottleneck between two nodes lies on a minimum spanning tree (Hu 1961, The maximum capacity route
problem).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Pair = tuple[int, int]


class Chain(NamedTuple):
    """How two members of a family hang together."""

    left: int
    right: int
    weakest: float
    """Largest q on the best chain of matches between them."""
    direct: bool
    """Whether the two were matched themselves."""


class Family(NamedTuple):
    """Units that hang together."""

    members: tuple[int, ...]
    chains: tuple[Chain, ...]
    """Every two members."""
    weakest: float
    """Largest q without which the family would fall apart."""


def families(matches: Mapping[Pair, float]) -> tuple[Family, ...]:
    """Return families of two units or more, the largest first; `matches` gives the q of each pair that was matched."""
    tree = _spanning(matches)
    near: dict[int, dict[int, float]] = {}
    for (one, two), q in tree.items():
        near.setdefault(one, {})[two] = q
        near.setdefault(two, {})[one] = q
    known = {pair for one, two in matches for pair in ((one, two), (two, one))}
    found: list[Family] = []
    left = set(near)
    while left:
        start = min(left)
        members = tuple(sorted({start, *_reached(start, near)}))
        left -= set(members)
        chains = tuple(
            Chain(one, two, worst[two], (one, two) in known)
            for place, one in enumerate(members[:-1])
            for worst in [_reached(one, near)]
            for two in members[place + 1 :]
        )
        found.append(Family(members, chains, max(chain.weakest for chain in chains)))
    return tuple(sorted(found, key=lambda family: (-len(family.members), family.weakest)))


def _spanning(matches: Mapping[Pair, float]) -> dict[Pair, float]:
    """Return the matches that are left when each that closes a circle of better ones is taken out."""
    root: dict[int, int] = {}

    def top(unit: int) -> int:
        while root.setdefault(unit, unit) != unit:
            unit = root[unit]
        return unit

    kept: dict[Pair, float] = {}
    for pair, q in sorted(matches.items(), key=lambda item: (item[1], item[0])):
        one, two = top(pair[0]), top(pair[1])
        if one != two:
            root[one] = two
            kept[pair] = q
    return kept


def _reached(start: int, near: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """Return every other unit of the tree with the largest q on the way to it."""
    worst: dict[int, float] = {}
    open_: Sequence[tuple[int, float]] = [(start, 0.0)]
    while open_:
        after: list[tuple[int, float]] = []
        for unit, q in open_:
            for other, step in near[unit].items():
                if other != start and other not in worst:
                    worst[other] = max(q, step)
                    after.append((other, worst[other]))
        open_ = after
    return worst
