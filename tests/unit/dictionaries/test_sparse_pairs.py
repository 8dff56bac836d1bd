"""Selection and products over chosen pairs: the laws that they obey whatever the numbers."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.dictionaries.sparse.products import dots, gathered_sum, latent_major, segment_sum, starts
from interp_lab.dictionaries.sparse.selection import Selector, at_least, largest_of_rows
from interp_lab.dictionaries.sparse.trimming import best_of_all, best_of_rows

SEEDS = st.integers(0, 10_000)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([(5, 37), (3, 64), (4, 256), (2, 1024)]), st.integers(1, 12), st.booleans())
def test_candidates_of_a_row_include_its_k_largest_positive_entries(
    seed: int, shape: tuple[int, int], k: int, low: bool
) -> None:
    tile = torch.randn(shape, generator=_generator(seed)) - 0.5
    tile = tile.bfloat16() if low else tile
    found = set(largest_of_rows(tile, k).tolist())
    values, places = tile.float().topk(k, dim=1)
    wanted = {
        row * shape[1] + int(place)
        for row in range(shape[0])
        for value, place in zip(values[row].tolist(), places[row].tolist(), strict=True)
        if value > 0
    }
    ties = {place for place in wanted - found if tile.flatten()[place] == values[place // shape[1], -1]}
    assert wanted - found <= ties
    assert all(tile.flatten()[place] > 0 for place in found)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.0, 2.0), st.booleans())
def test_entries_at_or_above_a_level_are_all_found_and_no_others(seed: int, level: float, low: bool) -> None:
    tile = torch.randn(6, 50, generator=_generator(seed))
    tile = tile.bfloat16() if low else tile
    least = torch.tensor(level).to(tile.dtype)
    wanted = ((tile >= least) & (tile > 0)).flatten().nonzero().flatten()
    assert at_least(tile, level).tolist() == wanted.tolist()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 9), st.integers(1, 12))
def test_products_over_pairs_equal_those_of_the_dense_matrix(seed: int, n_rows: int, n_latents: int) -> None:
    draw = _generator(seed)
    dense = torch.randn(n_rows, n_latents, generator=draw).relu()
    rows, latents = (each.int() for each in dense.nonzero(as_tuple=True))
    values = dense[dense > 0]
    by_row, by_latent = torch.randn(n_rows, 7, generator=draw), torch.randn(n_latents, 7, generator=draw)
    pairs = latent_major(rows, latents, n_latents)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(
        dots(by_latent, by_row, pairs), (by_row @ by_latent.T)[pairs.rows.long(), pairs.latents.long()], **close
    )
    torch.testing.assert_close(
        gathered_sum(by_latent, latents, starts(rows, n_rows), values), dense @ by_latent, **close
    )
    torch.testing.assert_close(
        gathered_sum(by_row, pairs.rows, pairs.offsets, values[pairs.order]), dense.T @ by_row, **close
    )
    torch.testing.assert_close(segment_sum(values[pairs.order], pairs.offsets), dense.sum(0), **close)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 6))
def test_the_best_of_every_row_are_k_and_no_left_out_candidate_beats_them(seed: int, k: int) -> None:
    draw = _generator(seed)
    counts = torch.randint(0, 9, (7,), generator=draw)
    rows = torch.repeat_interleave(torch.arange(7), counts).int()
    scores = torch.rand(len(rows), generator=draw)
    kept = best_of_rows(scores, rows, 7, k)
    for row, count in enumerate(counts.tolist()):
        mine = rows == row
        assert int(kept[mine].sum()) == min(k, count)
        if count > k:
            assert scores[mine & kept].min() >= scores[mine & ~kept].max()


def test_the_best_of_all_are_as_many_as_asked_or_as_there_are() -> None:
    scores = torch.tensor([0.1, 3.0, 2.0, 0.5])
    assert best_of_all(scores, 2).tolist() == [False, True, True, False]
    assert best_of_all(scores, 9).all()


def test_a_batch_that_is_denser_than_the_limit_yields_nothing() -> None:
    x, encoder = torch.ones(8, 3), torch.ones(5, 3)
    selector = Selector(torch.float32, tile_rows=3)
    assert selector.above(x, encoder, torch.zeros(5), limit=39) is None
    found = selector.above(x, encoder, torch.zeros(5), limit=40)
    assert found is not None
    assert len(found.rows) == 40
