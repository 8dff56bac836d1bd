"""Dense and sparse blocks answer alike, and what follows from them obeys its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.statistics.auroc import auroc
from interp_lab.statistics.block_association import Target, associate, auroc_of
from interp_lab.statistics.blocks import DenseBlock, SparseBlock
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.column_moments import dense_moments, sparse_moments
from interp_lab.statistics.level_means import level_means, mean_interval
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation
from interp_lab.statistics.sides import POSITIVE, Sides
from interp_lab.statistics.slice_difference import SliceSums, slice_difference
from interp_lab.statistics.value_levels import below_twice

FEW = st.sampled_from([0.0, 0.0, 0.0, -1.0, 0.5, 1.0, 2.5])


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Values `(n_rows, n_columns)` with many zeros and ties, and ascending group ids."""
    n_rows, n_columns = draw(st.integers(4, 25)), draw(st.integers(1, 4))
    values = draw(hnp.arrays(np.float32, (n_rows, n_columns), elements=FEW))
    groups = np.sort(draw(hnp.arrays(np.int64, n_rows, elements=st.integers(0, 6))))
    return values, groups


def dense(values: np.ndarray, groups: np.ndarray) -> DenseBlock:
    return DenseBlock(np.ascontiguousarray(values.T), Clusters.of(groups))


def sparse(values: np.ndarray, groups: np.ndarray) -> SparseBlock:
    bounds, rows = _entries(values)
    columns = np.repeat(np.arange(values.shape[1]), np.diff(bounds))
    return SparseBlock(bounds, rows, values[rows, columns], clusters=Clusters.of(groups))


