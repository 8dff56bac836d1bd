"""What a plan says of memory: libraries, weights, one pass with its logits, and kernels where a model is wide."""

from __future__ import annotations

import pytest

from interp_lab.engine.pass_sizes import WIDE, edited_tokens
from interp_lab.workflows.intervening.cost import LIBRARIES, bytes_beside_weights, kernel_bytes


def test_the_pass_is_as_large_as_the_engine_makes_it_and_never_too_small_or_too_large() -> None:
    assert [edited_tokens(width) for width in (64, 256, 512, 768, 8192)] == [2048, 2048, 1024, 682, 512]


@pytest.mark.parametrize(("width", "there"), [(WIDE - 1, False), (WIDE, True)])
def test_kernels_are_counted_where_passes_use_the_path_that_keeps_them(width: int, there: bool) -> None:
    assert (kernel_bytes(width) > 0) is there
    assert (bytes_beside_weights(width, 4, 0) - LIBRARIES > kernel_bytes(WIDE)) is there


def test_a_larger_vocabulary_takes_the_logits_of_every_token_of_a_pass_several_times() -> None:
    small, large = (bytes_beside_weights(160, 640, n_vocab) for n_vocab in (4096, 8192))
    assert large - small == 4 * 4 * 2048 * 4096
