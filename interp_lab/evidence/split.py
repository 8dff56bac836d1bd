"""The one split of a dataset into rows that may suggest a claim and rows that may grade it.

Groups stay whole, every part gets its share of positives and of negatives, and the result depends on the seed and
on what the prompts say, never on the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from interp_lab.errors import GroupsLeak, InvalidRequest, ShapeMismatch, SplitImpossible
from interp_lab.evidence.groups import normalise

Part = Literal["train", "explore", "confirm"]

DEFAULT_SHARES: Mapping[Part, float] = {"explore": 0.5, "confirm": 0.5}
"""Equal halves: what is found with one half must be seen again with as much power in the other."""
LEAST_GROUPS = 2
"""Groups of each label that explore and confirm need; fewer have no spread."""


@dataclass(frozen=True, slots=True)
class Split:
    """The part of every row, and the content keys of the groups in each part."""

    parts: tuple[Part, ...]
    group_keys: tuple[str, ...]
    """Per row, the content hash of its group: the same in every run that sees the same prompts."""
    seed: int

    def rows(self, part: Part) -> list[int]:
        """Return the row indices of this part."""
        return [i for i, own in enumerate(self.parts) if own == part]

    def keys(self, part: Part) -> frozenset[str]:
        """Return the group keys of this part, by which re-use of rows is recognised."""
        return frozenset(key for key, own in zip(self.group_keys, self.parts, strict=True) if own == part)


@dataclass(frozen=True, slots=True)
class _Group:
    key: str
    rank: str
    n_positive: int
    n_rows: int

    @property
    def kind(self) -> str:
        if 0 < self.n_positive < self.n_rows:
            return "both"
        return "positive" if self.n_positive else "negative"


def split_groups(
    texts: Sequence[str],
    labels: Sequence[bool],
    groups: Sequence[int],
    *,
    seed: int,
    shares: Mapping[Part, float] = DEFAULT_SHARES,
) -> Split:
    """Return the split of these prompts; `shares` are relative sizes of the parts.

    Raises:
        ShapeMismatch: texts, labels and groups differ in length.
        InvalidRequest: a share is not positive.
        GroupsLeak: two groups hold the same text.
        SplitImpossible: a part would have fewer than two groups of a label.
    """
    if not len(texts) == len(labels) == len(groups):
        raise ShapeMismatch(f"{len(texts)} texts, {len(labels)} labels and {len(groups)} groups.")
    if not shares or min(shares.values()) <= 0:
        raise InvalidRequest(f"Every share of a split must be positive, got {dict(shares)}.")
    _refuse_leaks(texts, groups)
    summary = _summaries(texts, labels, groups, seed)
    assigned = _deal(summary.values(), shares)
    _require_both_labels(summary.values(), assigned, shares)
    keys = [summary[group].key for group in groups]
    return Split(tuple(assigned[key] for key in keys), tuple(keys), seed)


def _refuse_leaks(texts: Sequence[str], groups: Sequence[int]) -> None:
    owner: dict[str, int] = {}
    for row, (text, group) in enumerate(zip(texts, groups, strict=True)):
        if owner.setdefault(normalise(text), group) != group:
            raise GroupsLeak(f"The text of row {row} (numbers aside) also stands in another group.")


def _summaries(texts: Sequence[str], labels: Sequence[bool], groups: Sequence[int], seed: int) -> dict[int, _Group]:
    members: defaultdict[int, list[tuple[str, bool]]] = defaultdict(list)
    for text, label, group in zip(texts, labels, groups, strict=True):
        members[group].append((text, bool(label)))
    return {group: _summary(rows, seed) for group, rows in members.items()}


def _summary(rows: list[tuple[str, bool]], seed: int) -> _Group:
    digest = hashlib.sha256()
    for text, label in sorted(rows):
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(encoded)}:{int(label)}:".encode() + encoded)
    key = digest.hexdigest()
    rank = hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
    return _Group(key, rank, sum(label for _, label in rows), len(rows))


def _deal(groups: Iterable[_Group], shares: Mapping[Part, float]) -> dict[str, Part]:
    total = sum(shares.values())
    wanted: dict[Part, float] = {part: share / total for part, share in shares.items()}
    kinds: defaultdict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        kinds[group.kind].append(group)
    assigned: dict[str, Part] = {}
    for kind in sorted(kinds):
        assigned |= _deal_kind(kinds[kind], wanted)
    return assigned


def _deal_kind(groups: list[_Group], wanted: Mapping[Part, float]) -> dict[str, Part]:
    """Give each group to the part that lacks most groups of this kind, and among equals most rows."""
    by_size = sorted(groups, key=lambda g: (-g.n_rows, g.rank))
    # Chance decides among neighbours in size only, so that parts end with similar rows as well as similar groups.
    order = sorted(enumerate(by_size), key=lambda item: (item[0] // len(wanted), item[1].rank))
    n_groups: dict[Part, int] = dict.fromkeys(wanted, 0)
    n_rows: dict[Part, int] = dict.fromkeys(wanted, 0)
    assigned: dict[str, Part] = {}
    for dealt, (_, group) in enumerate(order, start=1):
        seen = sum(n_rows.values()) + group.n_rows
        lack: list[tuple[float, float, Part]] = [
            (round(w * dealt - n_groups[p], 9), w * seen - n_rows[p], p) for p, w in wanted.items()
        ]
        part = max(lack, key=lambda item: item[:2])[2]
        assigned[group.key] = part
        n_groups[part] += 1
        n_rows[part] += group.n_rows
    return assigned


def _require_both_labels(groups: Iterable[_Group], assigned: Mapping[str, Part], parts: Iterable[Part]) -> None:
    listed = list(groups)
    for part in parts:
        own = [group for group in listed if assigned[group.key] == part]
        positive = sum(group.n_positive > 0 for group in own)
        negative = sum(group.n_positive < group.n_rows for group in own)
        if part != "train" and min(positive, negative) < LEAST_GROUPS:
            raise SplitImpossible(
                f"Near-duplicates, pairs and named groups joined, {part} would have {positive} positive and "
                f"{negative} negative groups; {LEAST_GROUPS} of each are the least."
            )
