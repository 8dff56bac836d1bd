"""docs/rates.md, written from the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
_HEAD = """# Rates by simulation

Written by `make bench-rates` from `benchmarks/results/rates.json`; do not edit.

What is said to hold in 95 % of cases, or to be wrong in at most 5 %, on data whose truth is known. Brackets are 95 %
intervals of the simulated rate. A rate in **bold** is worse than stated beyond chance (at 0.05 over all rows of its
table); a rate that is better than stated is a test or an interval on the careful side. Rows of a group share 60 % of
their variance where it has several; families hold both labels, and each of their sides shares a part of its own.
"""
_DISCOVERIES = """## False discoveries

300 columns, called at q ≤ 0.05: the mean share of false ones among what is called, {runs} runs a cell, for three shares
of columns that follow nothing. *Rare* latents are active in a quarter of the groups; columns with a part in common
correlate at about 0.5. In brackets the share of planted columns that is found.
"""
_AUROCS = """## Intervals of an AUROC

Share of {draws:,} intervals that hold the AUROC of groups not yet seen, by that AUROC.
"""
_DIFFERENCES = """## Paired differences of AUROCs

Share of {draws:,} intervals that hold the difference of two scores of the same rows, by the AUROCs of both.
"""
_MEANS = """## Effects

Share of the intervals of {draws:,} draws that hold the mean effect, by number of groups. *Skewed* effects are
exponential, *mostly zero* are those that show in three of ten groups. No interval is given where no group shows
anything; a second number is how often that is. Intervals reach farther away from zero than towards it ([0013](
decisions/0013-how-far-an-interval-of-a-mean-reaches.md)): an effect is called larger than it is in {over} of cases at
most.
"""
_LIMITS = """## What few groups cannot know

The same for effects that are not meant to be covered. *Tail towards none*: most groups show a large effect, a few
little or the opposite (the skewed ones, mirrored). *Mostly near zero*: three of ten groups show an effect, the others
noise of a tenth of its size, so that nothing tells a sample without any of the three from one of no effect. An effect
that shows in a share s of groups is in none of n with probability (1 - s)^n, whatever the method.
"""
_SHARES = """## Shares

Share of {draws:,} intervals that hold the true share, by the number of groups.
"""
_CONTRASTS = """## Effects beyond controls

How often an effect that is exactly as large as that of its controls is called larger, {draws:,} draws a cell; 2.5 % is
what an interval of 95 % allows on this side. With several kinds of control an effect has to exceed the one that goes
farthest, and is called less often still.
"""


def written(found: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for name, write in (
        ("discoveries", _discoveries),
        ("aurocs", _aurocs),
        ("differences", _differences),
        ("means", _means),
        ("shares", _shares),
        ("contrasts", _contrasts),
        ("limits", _limits),
    ):
        if name in found:
            parts.append(write(found[name]["rows"]))
    return "\n".join(parts)


def _discoveries(rows: Sequence[Row]) -> str:
    for_all = [
        row | {"shown": _rate(row) + (f", {row['found']:.2f}" if row["found"] is not None else "")} for row in rows
    ]
    table = _table(for_all, ("design", "columns"), "null_share", "of columns follow nothing", shown="shown")
    return _DISCOVERIES.format(runs=rows[0]["runs"]) + table


def _aurocs(rows: Sequence[Row]) -> str:
    return _AUROCS.format(draws=rows[0]["draws"]) + _table(rows, ("design", "n_groups"), "truth", "")


def _differences(rows: Sequence[Row]) -> str:
    return _DIFFERENCES.format(draws=rows[0]["draws"]) + _table(rows, ("design", "n_groups"), "truth", "")


def _means(rows: Sequence[Row]) -> str:
    over = max(row["truth_below"] / row["draws"] for row in rows)
    return _MEANS.format(draws=_draws(rows), over=f"{100 * over:.1f} %") + _effects(rows)


def _limits(rows: Sequence[Row]) -> str:
    return _LIMITS + _effects(rows)


def _draws(rows: Sequence[Row]) -> int:
    return max(row["draws"] for row in rows)


def _effects(rows: Sequence[Row]) -> str:
    shown = [row | {"shown": _rate(row) + (f", none {row['none']:.2f}" if row["none"] else "")} for row in rows]
    return _table(shown, ("design", "rows"), "n_groups", "groups", shown="shown")


def _shares(rows: Sequence[Row]) -> str:
    return _SHARES.format(draws=rows[0]["draws"]) + _table(rows, ("design", "rows"), "n_groups", "groups")


def _contrasts(rows: Sequence[Row]) -> str:
    return _CONTRASTS.format(draws=rows[0]["draws"]) + _table(rows, ("design", "rows"), "n_groups", "groups")


def _table(rows: Sequence[Row], names: Sequence[str], across: str, unit: str, *, shown: str = "") -> str:
    columns = list(dict.fromkeys(row[across] for row in rows))
    heads = [_NAMES.get(name, name) for name in names] + [f"{column} {unit}".strip() for column in columns]
    lines = ["", _line(heads), "|---" * len(heads) + "|"]
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        cells = {row[across]: row for row in rows if tuple(row[name] for name in names) == key}
        values = [
            (cells[column][shown] if shown else _rate(cells[column])) if column in cells else "–" for column in columns
        ]
        lines.append(_line([*map(str, key), *values]))
    return "\n".join([*lines, ""])


_NAMES = {"n_groups": "groups", "rows": "rows of a group", "design": "design"}


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(row: Row) -> str:
    rate = f"{row['rate']:.3f}"
    return f"{f'**{rate}**' if row['off'] else rate} [{row['low']:.3f}, {row['high']:.3f}]"
