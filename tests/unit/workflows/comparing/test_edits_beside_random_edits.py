"""What edits and their random controls move is measured along what explore positives showed, prompt by prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interp_lab.workflows.comparing.edits import Tally

EXPLORE, CONFIRM = (7, 3), (5, 2, 9)
POSITIVE = np.array([True, False, True, False, True])
N_UNITS, N_CONTROLS, N_WORDS = 2, 4, 3


def filled() -> tuple[Tally, dict[int, NDArray[np.float64]], list[tuple[tuple[int, ...], bool]]]:
    """Return a tally that took every change, what it was given, and in which order it asked for prompts."""
    rng = np.random.default_rng(0)
    tally = Tally.empty(EXPLORE, CONFIRM, POSITIVE, (N_UNITS, N_CONTROLS, N_WORDS))
    given: dict[int, NDArray[np.float64]] = {}
    order: list[tuple[tuple[int, ...], bool]] = []
    for rows, is_beside_controls in tally.parts():
        order.append((rows, is_beside_controls))
        for row in rows:
            n = N_UNITS * (1 + N_CONTROLS) if is_beside_controls else N_UNITS
            given[row] = rng.normal(size=(n, N_WORDS))
            tally.take(row, given[row])
    return tally, given, order


def test_every_prompt_runs_once_explore_first_and_random_edits_on_positives_that_judge_alone() -> None:
    assert filled()[2] == [(EXPLORE, False), ((5, 9), True), ((2,), False)]


def test_changes_are_measured_along_what_explore_positives_showed() -> None:
    tally, given, _ = filled()
    goal = given[7] / np.linalg.norm(given[7], axis=1, keepdims=True)  # 7 is the one explore positive
    for row, place in ((7, 0), (3, 1), (5, 2), (2, 3), (9, 4)):
        np.testing.assert_allclose(tally.effects[:, place], given[row][:N_UNITS], rtol=1e-5)
        np.testing.assert_allclose(tally.along[:, place], (given[row][:N_UNITS] * goal).sum(1), rtol=1e-4, atol=1e-6)


def test_random_edits_of_one_unit_are_measured_along_the_goal_of_that_unit_and_no_other() -> None:
    tally, given, _ = filled()
    goal = given[7] / np.linalg.norm(given[7], axis=1, keepdims=True)
    for row, place in ((5, 2), (9, 4)):
        for unit in range(N_UNITS):
            start = N_UNITS + unit * N_CONTROLS
            sizes = np.abs(given[row][start : start + N_CONTROLS] @ goal[unit])
            np.testing.assert_allclose(tally.control_along[unit, place], np.median(sizes), rtol=1e-4)
    assert np.isnan(tally.control_along[:, [0, 1, 3]]).all()  # none were made there, and none is not 0
    means = (given[5][N_UNITS:] + given[9][N_UNITS:]) / 2
    np.testing.assert_allclose(tally.controls, means, rtol=1e-4, atol=1e-6)


def test_an_edit_that_did_nothing_to_explore_prompts_has_no_size_anywhere() -> None:
    tally = Tally.empty(EXPLORE, CONFIRM, POSITIVE, (N_UNITS, N_CONTROLS, N_WORDS))
    for rows, is_beside_controls in tally.parts():
        for row in rows:
            change = np.full((N_UNITS * (1 + N_CONTROLS * is_beside_controls), N_WORDS), float(row not in EXPLORE))
            tally.take(row, change)
    assert not tally.goal.any()
    assert not tally.along.any()
