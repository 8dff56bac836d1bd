# pyright: standard
"""Pairs of prompts that line up token by token, and what their columns are; a pair that does not is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from interp_lab.contracts.patch_report import ColumnKind
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design

DIFFERING, AFTER, LAST = "differing", "after", "last"
ROLES = (DIFFERING, AFTER, LAST)

Misfit = Literal["not two prompts", "not one of each side", "other length", "same tokens", "two parts"]


@dataclass(frozen=True, eq=False)
class Pair:
    """A clean and a corrupt prompt of one length."""

    clean: TokenizedPrompt
    corrupt: TokenizedPrompt
    number: int
    """Row of the clean prompt."""

    @property
    def differs(self) -> tuple[int, ...]:
        """Positions from the first to the last that differ."""
        places = [i for i, (a, b) in enumerate(zip(self.clean.ids, self.corrupt.ids, strict=True)) if a != b]
        return tuple(range(places[0], places[-1] + 1))

    def places(self, column: int, kind: ColumnKind) -> tuple[int, ...]:
        """Return the positions of a column; none where the pair has no such tokens."""
        if kind == "tokens":
            return (column,)
        own, end = self.differs, len(self.clean) - 1
        after = tuple(range(own[-1] + 1, end))
        last = (end,) if end > own[-1] else ()
        return (own, after, last)[column]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs that can be patched, by half."""

    explore: tuple[Pair, ...]
    confirm: tuple[Pair, ...]
    left_out: Mapping[Misfit, int]
    kind: ColumnKind

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns: of tokens, those of the clean prompt of the first pair, or how they differ."""
        if self.kind == "roles":
            return ROLES
        first, alone = self.explore[0], len(self.explore) == 1
        texts = zip(first.clean.pieces, first.corrupt.pieces, strict=True)
        shown = (a if a == b else f"{a}|{b}" for a, b in texts)
        return tuple(f"{i}: {text}" if alone else f"{i}" for i, text in enumerate(shown))


def pairs_of(inputs: Inputs, design: Design, *, most: int, columns: Literal["auto", ColumnKind]) -> Pairs:
    """Return the pairs that line up, at most so many of each half.

    Raises:
        ImpossibleEdit: No explore pair lines up, or tokens are asked for of pairs unlike in length or place.
    """
    members: dict[str, list[int]] = {}
    for row, prompt in enumerate(inputs.prompts.prompts):
        if prompt.pair is not None:
            members.setdefault(prompt.pair, []).append(row)
    left_out: Counter[Misfit] = Counter()
    found: dict[str, list[Pair]] = {"explore": [], "confirm": []}
    for rows in members.values():
        misfit = _misfit(inputs, design, rows)
        if misfit is not None:
            left_out[misfit] += 1
            continue
        clean, corrupt = sorted(rows, key=lambda row: not design.sample.labels[row])
        found[design.split.parts[clean]].append(Pair(inputs.tokens[clean], inputs.tokens[corrupt], clean))
    explore, confirm = (tuple(found[part][:most]) for part in ("explore", "confirm"))
    if not explore:
        raise ImpossibleEdit(
            f"No pair of prompts can be patched ({_told(left_out) or 'no prompt names a pair'}).",
            remedy="Give pairs of one clean and one corrupt prompt that have as many tokens and differ in some.",
        )
    return Pairs(explore, confirm, dict(left_out), _kind((*explore, *confirm), columns))


def _misfit(inputs: Inputs, design: Design, rows: Sequence[int]) -> Misfit | None:
    if len(rows) != 2:
        return "not two prompts"
    one, other = rows
    if bool(design.sample.labels[one]) == bool(design.sample.labels[other]):
        return "not one of each side"
    if len(inputs.tokens[one]) != len(inputs.tokens[other]):
        return "other length"
    if inputs.tokens[one].ids == inputs.tokens[other].ids:
        return "same tokens"
    return None if design.split.parts[one] == design.split.parts[other] else "two parts"


def _kind(pairs: Sequence[Pair], asked: Literal["auto", ColumnKind]) -> ColumnKind:
    alike = len({(len(pair.clean), pair.differs) for pair in pairs}) == 1
    if asked == "tokens" and not alike:
        raise ImpossibleEdit(
            "The pairs differ in length or in where they differ, so a token's place means nothing across them.",
            remedy="Use columns 'roles', or give pairs of one template.",
        )
    if asked == "auto":
        return "tokens" if alike else "roles"
    return asked


def _told(left_out: Mapping[Misfit, int]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in left_out.items())
