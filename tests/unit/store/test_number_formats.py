"""Rounding on disk is IEEE rounding to nearest even, the same bits as torch gives, and nothing is clipped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from interp_lab.contracts.store import StoreDtype
from interp_lab.store.number_formats import decode, encode, first_unstorable

ANY_BITS = hnp.arrays(np.uint32, st.integers(1, 50), elements=st.integers(0, 2**32 - 1))
TORCH = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
DTYPES: tuple[StoreDtype, ...] = ("bfloat16", "float16", "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@given(bits=ANY_BITS)
def test_any_float_is_rounded_as_torch_rounds_it_or_named_as_unstorable(dtype: StoreDtype, bits: np.ndarray) -> None:
    values = bits.view(np.float32)
    rounded = torch.from_numpy(values.copy()).to(TORCH[dtype]).float().numpy()
    fits = np.isfinite(rounded)
    assert first_unstorable(values, dtype) == (None if fits.all() else int(np.argmin(fits)))
    np.testing.assert_array_equal(
        decode(encode(values[fits], dtype), dtype).view(np.uint32), rounded[fits].view(np.uint32)
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_16_bit_pattern_that_is_finite_survives_a_round_trip(dtype: StoreDtype) -> None:
    raw = np.arange(2**16, dtype=np.uint16).view("<f2") if dtype == "float16" else np.arange(2**16, dtype=np.uint16)
    values = decode(raw, "bfloat16" if dtype == "float32" else dtype)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(decode(encode(values, dtype), dtype), values)


def test_rounding_goes_to_the_even_neighbour_also_across_blocks() -> None:
    halfway = np.tile(np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32), 100_000)
    assert set(encode(halfway, "bfloat16")[::2]) == {0x3F80}
    assert set(encode(halfway, "bfloat16")[1::2]) == {0x3F82}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(65520.0, "float16"), (-65520.0, "float16"), (3.4e38, "bfloat16"), (np.inf, "float32"), (np.nan, "float32")],
)
def test_what_a_format_cannot_hold_is_found_behind_a_hundred_thousand_that_it_can(
    value: float, dtype: StoreDtype
) -> None:
    values = np.ones(150_000, np.float32)
    assert first_unstorable(values, dtype) is None
    values[100_001] = value
    assert first_unstorable(values, dtype) == 100_001


def test_the_largest_value_that_a_half_can_hold_is_not_refused() -> None:
    assert first_unstorable(np.array([65519.0], np.float32), "float16") is None
