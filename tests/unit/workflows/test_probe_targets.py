"""From stored values to what a probe predicts: names stay names, whatever cannot be predicted is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.probe import TrainProbeRequest
from interp_lab.errors import InvalidRequest, LabelsUnusable
from interp_lab.methods.probe.target import Target
from interp_lab.workflows.probing.labels import as_target


def target_of(values: list[Any], groups: list[int] | None = None, **fields: Any) -> tuple[list[int], Target]:
    request = TrainProbeRequest.model_validate({"store": "s", "target": "label:x", **fields})
    kept, target = as_target(values, request, np.asarray(groups or range(len(values))))
    return kept.tolist(), target


def test_string_labels_are_the_same_classes_in_every_process_because_they_keep_their_names() -> None:
    _, target = target_of(["owl", "cat", "owl"])
    assert target.classes == ("cat", "owl")
    assert target.values.tolist() == [1, 0, 1]


def test_examples_without_a_value_are_left_out() -> None:
    kept, target = target_of([1.0, None, float("nan"), 2.0, 4.0])
    assert kept == [0, 3, 4]
    assert target.task == "regression"
    assert target.values.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("values", "fields", "task", "classes"),
    [
        ([True, False], {}, "binary", ("false", "true")),
        ([3, 5, 3], {}, "binary", ("3", "5")),
        ([3, 5, 7], {}, "regression", ()),
        ([0.2, 0.9], {"target": "score"}, "binary", ("below 0.5", "at least 0.5")),
        ([0.2, 0.9, 0.4], {"target": "score", "task": "regression"}, "regression", ()),
        ([1, 2, 3], {"task": "binary", "threshold": 2}, "binary", ("below 2", "at least 2")),
        (["a", "b", "c"], {"positive": "b"}, "binary", ("not b", "b")),
    ],
)
def test_the_task_follows_from_the_values_unless_it_is_said(values, fields, task, classes) -> None:
    _, target = target_of(values, **fields)
    assert (target.task, target.classes) == (task, classes)


def test_a_class_that_too_few_groups_show_is_left_out() -> None:
    values = ["a"] * 8 + ["b"] * 8 + ["c"] * 20
    groups = [*range(16), *[16 + i % 3 for i in range(20)]]
    kept, target = target_of(values, groups, task="multiclass")
    assert target.classes == ("a", "b")
    assert kept == list(range(16))


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ([None, None], {}),
        (["a", "b", "c"], {"task": "binary"}),
        (["a", "b"], {"task": "regression"}),
        ([2.0, 2.0], {"task": "regression"}),
        ([[[0, 3]], [[1, 2]]], {}),
        (["a", "b", "c"], {}),
    ],
)
def test_values_that_cannot_be_predicted_are_refused(values, fields) -> None:
    with pytest.raises(LabelsUnusable):
        target_of(values, **fields)


def test_one_positive_class_is_no_regression() -> None:
    with pytest.raises(InvalidRequest):
        target_of(["a", "b"], positive="a", task="regression")
