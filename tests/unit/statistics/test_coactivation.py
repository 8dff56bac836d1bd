"""Overlap and lift are what counting says, for any two sets of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.statistics.coactivation import lift, overlap

ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(ROWS)
def test_overlap_and_lift_equal_a_count_and_a_correlation(rows: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    both = (a & b).sum()
    found = overlap(both, a.sum(), b.sum(), n_rows=a.size)
    either = (a | b).sum()
    assert float(found.jaccard) == (both / either if either else 0)
    constant = a.all() or b.all() or not a.any() or not b.any()
    wanted = 0.0 if constant else np.corrcoef(a, b)[0, 1]
    np.testing.assert_allclose(found.phi, wanted, atol=1e-12)
    rates = lift(both, a.sum(), n_matching=int(b.sum()), n_rows=a.size)
    np.testing.assert_allclose(rates.inside, a[b].mean() if b.any() else 0)
    np.testing.assert_allclose(rates.outside, a[~b].mean() if not b.all() else 0)
    np.testing.assert_allclose(rates.lift, b[a].mean() / b.mean() if a.any() and b.any() else 0)


@given(ROWS)
def test_overlap_does_not_ask_which_set_comes_first(rows: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    both = (a & b).sum()
    assert overlap(both, a.sum(), b.sum(), n_rows=a.size) == overlap(both, b.sum(), a.sum(), n_rows=a.size)
