"""The sweep: a probe per column, the best chosen on explore examples, its confirm score beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp_lab.contracts.probe import ProbeControl
from interp_lab.evidence.facts import AdjustedReading, AssociationEvidence, Reading
from interp_lab.evidence.grade import Grading, grade
from interp_lab.evidence.split import Part
from interp_lab.methods.confounds import SOLVES_FROM, control_confounds
from interp_lab.methods.probe.controls import (
    Spread,
    constant_guess,
    random_directions,
    shuffled_targets,
    spread_of,
    token_table,
)
from interp_lab.methods.probe.fit import Prepared, Probe, mean_difference, train
from interp_lab.methods.probe.target import score_predictions
from interp_lab.methods.surface import bag_of_words, surface_features
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.basis import smooth_basis
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.statistics.family_wise import holm
from interp_lab.statistics.prediction_score import PredictionScore
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.probing.design import Design
from interp_lab.workflows.probing.examples import activations, positions_of, texts_of
from interp_lab.workflows.querying.view import StoreView

TEXT_CONTROLS = frozenset({"surface", "words", "token_identity"})


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """One column: its probe and its scores on examples that did not train it."""

    key: str
    probe: Probe
    explore: PredictionScore
    confirm: PredictionScore


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """All columns."""

    columns: tuple[Probed, ...]

    @property
    def best(self) -> Probed:
        """The column with the best explore score; confirm scores choose nothing."""
        return max(self.columns, key=lambda column: column.explore.value)

    def p_holm(self) -> list[float]:
        """Return the corrected p of every column's confirm score."""
        return [float(p) for p in holm([column.confirm.p for column in self.columns])]

    def q_explore(self) -> float:
        """Return the best column's explore p, corrected over all columns that were looked at."""
        q = benjamini_hochberg([column.explore.p for column in self.columns])
        return float(q[self.columns.index(self.best)])


@dataclass(frozen=True, slots=True, eq=False)
class BestColumn:
    """What is measured of the best column alone."""

    controls: tuple[ProbeControl, ...]
    grading: Grading | None
    mean_difference: Floats | None
    projection_std: Floats
    activation_norm: float


def sweep(view: StoreView, plan: Design, keys: Sequence[str], *, seed: int, step: Callable[[int, str], None]) -> Sweep:
    """Return a probe per column; `step` is told the number of the column that is being read."""
    found: list[Probed] = []
    for number, key in enumerate(keys):
        step(number, key)
        values = activations(view, key, plan.examples)
        prepared = Prepared.of(values[plan.rows("train")])
        probe = train(prepared, plan.target("train"), plan.groups("train"), seed=seed)
        scores = {part: _score(plan, part, probe.linear.scores(values[plan.rows(part)])) for part in _HELD_OUT}
        found.append(Probed(key, probe, scores["explore"], scores["confirm"]))
    return Sweep(tuple(found))


def measure_best(view: StoreView, plan: Design, found: Sweep, *, seed: int) -> BestColumn:
    """Return the controls of the best column on the confirm examples, and the grade of a binary target."""
    best = found.best
    values = activations(view, best.key, plan.examples)
    training = values[plan.rows("train")]
    surface = _surface(view, plan)
    controls = (
        *_chance_controls(plan, best, training=training, confirm=values[plan.rows("confirm")], seed=seed),
        *_text_controls(view, plan, surface, seed),
    )
    binary = plan.examples.target.task == "binary"
    directions = best.probe.linear.directions
    lengths = np.linalg.norm(directions, axis=0)
    return BestColumn(
        controls=controls,
        grading=_grading(plan, found, values, surface=surface, controls=controls) if binary else None,
        mean_difference=mean_difference(training, plan.target("train")) if binary else None,
        projection_std=(training @ (directions / np.where(lengths > 0, lengths, 1.0))).std(axis=0),
        activation_norm=float(np.linalg.norm(training, axis=1).mean()),
    )


_HELD_OUT: tuple[Part, ...] = ("explore", "confirm")


def _score(plan: Design, part: Part, predicted: Floats) -> PredictionScore:
    return score_predictions(predicted, plan.target(part), plan.groups(part))


def _chance_controls(plan: Design, best: Probed, *, training: Any, confirm: Any, seed: int) -> Iterator[ProbeControl]:
    prepared, target = Prepared.of(training), plan.target("train")
    held_out = plan.target("confirm")
    shuffled = shuffled_targets(prepared, target, plan.groups("train"), penalty=best.probe.penalty, seed=seed)
    yield _drawn("shuffled_targets", spread_of(shuffled, confirm, held_out))
    yield _drawn("random_directions", spread_of(random_directions(prepared, target, seed=seed), confirm, held_out))
    guess = round(constant_guess(target, held_out), 4)
    yield ProbeControl(name="constant_guess", score=guess, low=guess, high=guess)


