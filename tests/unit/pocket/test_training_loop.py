from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from interp_lab.errors import CheckpointMismatch
from interp_lab.pocket import checkpoint
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import RECIPES, Recipe
from interp_lab.pocket.train import Batches, fit, learning_rate

TINY = Recipe("tiny", "gpt2", layers=1, width=16, heads=2, mlp_width=32, seed=3, steps=6, batch=2, warmup=2)
LLAMA = replace(TINY, family="llama", kv_heads=1, tied=False)
SIZE = (24, 16)
TOKENS = np.tile(np.arange(3, 23, dtype=np.uint16), 40)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("recipe", [TINY, LLAMA], ids=["gpt2", "llama"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    whole = fit(recipe, TOKENS, tmp_path / "whole", corpus="c", size=SIZE)
    fit(recipe, TOKENS, tmp_path / "parts", corpus="c", size=SIZE, until=3)
    resumed = fit(recipe, TOKENS, tmp_path / "parts", corpus="c", size=SIZE)
    assert equal(weights(whole), weights(resumed))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first = fit(TINY, TOKENS, tmp_path / "a", corpus="c", size=SIZE)
    second = fit(replace(TINY, seed=4), TOKENS, tmp_path / "b", corpus="c", size=SIZE)
    assert not equal(weights(first), weights(second))


@pytest.mark.parametrize(
    ("recipe", "corpus"), [(replace(TINY, learning_rate=1.0), "c"), (TINY, "another text")], ids=["recipe", "text"]
)
def test_a_checkpoint_is_not_continued_under_another_recipe_or_text(
    recipe: Recipe, corpus: str, tmp_path: Path
) -> None:
    fit(TINY, TOKENS, tmp_path, corpus="c", size=SIZE, until=2)
    with pytest.raises(CheckpointMismatch):
        fit(recipe, TOKENS, tmp_path, corpus=corpus, size=SIZE)


def test_a_half_written_checkpoint_is_not_read(tmp_path: Path) -> None:
    fit(TINY, TOKENS, tmp_path, corpus="c", size=SIZE, until=2)
    (tmp_path / "step-000005.tmp").mkdir()
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-000002"]


def test_training_learns_a_rule_and_not_noise(tmp_path: Path) -> None:
    recipe = replace(TINY, steps=120, learning_rate=1e-2)
    noise = np.random.default_rng(0).integers(3, 23, len(TOKENS)).astype(np.uint16)
    last: dict[str, float] = {}
    for name, tokens in (("rule", TOKENS), ("noise", noise)):
        losses: list[float] = []
        fit(
            recipe,
            tokens,
            tmp_path / name,
            corpus=name,
            size=SIZE,
            report=lambda _s, loss, _t, to=losses: to.append(loss),
        )
        last[name] = float(np.mean(losses[-10:]))
    assert last["rule"] < 0.5
    assert last["noise"] > 2.0


def test_a_pass_covers_every_window_once_and_passes_differ() -> None:
    recipe = replace(TINY, batch=4)
    tokens = np.arange(16 * 41 + 1, dtype=np.uint16)
    batches = Batches(tokens, recipe, context=16)
    starts = [sorted(int(row[0]) for step in range(10) for row in batches.at(step + 10 * number)) for number in (0, 1)]
    assert starts[0] == [16 * place for place in range(40)]
    assert len({start // 16 for start in starts[1]}) == 40
    assert starts[0] != starts[1]


def test_a_batch_depends_on_the_step_alone() -> None:
    ahead, behind = Batches(TOKENS, TINY, 16), Batches(TOKENS, TINY, 16)
    ahead.at(0), ahead.at(40)
    assert torch.equal(ahead.at(7), behind.at(7))


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = replace(TINY, steps=1000, warmup=100)
    rates = [learning_rate(recipe, step) for step in range(1000)]
    assert rates[0] == pytest.approx(recipe.learning_rate / 100)
    assert rates[99:650] == pytest.approx([recipe.learning_rate] * 551)
    assert all(later <= earlier for earlier, later in pairwise(rates[650:]))
    assert rates[-1] < recipe.learning_rate / 1000


def test_the_same_seed_builds_the_same_model_and_leaves_the_global_stream_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = build(TINY, *SIZE), build(TINY, *SIZE)
    assert equal(weights(first), weights(second))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_two_models_differ_in_family_width_depth_and_seed() -> None:
    one, other = RECIPES["pocket-gpt2"], RECIPES["pocket-llama"]
    for field in ("family", "width", "layers", "seed"):
        assert getattr(one, field) != getattr(other, field)
