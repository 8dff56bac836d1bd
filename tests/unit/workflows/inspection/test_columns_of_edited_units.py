"""An edited latent is found among the columns by any name of its dictionary, and by no name of another one."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.workflows.inspection.edited.columns import Columns
from interp_lab.workflows.inspection.tables import Pooled

TABLE = Pooled(
    np.zeros((2, 7), np.float32),
    np.zeros(7),
    {"resid_post.1": slice(0, 3), "resid_post.1/sae": slice(3, 5), "resid_post.2/sae": slice(5, 7)},
)
COLUMNS = Columns.of(TABLE, ("saes/one", "two"), None, same={"saes/one": "a" * 64, "two": "two"})


@pytest.mark.parametrize(
    ("unit", "column"),
    [
        ("saes/one#1", 4),
        ("a" * 64 + "#1", 4),
        ("two#0", 5),
        ("resid_post.1#2", 2),
        ("b" * 64 + "#1", None),
        ("saes/one#2", None),
    ],
)
def test_a_unit_is_found_by_every_name_of_its_dictionary(unit: str, column: int | None) -> None:
    assert COLUMNS.of_unit(unit) == column


def test_two_names_of_one_dictionary_keep_a_column_each() -> None:
    twice = Columns.of(TABLE, ("one", "copy"), None, same={"one": "c", "copy": "c"})
    assert [twice.of_unit(f"{name}#0") for name in ("one", "copy", "c")] == [3, 5, 3]
