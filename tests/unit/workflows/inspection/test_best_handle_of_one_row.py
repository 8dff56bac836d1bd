"""Where one row is all that was ranked, nothing is said to be compared with it."""

from __future__ import annotations

import numpy as np

from interp_lab.workflows.inspection.handles import (
    Parts,
    Way,
    _comparison,  # pyright: ignore[reportPrivateUsage]
)


def parts_without_rows() -> Parts:
    nothing = np.zeros(0, np.intp)
    return Parts(nothing, nothing, None, None, 0)  # type: ignore[arg-type]


def way(kind: str, member: str) -> Way:
    return Way(kind, "resid_post.3", (member,), 0.8, np.zeros(0))  # type: ignore[arg-type]


def test_a_row_is_not_compared_with_the_set_that_holds_only_it() -> None:
    found = _comparison([way("coordinate", "a #0"), way("small_set", "a #0")], parts_without_rows())
    assert (found.best, found.other, found.difference) == ("untested", None, None)
    assert found.text == "a #0 is the only way that was ranked, so it was compared with no other."


def test_a_row_is_compared_with_a_set_that_holds_another() -> None:
    found = _comparison([way("coordinate", "a #0"), way("small_set", "a #1")], parts_without_rows())
    assert found.other == "small_set"
    assert "Too few prompt groups" in found.text