def _entries(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for column in values.T:
        active = np.flatnonzero(column)
        found.append(active[np.argsort(-column[active], kind="stable")])
    return np.concatenate([[0], np.cumsum([part.size for part in found])]), np.concatenate(found).astype(np.intp)


def usable(target: Target, groups: np.ndarray) -> bool:
    return target.why_unusable(Clusters.of(groups)) is None


@given(tables(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_sparse_block_gives_what_the_dense_one_gives(
    table: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    values, groups = table
    known = data.draw(hnp.arrays(np.bool_, groups.size))
    label = data.draw(hnp.arrays(np.bool_, groups.size)).astype(np.float64)
    metric = data.draw(hnp.arrays(np.float64, groups.size, elements=st.integers(-3, 3)))
    for target in (Target("l", label, known, is_label=True), Target("m", metric, known, is_label=False)):
        if not usable(target, groups):
            continue
        one, two = associate(dense(values, groups), target), associate(sparse(values, groups), target)
        for name in ("estimate", "low", "high", "p"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-7)
    weights, sides = known.astype(np.float64), Sides.of(label > 0, known)
    a, b = dense(values, groups), sparse(values, groups)
    np.testing.assert_allclose(ranks_below(a, sides), ranks_below(b, sides), atol=1e-9)
    np.testing.assert_array_equal(a.active_groups(weights), b.active_groups(weights))
    np.testing.assert_array_equal(a.active_groups(), b.active_groups())


def ranks_below(block: DenseBlock | SparseBlock, sides: Sides) -> np.ndarray:
    """Sum of the negatives below each positive, by group: through levels, tally and scores."""
    scores = np.zeros((block.levels.values.size, 2))
    scores[:, POSITIVE] = below_twice(block.levels, block.tally(sides).negative) / 2
    return block.side_sums(scores, sides)


@given(tables(), st.data())
@settings(max_examples=40, deadline=None)
def test_auroc_of_a_block_is_the_probability_that_a_positive_is_higher(
    table: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    values, groups = table
    label = data.draw(hnp.arrays(np.bool_, groups.size))
    if label.all() or not label.any():
        return
    target = Target("l", label.astype(np.float64), np.ones(groups.size, dtype=bool), is_label=True)
    np.testing.assert_allclose(auroc_of(sparse(values, groups), target), auroc(values, label), atol=1e-12)
    turned = Target("l", 1.0 - label, np.ones(groups.size, dtype=bool), is_label=True)
    np.testing.assert_allclose(auroc_of(sparse(values, groups), turned), 1 - auroc(values, label), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_of_sixteen_bits_are_ranked_without_a_sort_and_alike(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(3)
    rough = rng.normal(size=(2, 1 << 16)).astype(np.float32)
    rough[:, ::7] = 0.0
    rough[:, 3::7] *= -0.0
    values = (rough.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    groups, known = np.sort(rng.integers(0, 30, values.shape[1])), rng.random(values.shape[1]) < 0.9
    target = Target("l", (rng.random(groups.size) < 0.3).astype(np.float64), known, is_label=True)
    block = DenseBlock(values.astype(dtype), Clusters.of(groups))
    # All codes of bfloat16 are levels where nothing was sorted; else only the values that occur.
    assert (block.levels.values.size == 2 << 16) == (dtype == np.float32)
    found, wanted = associate(block, target), associate(sparse(values.T, groups), target)
    for name in ("estimate", "low", "high", "p", "d", "rate_with", "rate_without"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-9)
    np.testing.assert_allclose(auroc_of(block, target), auroc(values.T[known], target.values[known] > 0), atol=1e-12)


def test_entries_that_were_rounded_to_zero_are_ties_of_the_rows_without_one() -> None:
    groups = np.repeat(np.arange(6), 2)
    values = np.array([0, 2, 0, 1, 0, 0, 1, 0, 0, 3, 0, -1], dtype=np.float32)[:, None]
    label = Target("l", (groups % 2).astype(np.float64), np.ones(12, dtype=bool), is_label=True)
    order = np.argsort(-values[:, 0], kind="stable")
    stored = SparseBlock(np.array([0, 12]), order, values[order, 0], clusters=Clusters.of(groups))
    for one, two in ((stored, sparse(values, groups)), (stored, dense(values, groups))):
        found, wanted = associate(one, label), associate(two, label)
        np.testing.assert_allclose((found.estimate, found.p, found.d), (wanted.estimate, wanted.p, wanted.d))
        np.testing.assert_array_equal(one.active_groups(), two.active_groups())


def test_intervals_of_labels_are_those_of_separation() -> None:
    rng = np.random.default_rng(1)
    groups = np.sort(rng.integers(0, 25, 300))
    values = np.maximum(rng.normal(size=(300, 5)).round(1), 0).astype(np.float32)
    for label in (groups % 3 == 0, rng.random(300) < 0.3):
        target = Target("l", label.astype(np.float64), np.ones(300, dtype=bool), is_label=True)
        found = associate(sparse(values, groups), target)
        wanted = separation(values, Sample.of(label, groups))
        np.testing.assert_allclose(found.estimate, wanted.auroc, atol=1e-12)
        np.testing.assert_allclose(found.low, wanted.low, atol=2e-3)
        np.testing.assert_allclose(found.high, wanted.high, atol=2e-3)


@pytest.mark.parametrize("fires_in", [0, 1])
def test_a_unit_that_fires_in_fewer_than_two_groups_says_nothing(fires_in: int) -> None:
    groups = np.repeat(np.arange(20), 5)
    values = np.zeros((100, 1), dtype=np.float32)
    values[: 5 * fires_in] = 1.0
    label = Target("l", (groups < 5).astype(np.float64), np.ones(100, dtype=bool), is_label=True)
    metric = Target("m", (groups < 5).astype(np.float64), np.ones(100, dtype=bool), is_label=False)
    assert associate(sparse(values, groups), label).p[0] == 1.0
    found = associate(sparse(values, groups), metric)
    assert (found.p[0], found.low[0], found.high[0]) == (1.0, -1.0, 1.0)


def test_what_makes_a_target_unusable_is_said() -> None:
    groups = np.repeat(np.arange(4), 3)
    clusters, known = Clusters.of(groups), np.ones(12, dtype=bool)
    assert Target("m", np.ones(12), known, is_label=False).why_unusable(clusters) == "it is 1 on every row"
    assert "none of the rows" in str(Target("m", np.ones(12), ~known, is_label=False).why_unusable(clusters))
    one_sided = Target("l", (groups == 2).astype(np.float64), known, is_label=True)
    assert "one group only" in str(one_sided.why_unusable(clusters))
    assert Target("l", (groups < 2).astype(np.float64), known, is_label=True).why_unusable(clusters) is None


@given(tables(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_difference_turns_its_sign_with_its_sides(table: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    values, groups = table
    side = data.draw(hnp.arrays(np.bool_, groups.size))
    if min(np.unique(groups[side]).size, np.unique(groups[~side]).size) < 2:
        return
    a, b = (SliceSums.of(dense(values[part], groups[part])) for part in (side, ~side))
    one, two = slice_difference(a, b), slice_difference(b, a)
    np.testing.assert_allclose(one.d, -two.d, atol=1e-12)
    np.testing.assert_allclose(one.low, -two.high, atol=1e-9)
    np.testing.assert_allclose(one.p, two.p, atol=1e-12)
    same = slice_difference(a, a)
    assert not same.d.any()
    assert (same.p == 1).all()


def test_a_difference_of_one_group_or_of_other_widths_is_refused() -> None:
    groups = np.repeat(np.arange(4), 3)
    values = np.arange(24, dtype=np.float32).reshape(12, 2)
    whole = SliceSums.of(dense(values, groups))
    with pytest.raises(TooFewGroups):
        slice_difference(whole, SliceSums.of(dense(values[:3], groups[:3])))
    with pytest.raises(ShapeMismatch):
        slice_difference(whole, SliceSums.of(dense(values[:, :1], groups)))


@given(tables())
@settings(max_examples=40, deadline=None)
def test_moments_of_entries_and_of_row_blocks_equal_numpy(table: tuple[np.ndarray, np.ndarray]) -> None:
    values, _ = table
    bounds, rows = _entries(values)
    columns = np.repeat(np.arange(values.shape[1]), np.diff(bounds))
    exact = values.astype(np.float64)
    parts = np.array_split(values, 3)
    for found in (
        sparse_moments(bounds, values[rows, columns], len(values), fires_above=0.0),
        dense_moments(parts, values.shape[1], fires_above=0.0),
    ):
        np.testing.assert_allclose(found.mean, exact.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.std, exact.std(axis=0), atol=1e-12)
        np.testing.assert_array_equal(found.minimum, exact.min(axis=0))
        np.testing.assert_array_equal(found.maximum, exact.max(axis=0))
        np.testing.assert_allclose(found.firing_rate, (exact > 0).mean(axis=0), atol=1e-12)


def test_level_means_are_clustered_means_of_each_level() -> None:
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 12, 200))
    levels, values = rng.integers(-1, 3, 200), rng.normal(size=200)
    found = level_means(values, levels, groups, n_levels=4)
    for level in range(3):
        wanted = clustered_mean(values[levels == level], groups[levels == level])
        shown = found.mean[level], found.low[level], found.high[level]
        np.testing.assert_allclose(shown, (wanted.mean, wanted.low, wanted.high))
        assert found.n_groups[level] == wanted.n_groups
    assert found.count[3] == 0
    mean, low, high = mean_interval(values, Clusters.of(groups))
    wanted = clustered_mean(values, groups)
    np.testing.assert_allclose((mean, low, high), (wanted.mean, wanted.low, wanted.high))
    assert np.isinf(mean_interval(values, Clusters.of(np.zeros(200)))[1])


def test_clusters_take_only_ascending_groups() -> None:
    with pytest.raises(ShapeMismatch):
        Clusters.of([1, 0])
    clusters = Clusters.of([3, 3, 7])
    assert clusters.names.tolist() == [3, 7]
    assert clusters.sums(np.array([1.0, 2.0, 4.0])).tolist() == [3.0, 4.0]


def test_a_constant_column_of_entries_has_p_1_and_not_that_of_its_rounding_errors() -> None:
    values, groups = np.full((22, 1), -1, np.float32), np.repeat([0, 1], [2, 20])
    label = np.ones(22)
    label[[0, 2, 3, 4, 5, 8, 11]] = 0
    target = Target("l", label, np.ones(22, np.bool_), is_label=True)
    assert associate(dense(values, groups), target).p == 1
    assert associate(sparse(values, groups), target).p == 1