def _text_controls(view: StoreView, plan: Design, surface: dict[str, Floats], seed: int) -> Iterator[ProbeControl]:
    if surface:
        columns = np.stack(list(surface.values()), axis=1)
        basis = smooth_basis(columns, np.unique(plan.examples.groups).size)
        yield _scored("surface", _fitted_score(plan, basis, seed))
    if plan.examples.pooling != "none":
        words = bag_of_words(texts_of(view, plan.examples))
        if words.shape[1]:
            yield _scored("words", _fitted_score(plan, words, seed))
        return
    tokens = _token_codes(view, plan)
    if tokens is not None:
        rows = {part: plan.rows(part) for part in ("train", "confirm")}
        table = token_table(tokens[rows["train"]], plan.target("train"), tokens[rows["confirm"]])
        yield _scored("token_identity", _score(plan, "confirm", table))


def _fitted_score(plan: Design, features: Floats, seed: int) -> PredictionScore:
    prepared = Prepared.of(features[plan.rows("train")])
    probe = train(prepared, plan.target("train"), plan.groups("train"), seed=seed)
    return _score(plan, "confirm", probe.linear.scores(features[plan.rows("confirm")]))


def _surface(view: StoreView, plan: Design) -> dict[str, Floats]:
    """Return what can be counted without a model: of the text where examples are prompts, else of the token."""
    examples = plan.examples
    if examples.pooling == "none":
        features = {"position": positions_of(view, examples)}
        tokens = view.tokens
        texts: list[str] = tokens.texts.to_pylist()
        own = tokens.codes[examples.rows]
        if texts and bool((own >= 0).all()):
            per_text = surface_features(texts)
            features |= {name: column[own] for name, column in per_text.items()}
        return {name: column for name, column in features.items() if np.ptp(column) > 0}
    n_rows = np.bincount(view.row_prompt, minlength=view.prompts.num_rows)[examples.prompts]
    features = surface_features(texts_of(view, examples), n_tokens=n_rows.tolist())
    return {name: column for name, column in features.items() if np.ptp(column) > 0}


def _token_codes(view: StoreView, plan: Design) -> Ints | None:
    codes = view.tokens.codes[plan.examples.rows]
    return codes.astype(np.intp) if bool((codes >= 0).all()) else None


def _grading(
    plan: Design, found: Sweep, values: Any, *, surface: dict[str, Floats], controls: Sequence[ProbeControl]
) -> Grading:
    best, rows = found.best, plan.rows("confirm")
    scores = best.probe.linear.scores(values[rows])
    samples = {part: Sample.of(plan.target(part).values > 0, plan.groups(part)) for part in _HELD_OUT}
    adjusted = control_confounds(
        scores, samples["confirm"], numeric={name: column[rows] for name, column in surface.items()}
    )
    solved = {control.name for control in controls if control.name in TEXT_CONTROLS and control.score >= SOLVES_FROM}
    return grade(
        AssociationEvidence(
            explore=_reading(plan, "explore", best.explore, samples["explore"], q=found.q_explore()),
            confirm=_reading(plan, "confirm", best.confirm, samples["confirm"], q=best.confirm.p),
            adjusted=AdjustedReading(
                float(adjusted.auroc[0]), float(adjusted.low[0]), float(adjusted.high[0]), adjusted.separable
            ),
            solved_by=tuple(sorted(solved - {"words", "token_identity"})),
            words_solve=bool(solved & {"words", "token_identity"}),
        )
    )


def _reading(plan: Design, part: Part, score: PredictionScore, sample: Sample, *, q: float) -> Reading:
    return Reading(
        auroc=score.value,
        low=score.low,
        high=score.high,
        q=q,
        n_positive_groups=sample.n_positive_groups,
        n_negative_groups=sample.n_negative_groups,
        rows=plan.split.keys(part),
    )


def _drawn(name: Any, spread: Spread) -> ProbeControl:
    low, mean, high = (round(number, 4) for number in (spread.low, spread.mean, spread.high))
    return ProbeControl(name=name, score=mean, low=low, high=high, draws=spread.draws)


def _scored(name: Any, score: PredictionScore) -> ProbeControl:
    low, value, high = (round(number, 4) for number in (score.low, score.value, score.high))
    return ProbeControl(name=name, score=value, low=low, high=high)
