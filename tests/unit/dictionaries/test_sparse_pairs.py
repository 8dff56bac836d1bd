"""Selection and products over chosen pairs: the laws that they obey whatever the numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.dictionaries.sparse.integer_scores import IntegerScores, integer_scores
from interp_lab.dictionaries.sparse.products import dots, gathered_sum, latent_major, segment_sum, starts
from interp_lab.dictionaries.sparse.selection import Buffers, Reader, at_least, largest_of_rows
from interp_lab.dictionaries.sparse.selector import Selector
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
    scores = Selector(torch.float32, tile_rows=3).scores(x, Reader(encoder, torch.zeros(5)))
    assert scores.above(limit=39) is None
    found = scores.above(limit=40)
    assert found is not None
    assert len(found.rows) == 40


def _reader(draw: torch.Generator, width: int) -> Reader:
    encoder = torch.randn(512, width, generator=draw) / width**0.5
    return Reader(encoder, torch.randn(512, generator=draw) * 0.3, torch.rand(512, generator=draw) + 0.5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("width", "k"), [(64, 4), (64, 16), (200, 8)])
def test_integers_of_eight_bits_find_nearly_all_of_the_best_and_few_others(seed: int, width: int, k: int) -> None:
    draw = _generator(seed)
    reader = _reader(draw, width)
    x = torch.randn(90, width, generator=draw) * (torch.rand(90, 1, generator=draw) * 4 + 0.2)
    scores = Selector(torch.int8, tile_rows=25).scores(x, reader)
    assert isinstance(scores, IntegerScores)
    found = scores.largest(k)
    assert reader.lengths is not None
    exact = (x @ reader.encoder.T + reader.bias) * reader.lengths
    wanted = torch.zeros_like(exact, dtype=torch.bool).scatter_(1, exact.topk(k, dim=1).indices, True) & (exact > 0)
    chosen = torch.zeros_like(wanted)
    chosen[found.rows.long(), found.latents.long()] = True
    assert int((wanted & ~chosen).sum()) <= 0.01 * int(wanted.sum())
    assert int(chosen.sum()) <= (1.4 * k + 2) * len(x)
    level = float(exact.flatten().topk(90 * k).values.min())
    above = scores.above(least=level)
    assert above is not None
    assert len(above.rows) >= 0.99 * 90 * k


@pytest.mark.parametrize("spoilt", ["one latent is everything", "a bias is everything", "all are zero"])
def test_where_eight_bits_would_tell_too_little_candidates_are_chosen_in_bfloat16(spoilt: str) -> None:
    draw = _generator(3)
    reader, x = _reader(draw, 64), torch.randn(40, 64, generator=draw)
    if spoilt == "one latent is everything":
        reader.encoder[5] *= 1e3
    elif spoilt == "a bias is everything":
        reader = reader._replace(bias=reader.bias * 1e3)
    else:
        x.zero_()
    scores = Selector(torch.int8, tile_rows=25).scores(x, reader)
    assert not isinstance(scores, IntegerScores)
    assert next(scores.tiles())[1].dtype == torch.bfloat16


def test_what_rounding_takes_from_a_large_bias_loses_hardly_any_of_the_best() -> None:
    random = torch.Generator().manual_seed(0)
    n_tokens, width, n_latents, k = 128, 256, 2048, 32
    x = torch.randn(n_tokens, width, generator=random)
    encoder = torch.nn.functional.normalize(torch.randn(n_latents, width, generator=random), dim=1)
    bias = 2 * torch.randn(n_latents, generator=random) - 2
    scores = integer_scores(x, Reader(encoder, bias), Buffers(), tile_rows=64)
    assert scores is not None
    found = scores.largest(k)
    best = (x @ encoder.T + bias).topk(k, dim=1).indices
    chosen = torch.zeros(n_tokens, n_latents, dtype=torch.bool)
    chosen[found.rows.long(), found.latents.long()] = True
    assert (~chosen.gather(1, best)).float().mean() < 0.001
    assert len(found.rows) < 1.3 * best.numel()
