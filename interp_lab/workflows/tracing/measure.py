# pyright: standard
"""Exact effects of chosen sources and their random companions on every target, and their figures pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from interp_lab.contracts.base import Interval
from interp_lab.contracts.path_report import ControlFigures, PathDose, PathFigures
from interp_lab.engine.edits import Unit
from interp_lab.engine.paths.effects import PathRunner, Push
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import NonFiniteActivations
from interp_lab.methods.path_effect import METHOD, Controls, PathEffect, controls_of, path_effect
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.tracing.context import Context
from interp_lab.workflows.tracing.ends import Companions, Ends
from interp_lab.workflows.tracing.shares import Passes, Share

Floats = NDArray[np.float64]
STANDS_OUT = 4.0
"""Times the size of random sources' effects from which a pair is listed before others."""
ControlKind = Literal["random_direction", "matched_latent", "other_coordinate"]
_NOBODY = Companions((), (), ())
Part = Literal["explore", "confirm"]
_EFFECTS = ("base", "total", "passed", "direct", "size", "relative")


class Row(NamedTuple):
    """One edit: a source at one strength, or one of its companions."""

    unit: Unit
    scale: float
    source: int
    """Place of the source; of companions, the one whose values they have, or -1."""
    control: ControlKind | None


@dataclass(frozen=True, eq=False)
class Measured:
    """What all rows did to all targets on some prompts."""

    rows: tuple[Row, ...]
    prompts: tuple[int, ...]
    base: Floats
    """`(n_prompts, n_targets)`."""
    total: Floats
    """`(n_prompts, n_rows, n_targets)`, as are the next two."""
    passed: Floats
    direct: Floats | None
    size: Floats
    """`(n_prompts, n_rows)`."""
    relative: Floats

    @property
    def n_runs(self) -> int:
        """Edited runs; those without effect on a prompt were skipped."""
        return int((self.size > 0).sum()) * (1 if self.direct is None else 2)

    @property
    def scale(self) -> Floats:
        """Typical size of every target, `(n_targets,)`."""
        return typical_size(self.base)

    def row(self, source: int, scale: float) -> int:
        """Return the place of a source's edit."""
        return next(
            i for i, row in enumerate(self.rows) if row.source == source and row.scale == scale and row.control is None
        )

    def mediated(self, row: int) -> Floats:
        """Return the mediated effect of a row, positive if more of the source raises the target."""
        return (self.total[:, row] - self.passed[:, row]) * np.sign(self.rows[row].scale)


def typical_size(base: Floats) -> Floats:
    """Return how large targets `(n_prompts, n_targets)` are unedited: mean size and spread together."""
    return np.abs(base).mean(axis=0) + base.std(axis=0)


