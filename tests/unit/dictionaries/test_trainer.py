"""The trainer: the same again from a seed or a checkpoint, stops where numbers end, keeps its promises of weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, TrainingConfig
from interp_lab.dictionaries.training.several import train_together
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.errors import InvalidDictionary, TrainingDiverged, TrainingSourceUnfit

D, L, N = 12, 40, 64
COUNTED: tuple[ArchitectureName, ...] = ("topk", "batchtopk", "matryoshka")
SETTINGS = TrainingConfig(total_tokens=40 * N, batch_tokens=N, learning_rate=3e-3, tile_rows=25, select="fp32")


def _config(architecture: ArchitectureName = "topk", **changes: object) -> DictionaryConfig:
    k = 4 if architecture in COUNTED else None
    return DictionaryConfig(**{"architecture": architecture, "d_in": D, "d_out": D, "n_latents": L, "k": k, **changes})


def _trainer(architecture: ArchitectureName = "topk", **changes: object) -> Trainer:
    return Trainer(_config(architecture), SETTINGS.model_copy(update=changes))


def _batches(count: int, seed: int = 0, shift: float = 0.7) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    directions = torch.randn(20, D, generator=draw)
    return [
        (torch.rand(N, 20, generator=draw) * (torch.rand(N, 20, generator=draw) < 0.15)) @ directions + shift
        for _ in range(count)
    ]


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "matryoshka", "relu", "gated", "jumprelu"])
@pytest.mark.parametrize(("optimiser", "select"), [("adam", "fp32"), ("signum", "fp32"), ("adam", "int8")])
def test_training_goes_on_bit_for_bit_from_a_saved_state(
    architecture: ArchitectureName, optimiser: str, select: str
) -> None:
    batches, changes = _batches(8), {"optimiser": optimiser, "select": select, "dead_window_tokens": 2 * N}
    whole, first = (_trainer(architecture, **changes) for _ in range(2))
    for batch in batches:
        expected = whole.step(batch)
    for batch in batches[:4]:
        first.step(batch)
    second = _trainer(architecture, **changes)
    second.load_state_dict(first.state_dict())
    for batch in batches[4:]:
        found = second.step(batch)
    assert found == expected
    ours, theirs = second.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_state_that_lost_its_moments_does_not_go_on_the_same() -> None:
    batches = _batches(8)
    whole, second = _trainer(), _trainer()
    for batch in batches[:4]:
        whole.step(batch)
    kept = {name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("optimiser.")}
    second.load_state_dict(kept)
    for batch in batches[4:]:
        whole.step(batch)
        second.step(batch)
    assert not torch.equal(whole.parameters["encoder"], second.parameters["encoder"])


def test_the_same_seed_gives_the_same_dictionary_and_another_seed_another() -> None:
    found: list[Tensor] = []
    for seed in (0, 0, 1):
        trainer = _trainer(seed=seed)
        for batch in _batches(3):
            trainer.step(batch)
        found.append(trainer.dictionary().W_dec)
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_a_batch_that_is_not_finite_stops_training_with_the_step_and_leaves_the_weights() -> None:
    trainer = _trainer()
    for batch in _batches(2):
        trainer.step(batch)
    before = trainer.state_dict()
    broken = _batches(1)[0]
    broken[3, 2] = math.nan
    with pytest.raises(TrainingDiverged, match=r"Step 3: 1 tokens"):
        trainer.step(broken)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.state_dict().items())


def test_a_loss_that_is_not_finite_stops_training_with_the_step() -> None:
    trainer = _trainer(normalize="none", clip_norm=None)
    trainer.step(_batches(1)[0])
    with pytest.raises(TrainingDiverged, match=r"Step 2: the loss is not finite"):
        trainer.step(_batches(1)[0] * 1e30)


def test_decoder_rows_stay_at_length_one_where_they_are_kept_and_drift_where_they_are_free() -> None:
    for norm, stays in (("unit", True), ("free", False)):
        trainer = _trainer(decoder_norm=norm)
        for batch in _batches(5):
            trainer.step(batch)
        lengths = trainer.parameters["decoder"].norm(dim=1)
        assert torch.allclose(lengths, torch.ones(L), atol=1e-5) is stays
        assert torch.allclose(trainer.dictionary().W_dec.norm(dim=1), torch.ones(L), atol=1e-5)


def test_dead_latents_come_back_with_the_revival_loss_and_stay_dead_without() -> None:
    dead: dict[float, float] = {}
    for coefficient in (0.0, 1.0):
        trainer = _trainer(aux_coefficient=coefficient, dead_window_tokens=4 * N, learning_rate=1e-2)
        batches = _batches(60)
        trainer.step(batches[0])
        trainer.parameters["b_enc"][: L // 2] -= 3.0
        for batch in batches[1:]:
            metrics = trainer.step(batch)
        dead[coefficient] = metrics.dead_fraction
    assert dead[0.0] >= 0.4
    assert dead[1.0] < 0.1


def test_no_latent_starts_dead_with_weights_fitted_to_the_first_batch() -> None:
    trainer = _trainer(learning_rate=1e-9)
    for batch in _batches(12):
        trainer.step(batch)
    assert float((trainer.progress.silent < 12 * N).float().mean()) == 1.0


def _first_encoder_length(architecture: ArchitectureName, **changes: object) -> float:
    trainer = _trainer(architecture, **changes)
    trainer.start(_batches(1)[0])
    return float(trainer.parameters["encoder"].norm(dim=1)[0])


def test_the_encoder_is_scaled_on_the_first_batch_except_where_latents_compete_within_it() -> None:
    assert _first_encoder_length("matryoshka") == pytest.approx(1.0)
    assert _first_encoder_length("batchtopk") == pytest.approx(1.0)
    assert abs(_first_encoder_length("topk") - 1.0) > 0.01
    assert abs(_first_encoder_length("batchtopk", calibrate=True) - 1.0) > 0.01
    assert _first_encoder_length("topk", calibrate=False) == pytest.approx(1.0)


def test_where_rows_are_free_both_matrices_start_at_the_length_that_was_asked_for() -> None:
    trainer = _trainer("matryoshka", decoder_norm="free", initial_decoder_norm=0.1)
    trainer.start(_batches(1)[0])
    assert torch.allclose(trainer.parameters["encoder"].norm(dim=1), torch.full((L,), 0.1))
    assert torch.equal(trainer.parameters["encoder"], trainer.parameters["decoder"])
    assert _first_encoder_length("matryoshka", initial_decoder_norm=0.1) == pytest.approx(1.0)


def test_very_dense_codes_take_the_dense_path_and_sparse_ones_the_other() -> None:
    paths = {density: _trainer("relu", dense_above=density).step(_batches(1)[0]).path for density in (0.01, 1.0)}
    assert paths == {0.01: "dense", 1.0: "sparse"}


@pytest.mark.parametrize("architecture", ["relu", "gated", "jumprelu"])
def test_the_dense_and_the_sparse_path_move_the_weights_alike(architecture: ArchitectureName) -> None:
    sparse, dense = (_trainer(architecture, dense_above=density, learning_rate=1e-3) for density in (1.0, 0.0))
    for batch in _batches(4):
        losses = sparse.step(batch).loss, dense.step(batch).loss
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("normalize", ["none", "expected_average_norm", "layer_norm"])
@pytest.mark.parametrize("architecture", ["topk", "gated", "jumprelu"])
def test_a_finished_dictionary_reconstructs_raw_activations_as_training_did(
    architecture: ArchitectureName, normalize: str
) -> None:
    trainer = _trainer(architecture, normalize=normalize, learning_rate=1e-9, decoder_norm="free")
    batch = _batches(1)[0] * 5
    fvu = trainer.step(batch).fvu
    if normalize != "layer_norm":
        assert trainer.evaluate([batch[:30], batch[30:]]).fvu == pytest.approx(fvu, rel=1e-3)
    dictionary = trainer.dictionary()
    codes = dictionary.encode(batch)
    sparse = dictionary.encode_sparse(batch)
    assert torch.equal(codes[codes > 0], sparse.values)
    assert sparse.indptr[-1] == (codes > 0).sum()


def test_the_threshold_of_a_finished_batch_topk_keeps_its_number_of_active_latents_on_new_tokens() -> None:
    trainer = _trainer("batchtopk", threshold_rate=0.1)
    batches = _batches(60)
    for batch in batches[:40]:
        trainer.step(batch)
    assert trainer.evaluate(batches[40:]).l0 == pytest.approx(4.0, rel=0.3)


def test_evaluation_counts_blocks_together_and_needs_one() -> None:
    trainer = _trainer()
    batches = _batches(6)
    for batch in batches[:4]:
        trainer.step(batch)
    dictionary, held_out = trainer.dictionary(), torch.cat(batches[4:])
    error = (dictionary.reconstruct(held_out) - held_out).pow(2).sum()
    found = trainer.evaluate(batches[4:])
    assert found.n_tokens == 2 * N
    assert found.fvu == pytest.approx(float(error / (held_out - held_out.mean(0)).pow(2).sum()), rel=1e-4)
    with pytest.raises(TrainingSourceUnfit):
        trainer.evaluate([])


def test_several_dictionaries_trained_on_the_same_batches_are_those_trained_alone() -> None:
    alone, one, other = _trainer(seed=1), _trainer(seed=1), _trainer("relu")
    for batch in _batches(3):
        expected = alone.step(batch)
    *_, last = train_together([one, other], _batches(3))
    assert last[0] == expected
    assert torch.equal(one.parameters["decoder"], alone.parameters["decoder"])


def test_gradients_of_two_halves_exchanged_are_those_of_the_whole_batch() -> None:
    batch = _batches(1)[0]
    start = _trainer()
    start.start(batch)
    weights = start.parameters
    collected: list[list[Tensor]] = []
    for half in (batch[: N // 2], batch[N // 2 :]):
        part = Trainer(_config(), SETTINGS, exchange=lambda found: collected.append([each.clone() for each in found]))
        part.adopt(weights, start.scaling)
        part.step(half)
    means = [torch.stack(pair).mean(0) for pair in zip(*collected, strict=True)]

    def exchange(found: object) -> None:
        for each, mean in zip(found, means, strict=True):  # type: ignore[call-overload]
            each.copy_(mean)

    joined = Trainer(_config(), SETTINGS, exchange=exchange)
    joined.adopt(weights, start.scaling)
    joined.step(batch[: N // 2])
    whole = _trainer()
    whole.load_state_dict(start.state_dict())
    whole.step(batch)
    for name, tensor in joined.parameters.items():
        torch.testing.assert_close(tensor, whole.parameters[name], rtol=1e-3, atol=1e-5)


def test_an_architecture_that_counts_latents_is_not_trained_without_their_number() -> None:
    with pytest.raises(InvalidDictionary):
        Trainer(_config("topk", k=None), SETTINGS)
    with pytest.raises(InvalidDictionary):
        _trainer().dictionary()
