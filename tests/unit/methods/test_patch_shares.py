"""Shares of patches: what is brought over on average, and nothing where pairs tell nothing."""

from __future__ import annotations

import numpy as np

from interp_lab.methods.patch_shares import patch_shares

NAN = np.nan


def test_a_patch_that_gives_the_other_prompt_back_has_the_share_one() -> None:
    apart = np.array([2.0, 4.0])
    changes = np.array([[[2.0, 0.0, 1.0], [4.0, 0.0, NAN]]])
    assert patch_shares(changes, apart).tolist() == [[1.0, 0.0, 0.5]]


def test_a_place_that_is_only_in_pairs_which_go_the_other_way_has_no_share() -> None:
    apart = np.array([3.0, -1.0])
    changes = np.array([[[1.5, NAN], [NAN, 2.0]]])
    assert patch_shares(changes, apart).tolist() == [[0.5, 0.0]]
