"""Intervention records are read strictly: what is wrong is named by its line, and criteria are never mixed."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from interp_lab.errors import MalformedFile
from interp_lab.store.interchange.interventions import InterventionRecord, read_interventions

ROW: dict[str, Any] = {
    "model": "m",
    "feature_id": "L3:D7",
    "intervention": "Ablate",
    "baseline_score": 0.75,
    "intervention_score": 0.5,
    "criterion": "units",
    "prompt_id": "p1",
    "metadata": {"behavior_score": "target_token_probability_mass", "dimension": 7},
}


def read(*rows: dict[str, Any], criterion: str | None = None) -> list[InterventionRecord]:
    file = BytesIO("\n".join(json.dumps(row) for row in rows).encode())
    return [record for _, record in read_interventions(file, where="file", criterion=criterion)]


def test_an_ablation_that_lowers_the_score_speaks_for_the_unit() -> None:
    (record,) = read(ROW)
    assert record.change == -0.25
    assert record.oriented == 0.25
    (raised,) = read({**ROW, "intervention": "amplify"})
    assert raised.oriented == -0.25


def test_controls_are_told_from_effects() -> None:
    kinds = [read({**ROW, "metadata": {"control_type": kind}})[0].control_type for kind in ("placebo", "else", 3)]
    assert kinds == ["placebo", None, None]


def test_records_of_another_criterion_are_left_out_and_those_of_none_fit_any() -> None:
    free = {name: value for name, value in ROW.items() if name != "criterion"}
    found = read(ROW, {**ROW, "criterion": "other"}, free, criterion="units")
    assert [record.criterion for record in found] == ["units", None]


@pytest.mark.parametrize(
    "changes",
    [
        {"baseline_score": None},
        {"intervention_score": "high"},
        {"intervention": "stare"},
        {"feature_id": ""},
        {"schema_version": "interp-lab.intervention_record.v9"},
        {"unknown": 1},
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_line(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedFile, match="line 2"):
        read(ROW, {**ROW, **changes})


def test_a_number_that_is_none_is_refused() -> None:
    file = BytesIO(json.dumps({**ROW, "baseline_score": float("nan")}).encode())
    with pytest.raises(MalformedFile):
        list(read_interventions(file, where="file"))
