# pyright: standard
"""Every run as one JSON line, in the record format that other tools exchange: what was done, before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interp_lab.statistics.clustered_mean import MeanEstimate
from interp_lab.store.interchange.interventions import SCHEMA
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.intervening.measure import Measured, Runs
from interp_lab.workflows.intervening.trials import Trial
from interp_lab.workflows.intervening.units import Subject

_WORDS = {
    "ablate_zero": "ablate", "ablate_mean": "ablate", "ablate_resample": "ablate", "suppress": "suppress",
    "amplify": "amplify", "clamp": "clamp", "steer": "steer", "patch": "patch",
}  # fmt: skip
_CONTROL_TYPES = {
    "random_direction": "random",
    "matched_latent": "matched_frequency",
    "other_head": "random_feature",
    "wrong_sign": "negative_control",
    "placebo": "placebo",
}


def record_lines(
    inputs: Inputs,
    subjects: Sequence[Subject],
    measured: Measured,
    *,
    criterion: str,
    metric: str,
    tokens: Mapping[str, Any],
    looks: Sequence[int],
    can_move: bool,
) -> Iterator[str]:
    """Yield one line per run on a positive; runs of controls say so in `metadata.control_type`.

    `looks` says of every subject how often its confirm prompts were asked before, `can_move` whether the metric has
    room: whoever grades from these lines alone must know what the report knows.
    """
    for part, runs in zip(("explore", "confirm"), measured.records, strict=False):
        column = runs.names.index(metric)
        for row, prompt in enumerate(runs.prompts):
            for place, trial in enumerate(runs.trials):
                before = float(runs.base[row, column])
                shift = _shift(measured, trial, part) if trial.role == "effect" else None
                record = {
                    "schema_version": SCHEMA,
                    "model": inputs.request.model.id,
                    "feature_id": _name(trial, subjects),
                    "intervention": _WORDS[trial.edit],
                    "baseline_score": before,
                    "intervention_score": before + float(runs.change[row, place, column]),
                    "criterion": criterion,
                    "prompt_id": inputs.prompts.prompts[prompt].id,
                    "side_effect_score": None if shift is None else shift.mean,
                    "metadata": _metadata(runs, trial, place, row, part=part, metric=metric)
                    | ({} if shift is None else {"side_effect_upper": shift.high})
                    | {"earlier_looks": max(looks[i] for i in trial.subjects), "metric_can_move": can_move}
                    | dict(tokens),
                }
                yield json.dumps(record, allow_nan=False)


def _shift(measured: Measured, trial: Trial, part: str) -> MeanEstimate | None:
    """How far the same edit moves the negatives of the same part."""
    key = (trial.subjects, trial.edit)
    found = measured.doses.get(key, ()) if part == "explore" else (measured.confirm.get(key),)
    return next((each.shift for each in found if each and each.trial.strength == trial.strength), None)


def _metadata(runs: Runs, trial: Trial, place: int, row: int, *, part: str, metric: str) -> dict[str, Any]:
    first = trial.variant.edits[0]
    found: dict[str, Any] = {
        "behavior_score": metric,
        "part": part,
        "edit": trial.edit,
        "where": first.where,
        "address": str(first.target.writes),
        "requested_strength": trial.strength,
        "relative_size": float(runs.size[row, place]),
        "dose_sign": int(runs.sign[row, place]),
    }
    if trial.role != "effect":
        found["control_type"] = _CONTROL_TYPES[trial.role]
    return found


def _name(trial: Trial, subjects: Sequence[Subject]) -> str:
    return "+".join(subjects[place].key for place in trial.subjects)
