# pyright: standard
"""What else two units may have in common: directions through a fitted map, promoted tokens, measured effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.compare import DirectionMap
from interp_lab.contracts.intervene import REPORT_KIND
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest, NoUnembedding
from interp_lab.evidence.reasons import Reason
from interp_lab.jobs.run import Run
from interp_lab.methods.direction_map import LinearMap, cosine, fit_map
from interp_lab.methods.logit_contribution import logit_contribution
from interp_lab.models.unembedding import Unembedding, read_unembedding
from interp_lab.models.vocabulary import read_vocabulary
from interp_lab.points import Address
from interp_lab.workflows.comparing.pairs import Pair
from interp_lab.workflows.comparing.sides import ReadSide

LEAST_R2 = 0.3
"""A map that explains less of held-out prompts carries no direction."""
N_PROMOTED = 20
_MAX_BYTES = 64 * 2**20


Places = Address | None
"""Where in the residual stream a unit is."""
Maps = dict[tuple[Places, Places], LinearMap]
"""Fitted maps by the places that they lie between."""


def fitted_maps(left: ReadSide, right: ReadSide, pairs: Sequence[Pair], run: Run) -> Maps:
    """Return a map for every two places of the residual stream that pairs lie at and that can be read."""
    places = [(left.stream_address(pair.left), right.stream_address(pair.right)) for pair in pairs]
    usable = [(a, b) for a, b in dict.fromkeys(places) if a is not None and b is not None]
    if not usable or not left.plan.rows("confirm").size:
        return {}
    ours = left.mean_rows(tuple(dict.fromkeys(a for a, _ in usable)), run)
    theirs = right.mean_rows(tuple(dict.fromkeys(b for _, b in usable)), run)
    return {(a, b): _fitted(ours[a], theirs[b], left) for a, b in usable if a in ours and b in theirs}


def direction_cosines(left: ReadSide, right: ReadSide, pairs: Sequence[Pair], maps: Maps) -> dict[Pair, float]:
    """Return the cosine of each pair whose left direction a map that holds can carry."""
    found: dict[Pair, float] = {}
    for pair in pairs:
        fitted = maps.get((left.stream_address(pair.left), right.stream_address(pair.right)))
        one, two = left.direction(pair.left), right.direction(pair.right)
        if fitted is not None and fitted.held_out_r2 >= LEAST_R2 and one is not None and two is not None:
            found[pair] = cosine(fitted.carried(one), two)
    return found


def map_records(maps: Maps) -> tuple[DirectionMap, ...]:
    """Return every map that was fitted, as the report has it."""
    return tuple(DirectionMap(left=str(a), right=str(b), held_out_r2=m.held_out_r2) for (a, b), m in maps.items())


def _fitted(ours: np.ndarray, theirs: np.ndarray, left: ReadSide) -> LinearMap:
    """Fit on explore groups, a quarter of them kept to choose the penalty; confirm prompts say how well it holds."""
    explore, confirm = left.plan.rows("explore"), left.plan.rows("confirm")
    groups = left.plan.sample.groups[explore]
    kept = np.isin(groups, np.unique(groups)[::4])
    return fit_map(ours, theirs, fit=explore[~kept], tune=explore[kept], test=confirm)


def promoted(side: ReadSide, columns: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the tokens that each unit's direction promotes; units without one, or without unembedding, left out."""
    directory = side.directory
    if directory is None:
        return {}
    try:
        unembedding = read_unembedding(directory)
    except NoUnembedding:
        return {}
    vocabulary = read_vocabulary(directory)
    found: dict[int, tuple[str, ...]] = {}
    for column in dict.fromkeys(columns):
        tokens = _largest(side, column, unembedding)
        if tokens is not None:
            found[column] = tuple(dict.fromkeys(vocabulary.text(int(token)) for token in tokens))
    return found


def _largest(side: ReadSide, column: int, unembedding: Unembedding) -> np.ndarray | None:
    direction = side.direction(column)
    if direction is None:
        return None
    sign = float(side.explore.sign[column]) or 1.0  # what the unit does where the criterion holds
    made = logit_contribution(sign * direction, unembedding.gain, unembedding.matrix.times, centres=unembedding.centres)
    return made.largest(N_PROMOTED)


def overlap(one: Sequence[str], two: Sequence[str]) -> float:
    """Return the share of words in common, spaces and case apart, of the shorter list."""
    ours, theirs = ({word.strip().casefold() for word in words} - {""} for words in (one, two))
    return len(ours & theirs) / max(1, min(len(ours), len(theirs)))


class Effect(NamedTuple):
    """What an intervention report says of one unit."""

    value: float
    """On confirm prompts."""
    confirmed: bool
    """Whether it exceeds its control there."""
    behaviour: str
    """What was measured: metric, targets and alternatives. Effects on different behaviours cannot agree."""


Effects = Mapping[str, Effect]
"""By unit, as 'ADDRESS #INDEX'."""


def same_behaviour(one: Effect | None, two: Effect | None) -> bool:
    """Return whether both sides have an effect, and on the same behaviour."""
    return one is not None and two is not None and one.behaviour == two.behaviour


def effects_of(side: ReadSide) -> Effects:
    """Return what the intervention reports of a side say.

    Raises:
        InvalidRequest: One is of another model or other prompts, or is no such report.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    found: dict[str, Effect] = {}
    for artifact in side.side.interventions:
        report = _report(artifact, side)
        for unit in report.units:
            confirmed = [edit for edit in unit.edits if edit.confirm is not None]
            if confirmed and confirmed[0].confirm is not None:
                codes = {reason.code for reason in unit.reasons}
                confirm = confirmed[0].confirm
                found[unit.unit] = Effect(confirm.effect, Reason.EFFECT_CONFIRMED.value in codes, _behaviour(report))
    return found


def _behaviour(report: InterveneReport) -> str:
    """Return the behaviour in words that are the same for two models where it is the same."""
    told = report.behaviour
    words = (" ".join(sorted(word.strip() for word in some)) for some in (told.targets, told.alternatives))
    return " | ".join([told.metric, *([told.of] if told.of else []), *words])


def _report(artifact: str, side: ReadSide) -> InterveneReport:
    store = ArtifactStore(WorkspacePaths.of(side.settings))
    store.open_as(artifact, REPORT_KIND)
    try:
        report = InterveneReport.model_validate_json(store.read_file(artifact, "report.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact} is not one this version reads.") from error
    for name, there, here in (
        ("model", report.model.id, side.id),
        ("prompts", report.dataset.sha256, side.prompts_sha256),
    ):
        if there != here:
            raise InvalidRequest(f"The {name} of intervention report {artifact} are not those of this side.")
    return report
