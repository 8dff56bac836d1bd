"""Greedy pruning: what carries stays, what is redundant goes once, and equal sizes are tried together."""

from __future__ import annotations

from interp_lab.methods.circuit_curve import areas, sizes
from interp_lab.methods.edge_pruning import prune


def test_edges_that_carry_stay_and_the_rest_is_cut_in_few_tests() -> None:
    carries = {3: 0.5, 40: 0.3, 77: 0.2}
    found = prune(range(100), lambda cut: 1 - sum(w for edge, w in carries.items() if edge in cut), tolerance=0.01)
    assert found.kept == (3, 40, 77)
    assert found.n_tests < 50
    assert [round(float(found.costs[edge]), 6) for edge in carries] == [0.5, 0.3, 0.2]
    assert found.costs.sum() < 1.01


def test_no_set_of_cut_edges_is_tested_twice() -> None:
    tested: list[frozenset[int]] = []

    def value(cut: frozenset[int]) -> float:
        tested.append(cut)
        return 1 - sum(0.02 * (edge % 7 == 3) for edge in cut)

    found = prune(range(64), value, tolerance=0.01)
    assert found.kept == tuple(range(3, 64, 7))
    assert len(tested) == len(set(tested)) == found.n_tests
    assert len(tested) > 20


def test_of_two_edges_that_do_the_same_one_stays() -> None:
    found = prune([0, 1, 2], lambda cut: 0.0 if {0, 1} <= cut else 1.0, tolerance=0.1)
    assert found.kept == (1,)
    assert found.costs[0] == 0


def test_an_edge_whose_cut_raises_the_metric_is_no_less_part_of_it() -> None:
    assert prune([0, 1], lambda cut: 1 + (0 in cut), tolerance=0.1).kept == (0,)


def test_sizes_are_whole_edges_and_areas_are_those_of_the_curve() -> None:
    assert sizes(30, 7) == (0, 1, 2, 3, 6, 7, 15, 30)
    assert areas([0.0, 0.5, 1.0], [0.0, 1.0, 1.0]) == (0.75, 0.25)
    assert areas([0.0, 1.0], [1.0, 1.0]).missed == 0
