from __future__ import annotations

import numpy as np
import pytest

from interp_lab.errors import LabelsUnusable, NonFiniteInput, ShapeMismatch, TooFewGroups
from interp_lab.statistics.sample import Sample, labels_from_scores


def test_groups_of_any_kind_are_counted_on_the_sides_they_have() -> None:
    sample = Sample.of([True, False, True, False, False], ["b", "b", "a", "c", "c"])
    assert (sample.n_groups, sample.n_positive_groups, sample.n_negative_groups) == (3, 2, 2)


def test_group_sums_follow_the_group_order() -> None:
    sample = Sample.of([True, False, True, False, True], [1, 0, 1, 2, 0])
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert sample.group_sums(values[sample.by_group]).tolist() == [7.0, 4.0, 4.0]


def test_one_class_only_is_refused() -> None:
    with pytest.raises(LabelsUnusable, match="All 3 rows are positive"):
        Sample.of([True, True, True])


def test_graded_scores_are_not_taken_for_labels() -> None:
    with pytest.raises(LabelsUnusable, match="thresholds"):
        Sample.of([0.2, 0.9, 1.0])


def test_a_class_seen_in_one_group_only_is_refused() -> None:
    with pytest.raises(TooFewGroups, match="1 positive"):
        Sample.of([True, True, False, False], [0, 0, 1, 2])


def test_groups_and_labels_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ShapeMismatch):
        Sample.of([True, False, True, False], [0, 1])
    with pytest.raises(ShapeMismatch):
        Sample.of([[True, False]])


def test_scores_between_the_thresholds_are_left_out() -> None:
    labels, kept = labels_from_scores([0.9, 0.5, 0.1, 0.3, 0.7], positive_from=0.7, negative_to=0.3)
    assert labels.tolist() == [True, False, False, False, True]
    assert kept.tolist() == [True, False, True, True, True]


def test_crossed_thresholds_and_nan_scores_are_refused() -> None:
    with pytest.raises(LabelsUnusable):
        labels_from_scores([0.1, 0.9], positive_from=0.2, negative_to=0.5)
    with pytest.raises(NonFiniteInput, match="row 1"):
        labels_from_scores([0.1, float("nan")], positive_from=0.5, negative_to=0.5)