def rows_of(
    ends: Ends, chosen: Sequence[int], scales: Sequence[float], companions: Companions = _NOBODY
) -> tuple[Row, ...]:
    """Return the edits: every chosen source at every strength, companions at the first."""
    own = [Row(ends.unit(place), scale, place, None) for place in chosen for scale in scales]
    first, random = scales[0], companions.random
    return (
        *own,
        *(
            Row(unit, first, chosen[i * len(chosen) // len(random)], "random_direction")
            for i, unit in enumerate(random)
        ),
        *(Row(unit, first, -1, "matched_latent") for unit in companions.matched),
        *(Row(unit, first, -1, "other_coordinate") for unit in companions.others),
    )


def measure(
    context: Context,
    ends: Ends,
    rows: Sequence[Row],
    prompts: Sequence[int],
    *,
    what: str,
    share: Share | None = None,
) -> Measured:
    """Return what the rows do to the targets on these prompts; with a share, keep that of its prompts.

    Raises:
        NonFiniteActivations: A target is NaN or infinite.
        ShareDone: The prompts of the share have been run.
    """
    runner, tokens = (
        PathRunner(context.inputs.loaded, [Push(row.unit, row.scale) for row in rows], ends.route),
        context.inputs.tokens,
    )

    def effects(prompt: int) -> dict[str, Tensor]:
        found = runner(tokens[prompt])
        if not bool(found.total.isfinite().all() and found.base.isfinite().all()):
            raise NonFiniteActivations(f"A target is not finite in {tokens[prompt].id}.")
        each = {name: getattr(found, name) for name in _EFFECTS}
        return {name: tensor for name, tensor in each.items() if tensor is not None}

    asked = [[row.unit.key, row.scale, row.source, row.control] for row in rows]
    passes = Passes.of(context, "edits", [what, asked])
    with matmul_precision():
        found = list(passes.over(prompts, effects, context.run, share, what=what))

    def stacked(name: str) -> Floats:
        return np.stack([each[name].numpy() for each in found]).astype(np.float64)

    direct = stacked("direct") if ends.route.has_direct else None
    return Measured(
        rows=tuple(rows),
        prompts=tuple(prompts),
        base=stacked("base"),
        total=stacked("total"),
        passed=stacked("passed"),
        direct=direct,
        size=stacked("size"),
        relative=stacked("relative"),
    )


def pair_effects(
    measured: Measured, pairs: Sequence[tuple[int, int]], scale: float, groups: ArrayLike, *, least_share: float
) -> list[PathEffect]:
    """Return the statistics of pairs (source, column) at one strength; `groups` are those of the measured prompts."""
    controls: dict[str, Controls] = dict(_controls(measured))
    found: list[PathEffect] = []
    for source, column in pairs:
        row = measured.row(source, scale)
        length, own = float(measured.size[:, row].mean()), measured.mediated(row)[:, column]
        least = least_share * float(measured.scale[column])
        found.append(
            path_effect(own, groups, source=source, column=column, length=length, controls=controls, least=least)
        )
    return found


def strongest(measured: Measured, sources: Sequence[int], scale: float, n: int) -> list[tuple[int, int]]:
    """Return the pairs that stand out from random sources, largest share of their target first; the others after."""
    rows = [measured.row(source, scale) for source in sources]
    means = np.abs(np.stack([measured.mediated(row).mean(axis=0) for row in rows]))
    lengths = measured.size[:, rows].mean(axis=0)
    sizes = [
        np.maximum(
            np.array([own.reaches.get(s, n) for s, n in zip(sources, lengths, strict=True)])[:, None] * own.spread,
            own.floor,
        )
        for _, own in _controls(measured)
    ]
    ratio = np.min([means / size for size in sizes], axis=0) if sizes else means
    share = means / np.maximum(measured.scale, 1e-30)
    order = np.lexsort((-share.ravel(), ratio.ravel() < STANDS_OUT))[:n]
    return [(sources[int(place) // means.shape[1]], int(place) % means.shape[1]) for place in order]


def figures(
    measured: Measured,
    pairs: Sequence[tuple[int, int]],
    scale: float,
    groups: ArrayLike,
    *,
    part: Part,
    n_searched: int,
    least_share: float,
    has_behaviour: bool,
) -> list[PathFigures]:
    """Return the figures of pairs; q is over `n_searched` pairs, those not measured counting as without effect."""
    effects = pair_effects(measured, pairs, scale, groups, least_share=least_share)
    p = np.array([one.p for one in effects])
    q = benjamini_hochberg(np.concatenate([p, np.ones(max(0, n_searched - p.size))]))[: p.size]
    return [
        _figures(measured, pair, scale, one, q=float(q[place]), part=part, has_behaviour=has_behaviour)
        for place, (pair, one) in enumerate(zip(pairs, effects, strict=True))
    ]


def doses(measured: Measured, source: int, column: int) -> tuple[PathDose, ...]:
    """Return the effects at every strength, not oriented."""
    own = [i for i, row in enumerate(measured.rows) if row.source == source and row.control is None]
    return tuple(
        PathDose(
            scale=measured.rows[i].scale,
            total=_rounded(measured.total[:, i, column].mean()),
            mediated=_rounded((measured.total - measured.passed)[:, i, column].mean()),
            relative_size=_rounded(measured.relative[:, i].mean()),
        )
        for i in sorted(own, key=lambda i: measured.rows[i].scale)
    )


def off_positives(measured: Measured, pair: tuple[int, int], scale: float, groups: ArrayLike) -> float:
    """Return the upper bound of the mean size of a mediated effect on these prompts."""
    source, column = pair
    return _rounded(clustered_mean(np.abs(measured.mediated(measured.row(source, scale))[:, column]), groups).high)


def _controls(measured: Measured) -> Iterator[tuple[ControlKind, Controls]]:
    for kind in get_args(ControlKind):
        rows = [i for i, row in enumerate(measured.rows) if row.control == kind and measured.size[:, i].any()]
        if rows:
            means = (measured.total[:, rows] - measured.passed[:, rows]).mean(axis=0)
            owners = [measured.rows[i].source for i in rows] if kind == "random_direction" else ()
            yield kind, controls_of(means, measured.size[:, rows].mean(axis=0), measured.scale, owners)


def _figures(
    measured: Measured,
    pair: tuple[int, int],
    scale: float,
    one: PathEffect,
    *,
    q: float,
    part: Part,
    has_behaviour: bool,
) -> PathFigures:
    source, column = pair
    row, sign = measured.row(source, scale), float(np.sign(scale))
    effect, typical = one.mediated, float(measured.scale[column])
    return PathFigures(
        part=part,
        n_prompts=effect.n_rows,
        n_groups=effect.n_groups,
        total=_rounded(sign * measured.total[:, row, column].mean()),
        passed_along=_rounded(sign * measured.passed[:, row, column].mean()),
        mediated=_rounded(effect.mean),
        mediated_interval=_interval(effect.low, effect.high, effect.method),
        direct=None if measured.direct is None else _rounded(sign * measured.direct[:, row, column].mean()),
        share=_rounded(effect.mean / typical) if typical > 0 else 0.0,
        controls=tuple(
            ControlFigures(
                kind=cast("ControlKind", kind),
                n=found.n,
                size=_rounded(found.size),
                ratio=_rounded(found.ratio),
                p_value=found.p,
                as_large=found.as_large,
            )
            for kind, found in one.against.items()
        ),
        beyond_control=_interval(one.low, one.high, METHOD),
        p_value=one.p,
        q_value=q,
        sign_consistency=_rounded(one.consistency),
        behaviour=_rounded(sign * measured.total[:, row, -1].mean()) if has_behaviour else None,
    )


def _interval(low: float, high: float, method: str) -> Interval:
    return Interval(low=_rounded(low), high=_rounded(high), method=method)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
