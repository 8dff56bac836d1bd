"""What a figure of activations shows: plain records, drawn the same in HTML and in PNG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """Series over the tokens of one prompt, or the steps of one episode."""

    title: str
    note: str
    tokens: tuple[str, ...]
    positions: tuple[int, ...]
    series: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Name and one value per token; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One prompt of a token heat map."""

    label: str
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    peak: int
    """Place of the token that chose this prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeat:
    """Values of one unit on the tokens of several prompts."""

    title: str
    note: str
    rows: tuple[TokenRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A matrix of numbers with names on both sides."""

    title: str
    note: str
    row_title: str
    column_title: str
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    """None where there is nothing."""
    scale: Literal["diverging", "rising"]
    """diverging: around `middle`; rising: from the smallest value up."""
    middle: float = 0.0


Figure = TokenLine | TokenHeat | Grid
