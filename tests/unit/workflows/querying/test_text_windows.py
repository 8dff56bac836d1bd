"""The text around a token: of its own prompt only, in whatever order rows were imported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interp_lab.workflows.querying.texts import window


def view(prompts: list[int], tokens: str) -> Any:
    codes = np.arange(len(tokens))
    return SimpleNamespace(
        row_prompt=np.array(prompts),
        n_rows=len(prompts),
        tokens=SimpleNamespace(codes=codes, texts=pa.array(list(tokens))),
    )


@pytest.mark.parametrize(
    ("prompts", "row", "around"),
    [
        ([0, 0, 0, 1, 1], 1, ("a", "b", "c")),
        ([0, 0, 0, 1, 1], 3, ("", "d", "e")),
        ([0, 1, 0, 0, 1], 2, ("", "c", "d")),
        ([0, 1, 0, 1, 0], 4, ("", "e", "")),
    ],
)
def test_a_window_never_shows_tokens_of_another_prompt(
    prompts: list[int], row: int, around: tuple[str, str, str]
) -> None:
    found = window(view(prompts, "abcde"), row, 3)
    assert (found.before, found.token, found.after) == around


def test_a_window_is_as_wide_as_asked() -> None:
    found = window(view([0] * 5, "abcde"), 2, 1)
    assert (found.before, found.after, found.start, found.stop) == ("b", "d", 1, 4)
