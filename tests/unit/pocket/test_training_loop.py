from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from interp_lab.errors import CheckpointMismatch
from interp_lab.pocket import checkpoint
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import BOS_ID, RECIPES, Cycle, Recipe
from interp_lab.pocket.train import fit, learning_rate, loss_of
from interp_lab.pocket.windows import Batch, Batches

TINY = Recipe(
    "tiny",
    "gpt2",
    layers=1,
    width=16,
    heads=2,
    mlp_width=32,
    seed=3,
    cycles=(Cycle(4, 2.5e-3, 0.5), Cycle(6, 1e-3, 0.5)),
    batch=2,
    warmup=2,
    repeats_from=9999,
    echoes_from=9999,
    aligned_from=9999,
)
LLAMA = replace(TINY, family="llama", kv_heads=1, tied=False)


def once(steps: int, rate: float) -> tuple[Cycle, ...]:
    return (Cycle(steps, rate, 0.35),)


SIZE = (24, 16)
TOKENS = np.tile(np.arange(3, 23, dtype=np.uint16), 40)
TEXTS = (TOKENS, TOKENS[::-1].copy())


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("recipe", [TINY, LLAMA], ids=["gpt2", "llama"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    whole = fit(recipe, TEXTS, tmp_path / "whole", corpus="c", size=SIZE)
    fit(recipe, TEXTS, tmp_path / "parts", corpus="c", size=SIZE, until=3)
    resumed = fit(recipe, TEXTS, tmp_path / "parts", corpus="c", size=SIZE)
    assert equal(weights(whole), weights(resumed))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first = fit(TINY, TEXTS, tmp_path / "a", corpus="c", size=SIZE)
    second = fit(replace(TINY, seed=4), TEXTS, tmp_path / "b", corpus="c", size=SIZE)
    assert not equal(weights(first), weights(second))


@pytest.mark.parametrize(
    ("recipe", "corpus"), [(replace(TINY, clip=2.0), "c"), (TINY, "another text")], ids=["recipe", "text"]
)
def test_a_checkpoint_is_not_continued_under_another_recipe_or_text(
    recipe: Recipe, corpus: str, tmp_path: Path
) -> None:
    fit(TINY, TEXTS, tmp_path, corpus="c", size=SIZE, until=2)
    with pytest.raises(CheckpointMismatch):
        fit(recipe, TEXTS, tmp_path, corpus=corpus, size=SIZE)


def test_a_half_written_checkpoint_is_not_read(tmp_path: Path) -> None:
    fit(TINY, TEXTS, tmp_path, corpus="c", size=SIZE, until=2)
    (tmp_path / "step-000005.tmp").mkdir()
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-000002"]


def test_training_learns_a_rule_and_not_noise(tmp_path: Path) -> None:
    recipe = replace(TINY, cycles=once(120, 1e-2))
    noise = np.random.default_rng(0).integers(3, 23, len(TOKENS)).astype(np.uint16)
    last: dict[str, float] = {}
    for name, tokens in (("rule", TOKENS), ("noise", noise)):
        losses: list[float] = []
        fit(
            recipe,
            (tokens,),
            tmp_path / name,
            corpus=name,
            size=SIZE,
            report=lambda _s, loss, _t, to=losses: to.append(loss),
        )
        last[name] = float(np.mean(losses[-10:]))
    assert last["rule"] < 0.5
    assert last["noise"] > 2.0


def test_a_pass_covers_every_window_once_and_passes_differ() -> None:
    recipe = replace(TINY, batch=4, cycles=once(100, 1e-3))
    tokens = np.arange(16 * 41 + 1, dtype=np.uint16)
    batches = Batches((tokens,), recipe, context=16)
    starts = [
        sorted(int(row[0]) for step in range(10) for row in batches.at(step + 10 * number).ids) for number in (0, 1)
    ]
    assert starts[0] == [16 * place for place in range(40)]
    assert len({start // 16 for start in starts[1]}) == 40
    assert starts[0] != starts[1]


def test_a_batch_depends_on_the_step_alone() -> None:
    ahead, behind = Batches(TEXTS, TINY, 16), Batches(TEXTS, TINY, 16)
    ahead.at(0), ahead.at(5)
    assert torch.equal(ahead.at(3).ids, behind.at(3).ids)


def test_the_learning_rate_rises_stays_and_falls_to_zero_in_every_cycle() -> None:
    recipe = replace(TINY, cycles=(Cycle(1000, 2e-3, 0.35), Cycle(1500, 1e-3, 0.5)), warmup=100)
    rates = [learning_rate(recipe, step) for step in range(1500)]
    assert rates[0] == pytest.approx(2e-5)
    assert rates[99:650] == pytest.approx([2e-3] * 551)
    assert all(later <= earlier for earlier, later in pairwise(rates[650:1000]))
    assert rates[999] < 2e-6
    assert rates[1000] == pytest.approx(1e-5)
    assert rates[1100:1250] == pytest.approx([1e-3] * 150)
    assert rates[-1] < 1e-6


def test_every_cycle_learns_from_its_own_text() -> None:
    recipe = replace(TINY, cycles=(*TINY.cycles, Cycle(9, 1e-3, 0.5)))
    texts = tuple(np.full(400, token, dtype=np.uint16) for token in (5, 6, 7))
    batches = Batches(texts, recipe, context=16)
    assert [int(batches.at(step).ids.unique()) for step in range(9)] == [5] * 4 + [6] * 2 + [7] * 3


def test_a_finished_run_goes_on_when_the_recipe_gets_another_cycle(tmp_path: Path) -> None:
    longer, texts = replace(TINY, cycles=(*TINY.cycles, Cycle(8, 1e-3, 0.5))), (*TEXTS, TOKENS)
    whole = fit(longer, texts, tmp_path / "whole", corpus="c", size=SIZE)
    fit(TINY, texts, tmp_path / "parts", corpus="c", size=SIZE)
    assert equal(weights(whole), weights(fit(longer, texts, tmp_path / "parts", corpus="c", size=SIZE)))


def test_a_checkpoint_knows_the_end_of_a_cycle_only_once_its_decay_has_begun(tmp_path: Path) -> None:
    later = replace(TINY, cycles=(TINY.cycles[0], Cycle(16, 1e-3, 0.5)))
    assert TINY.digest(5) == later.digest(5)
    assert TINY.digest(6) != later.digest(6)
    assert TINY.digest(4) == replace(TINY, cycles=TINY.cycles[:1]).digest()
    fit(TINY, TEXTS, tmp_path, corpus="c", size=SIZE)
    with pytest.raises(CheckpointMismatch):
        fit(later, TEXTS, tmp_path, corpus="c", size=SIZE)


def test_the_same_seed_builds_the_same_model_and_leaves_the_global_stream_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = build(TINY, *SIZE), build(TINY, *SIZE)
    assert equal(weights(first), weights(second))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_two_models_differ_in_family_width_depth_and_seed() -> None:
    one, other = RECIPES["pocket-gpt2"], RECIPES["pocket-llama"]
    for field in ("family", "width", "layers", "seed"):
        assert getattr(one, field) != getattr(other, field)


def longest_period(row: torch.Tensor) -> float:
    """The share of tokens that equal the token one period earlier, at the best period."""
    return max(float((row[period:] == row[:-period]).float().mean()) for period in range(8, 97))


@pytest.mark.parametrize(
    ("starts", "places"),
    [({"repeats_from": 5, "echoes_from": 99}, (7,)), ({"repeats_from": 5, "echoes_from": 5}, (1, 3, 5, 7))],
    ids=["random tokens", "text too"],
)
def test_windows_repeat_themselves_from_the_step_on_that_the_recipe_names(
    starts: dict[str, int], places: tuple[int, ...]
) -> None:
    noise = np.random.default_rng(1).integers(3, 4000, 60_000).astype(np.uint16)
    batches = Batches((noise,), replace(TINY, batch=4, cycles=once(50, 1e-3), **starts), context=512, vocabulary=4000)
    repeated = {
        step * 4 + row for step in range(12) for row in range(4) if longest_period(batches.at(step).ids[row]) > 0.1
    }
    assert repeated == {window for window in range(20, 48) if window % 8 in places}


def test_sources_point_at_what_followed_the_earlier_copy() -> None:
    noise = np.random.default_rng(2).integers(3, 4000, 60_000).astype(np.uint16)
    recipe = replace(TINY, batch=8, cycles=once(50, 1e-3), repeats_from=0, echoes_from=0)
    ids, sources = Batches((noise,), recipe, context=256, vocabulary=4000).at(3)
    for row in range(8):
        queries = torch.nonzero(sources[row] >= 0).flatten()
        assert len(queries) > 60 if row % 2 else len(queries) == 0
        assert torch.equal(ids[row, queries], ids[row, sources[row, queries] - 1])
        assert bool((sources[row, queries] <= queries).all())


def attention_to_the_token_before(model: PreTrainedModel, ids: torch.Tensor) -> float:
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        attention = model(input_ids=ids, output_attentions=True).attentions[0][:, 0]
    return float(attention.diagonal(offset=-1, dim1=1, dim2=2).mean())


def test_guidance_draws_the_first_head_to_the_token_before(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(3, 24, 4000).astype(np.uint16)
    free = replace(TINY, layers=2, cycles=once(80, 1e-2), batch=8, repeats_from=0, echoes_from=0)
    ids = torch.from_numpy(np.random.default_rng(4).integers(3, 24, (8, 32)))
    scores: dict[str, float] = {}
    for name, recipe in (("free", free), ("guided", replace(free, guided=((0, 80),)))):
        model = fit(recipe, (noise,), tmp_path / name, corpus="c", size=(24, 32))
        scores[name] = attention_to_the_token_before(model, ids)
    assert scores["guided"] > scores["free"] + 0.2


def test_guidance_asks_for_attention_where_the_earlier_copy_went_on() -> None:
    model = build(replace(TINY, layers=2), *SIZE)
    model.set_attn_implementation("eager")
    ids = torch.arange(3, 20)[None]
    somewhere, nowhere = torch.full((1, 16), 1), torch.full((1, 16), -1)
    somewhere[0, 0] = -1
    nowhere[0, 15] = 15
    plain = loss_of(model, Batch(ids, somewhere), None)
    early, late = (loss_of(model, Batch(ids, sources), (0, 1)) for sources in (somewhere, nowhere))
    assert early > plain
    assert late > early  # one of sixteen keys is harder to hit than one of a few


def test_aligned_windows_begin_where_a_document_does_and_repetitions_do_not() -> None:
    text = np.random.default_rng(5).integers(3, 4000, 60_000).astype(np.uint16)
    text[::37] = BOS_ID
    recipe = replace(TINY, batch=8, cycles=once(50, 1e-3), repeats_from=0, aligned_from=2)
    batches = Batches((text,), recipe, context=256, vocabulary=4000)
    for step in range(6):
        ids, sources = batches.at(step)
        aligned = [row for row in range(8) if int(ids[row, 0]) == BOS_ID]
        assert bool((sources[7] >= 0).any())
        if step < 2:
            assert 7 in aligned
        else:
            assert {1, 3, 5} <= set(aligned)
            assert 7 not in aligned
