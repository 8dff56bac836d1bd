# pyright: standard
"""Every steered text as an intervention record of interp-lab 3, one JSON line per prompt and arm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from interp_lab.bridges.peer_steering import feature_id
from interp_lab.contracts.steer import SteerReport
from interp_lab.workflows.steering.arms import Written
from interp_lab.workflows.steering.measure import Confirmed, Explored, Half

SCHEMA = "interp-lab.intervention_record.v1"
_CONTROLS = {"random_direction": "random", "opposite": "negative_control"}


def record_lines(
    report: SteerReport, *, block: int, halves: tuple[Half, Half], found: tuple[Explored, Confirmed | None]
) -> Iterator[str]:
    """Yield the records of the chosen strength, on both halves: rows of several strengths would be read as one."""
    explored, confirmed = found
    for written in (explored.steered[explored.best], explored.random[explored.best]):
        yield from _lines(report, block, written, part=("explore", halves[0], explored.plain))
    if confirmed is not None:
        for written in (confirmed.steered, confirmed.opposite, *confirmed.random):
            yield from _lines(report, block, written, part=("confirm", halves[1], confirmed.plain))


def _lines(report: SteerReport, block: int, written: Written, *, part: tuple[str, Half, Written]) -> Iterator[str]:
    name, half, plain = part
    metadata: dict[str, Any] = {
        "behavior_score": report.scorer,
        "part": name,
        "address": report.address,
        "layer": block + 1,
        "steer_strength": abs(written.strength) * report.residual_norm,
        "steer_sign": -1 if (written.strength < 0) is not (written.name == "opposite") else 1,
        "selected_strength": report.strength * report.residual_norm,
        "target_token_strategy": "explicit",
        "target_tokens": list(report.targets),
    }
    if written.name in _CONTROLS:
        metadata["control_type"] = _CONTROLS[written.name]
    for place, prompt in enumerate(half.prompts):
        record = {
            "schema_version": SCHEMA,
            "model": report.model.id,
            "feature_id": feature_id(block, report.criterion),
            "intervention": "steer",
            "criterion": report.criterion,
            "prompt_id": prompt.id,
            "baseline_score": float(plain.score[place]),
            "intervention_score": float(written.score[place]),
            "side_effect_score": None,
            "metadata": metadata,
        }
        yield json.dumps(record, allow_nan=False)
