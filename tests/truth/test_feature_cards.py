"""Every number of a feature card equals a plain computation; planted latents look planted and their twins do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.features import ShowFeatureRequest, ShowFeatureResult
from interp_lab.contracts.store import CodeColumn, StoreHeader
from interp_lab.errors import DictionaryMismatch, InvalidRequest, LabError, UnknownModel, UnknownUnit
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.features import neighbours
from interp_lab.workflows.show_feature import show_feature
from tests.truth.feature_stores import (
    ADDRESS,
    AT_BOS,
    BOS,
    COLUMN,
    DEAD,
    DENSE,
    KILO,
    N_LATENTS,
    NEAR_PLANTED,
    PART_OF_PLANTED,
    PLANTED,
    SPORTS,
    SPORTS_TWIN,
    TWIN,
    Planted,
    make_planted,
    write_dictionary,
)

CLOSE = {"rtol": 6e-4, "atol": 1e-6}
LIVE = [unit for unit in range(N_LATENTS) if unit != DEAD]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return make_planted(tmp_path_factory.mktemp("features"))


@pytest.mark.parametrize("unit", LIVE)
def test_density_equals_numpy_and_its_interval_counts_groups(planted: Planted, unit: int) -> None:
    fires = planted.codes[:, unit] > 0
    found = planted.show(unit).density
    assert found is not None
    assert found.interval is not None
    estimate = clustered_mean(fires.astype(float), planted.group)
    np.testing.assert_allclose(found.rate, fires.mean(), **CLOSE)
    np.testing.assert_allclose(found.interval.low, max(0.0, estimate.low), **CLOSE)
    np.testing.assert_allclose(found.interval.high, estimate.high, **CLOSE)
    assert (found.active_rows, found.rows) == (fires.sum(), fires.size)
    assert found.active_prompts == np.unique(planted.prompt[fires]).size
    assert (found.active_groups, found.groups) == (np.unique(planted.group[fires]).size, np.unique(planted.group).size)


@pytest.mark.parametrize("unit", LIVE)
def test_values_and_histogram_equal_numpy(planted: Planted, unit: int) -> None:
    values = planted.codes[planted.codes[:, unit] > 0, unit].astype(float)
    found = planted.show(unit).activations
    assert found is not None
    wanted = [values.mean(), np.median(values), values.min(), values.max()]
    np.testing.assert_allclose([found.mean, found.median, found.min, found.max], wanted, **CLOSE)
    assert list(found.counts) == np.histogram(values, bins=len(found.counts))[0].tolist()


@pytest.mark.parametrize("unit", [PLANTED, TWIN, DENSE, 12])
def test_trigger_tokens_equal_a_count(planted: Planted, unit: int) -> None:
    fires = planted.codes[:, unit] > 0
    shares = []
    for each in planted.show(unit, n_tokens=8).triggers:
        rows = planted.token == each.token
        assert each.rows == rows.sum()
        np.testing.assert_allclose(each.share, (fires & rows).sum() / fires.sum(), **CLOSE)
        np.testing.assert_allclose(each.rate, (fires & rows).sum() / rows.sum(), **CLOSE)
        shares.append(each.share)
    assert shares == sorted(shares, reverse=True)


def test_the_planted_latent_is_a_token_latent_and_its_twin_is_not(planted: Planted) -> None:
    card, twin = planted.show(PLANTED), planted.show(TWIN)
    assert card.triggers[0].token == KILO
    assert card.triggers[0].share == 1
    assert "one_token" in card.flags
    assert twin.triggers[0].share < 0.5
    assert "one_token" not in twin.flags


def test_each_suspicion_is_raised_where_it_was_planted_and_nowhere_else(planted: Planted) -> None:
    wanted = {AT_BOS: {"one_token", "special_tokens", "first_position"}, DEAD: {"dead"}, SPORTS: {"dense"}}
    assert set(planted.show(AT_BOS).flags) == wanted[AT_BOS]
    assert set(planted.show(DEAD).flags) == wanted[DEAD]
    assert "dense" in planted.show(DENSE).flags
    assert planted.show(12).flags == ()
    assert planted.show(AT_BOS).triggers[0].token == BOS


def test_a_dead_latent_has_weights_and_no_contexts(planted: Planted) -> None:
    card = planted.show(DEAD)
    assert card.contexts == card.coactive == card.associations == ()
    assert card.weights is not None
    assert len(card.nearest) == 3
    assert "none of" in card.summary


@pytest.mark.parametrize("unit", [PLANTED, TWIN, DENSE, SPORTS])
def test_top_contexts_are_the_strongest_one_per_prompt(planted: Planted, unit: int) -> None:
    values = planted.codes[:, unit]
    seen: dict[int, int] = {}
    for row in np.argsort(-values, kind="stable"):
        seen.setdefault(int(planted.prompt[row]), int(row))
    rows = list(seen.values())[:5]
    top = [each for each in planted.show(unit, n_contexts=5).contexts if each.band == 0]
    for row, each in zip(rows, top, strict=True):
        np.testing.assert_allclose(each.value, values[row], **CLOSE)
        assert (each.prompt, each.position, each.token) == (
            planted.prompt[row],
            planted.position[row],
            planted.token[row],
        )
        own = np.flatnonzero(planted.prompt == each.prompt)
        text = "".join(planted.token[own])
        assert each.before + each.token + each.after in text
        for offset, value in each.near or ():
            assert planted.prompt[row + offset] == each.prompt
            np.testing.assert_allclose(value, values[row + offset], **CLOSE)


@pytest.mark.parametrize("unit", [PLANTED, DENSE])
def test_bands_are_equally_filled_and_every_context_is_of_another_prompt(planted: Planted, unit: int) -> None:
    ranked = np.sort(planted.codes[planted.codes[:, unit] > 0, unit])[::-1]
    bands = np.array_split(ranked, 10)
    contexts = planted.show(unit).contexts
    for each in contexts:
        if each.band:
            members = bands[each.band - 1]
            assert members.min() * 0.999 <= each.value <= members.max() * 1.001
    prompts = [each.prompt for each in contexts]
    assert len(set(prompts)) == len(prompts)
    assert len([each for each in contexts if each.band]) >= 8


def test_contexts_follow_from_the_seed(planted: Planted) -> None:
    assert planted.show(DENSE, seed=5).contexts == planted.show(DENSE, seed=5).contexts
    assert planted.show(DENSE, seed=5).contexts != planted.show(DENSE, seed=6).contexts


@pytest.mark.parametrize("unit", [PLANTED, DENSE, 12])
def test_neighbours_equal_numpy(planted: Planted, unit: int) -> None:
    card = planted.show(unit, n_nearest=6)
    rows = planted.decoder.astype(float)
    cosines = rows @ rows[unit] / (np.linalg.norm(rows, axis=1) * np.linalg.norm(rows[unit]))
    order = [int(each) for each in np.argsort(-cosines, kind="stable") if each != unit][:6]
    assert [each.unit for each in card.nearest] == order
    np.testing.assert_allclose([each.cosine for each in card.nearest], cosines[order], **CLOSE)
    fires = planted.codes > 0
    for each in card.coactive:
        both = (fires[:, unit] & fires[:, each.unit]).sum()
        assert each.both == both
        np.testing.assert_allclose(each.jaccard, both / (fires[:, unit] | fires[:, each.unit]).sum(), **CLOSE)
        np.testing.assert_allclose(each.phi, np.corrcoef(fires[:, unit], fires[:, each.unit])[0, 1], **CLOSE)
    assert card.coactive_rows == fires[:, unit].sum()


def test_the_planted_neighbours_are_found_and_the_twin_is_none(planted: Planted) -> None:
    card = planted.show(PLANTED)
    assert card.nearest[0].unit == NEAR_PLANTED
    assert card.nearest[0].cosine > 0.99
    assert card.coactive[0].unit == PART_OF_PLANTED
    assert card.coactive[1].jaccard < 0.2
    assert PLANTED not in {each.unit for each in planted.show(TWIN, n_nearest=2).coactive}


def test_coactivation_of_a_draw_is_near_that_of_all_rows(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planted.show(DENSE, n_nearest=N_LATENTS)
    monkeypatch.setattr(neighbours, "MAX_ENTRIES", 1000)
    drawn = planted.show(DENSE, n_nearest=N_LATENTS)
    assert drawn.coactive_rows is not None
    assert whole.coactive_rows is not None
    assert drawn.coactive_rows < whole.coactive_rows
    exact = {each.unit: each.jaccard for each in whole.coactive}
    assert max(abs(each.jaccard - exact[each.unit]) for each in drawn.coactive) < 0.08


@pytest.mark.parametrize("unit", [SPORTS, SPORTS_TWIN, DENSE])
def test_associations_equal_sklearn_and_scipy(planted: Planted, unit: int) -> None:
    found = {each.target: each for each in planted.show(unit, n_associations=50).associations}
    values = planted.codes[:, unit].astype(float)
    np.testing.assert_allclose(found["label:sports"].estimate, roc_auc_score(planted.sports, values), **CLOSE)
    np.testing.assert_allclose(found["metric:loss"].estimate, stats.pearsonr(values, planted.loss)[0], **CLOSE)
    known = planted.mood != ""
    calm = roc_auc_score(planted.mood[known] == "calm", values[known])
    np.testing.assert_allclose(found["label:mood=calm"].estimate, calm, **CLOSE)
    assert found["label:mood=calm"].rows == known.sum()


def test_the_label_is_found_for_the_planted_latent_and_not_for_its_twin(planted: Planted) -> None:
    best = planted.show(SPORTS).associations[0]
    assert best.target == "label:sports"
    assert best.low > 0.6
    assert best.q < 1e-4
    twin = {each.target: each for each in planted.show(SPORTS_TWIN, n_associations=9).associations}["label:sports"]
    assert twin.low < 0.5 < twin.high
    assert twin.q > 0.05


@pytest.mark.parametrize("unit", [PLANTED, 12])
def test_norms_and_angles_equal_numpy(planted: Planted, unit: int) -> None:
    found = planted.show(unit).weights
    assert found is not None
    row, column = planted.decoder[unit].astype(float), planted.encoder[:, unit].astype(float)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    np.testing.assert_allclose([found.decoder_norm, found.encoder_norm], lengths, **CLOSE)
    np.testing.assert_allclose(found.cosine, row @ column / (lengths[0] * lengths[1]), **CLOSE)
    np.testing.assert_allclose(found.encoder_bias, np.linspace(-1, 1, N_LATENTS)[unit], **CLOSE)


def test_a_latent_whose_encoder_is_at_right_angles_is_flagged(tmp_path: Path) -> None:
    decoder = np.eye(4, dtype=np.float32)
    encoder = np.roll(np.eye(4, dtype=np.float32), 1, axis=0)
    encoder[:, 3] = decoder[3]
    write_dictionary(tmp_path / "d", encoder, decoder)
    settings = Settings(workspace=tmp_path)
    turned, straight = (
        show_feature(ShowFeatureRequest(unit=unit, dictionary="d"), settings=settings, publish=lambda r, _: r)
        for unit in (0, 3)
    )
    assert turned.flags == ("weak_encoder",)
    assert straight.flags == ()


def test_a_coordinate_has_the_parts_that_make_sense(planted: Planted) -> None:
    card = planted.show(3, dictionary=None, column=ADDRESS)
    values = planted.dense[:, 3].astype(float)
    assert card.feature == f"{ADDRESS}#3"
    assert card.density is not None
    assert card.activations is not None
    np.testing.assert_allclose(card.density.rate, (values > 0).mean(), **CLOSE)
    np.testing.assert_allclose([card.activations.min, card.activations.max], [values.min(), values.max()], **CLOSE)
    np.testing.assert_allclose(card.contexts[0].value, values.max(), **CLOSE)
    assert min(each.value for each in card.contexts) < 0
    assert card.weights is None
    assert card.coactive == card.nearest == ()
    assert "dense" not in card.flags


def test_a_store_that_does_not_hold_the_codes_of_the_dictionary_is_refused(planted: Planted) -> None:
    rng = np.random.default_rng(1)
    other = planted.folder.parent / "other"
    if not other.exists():
        write_dictionary(other, rng.normal(size=(16, N_LATENTS)), rng.normal(size=(N_LATENTS, 16)))
    for named in ({}, {"column": COLUMN}, {"column": ADDRESS}):
        with pytest.raises(DictionaryMismatch):
            planted.show(PLANTED, dictionary="other", **named)


def test_what_is_not_there_is_refused_with_its_reason(planted: Planted) -> None:
    with pytest.raises(UnknownUnit):
        planted.show(N_LATENTS)
    with pytest.raises(UnknownUnit):
        planted.show(N_LATENTS, dictionary=None)
    with pytest.raises(InvalidRequest):
        planted.show(1, store=None, dictionary=None)
    with pytest.raises(UnknownModel):
        planted.show(1, model="nowhere at all")


FAMILIES = ["gpt2", "llama", "gpt_neox", "qwen2", "gemma2", "phi", "opt"]
GAINS = ("ln_f.weight", "model.norm.weight", "final_layer_norm.weight", "final_layernorm.weight")


def _with_gain(directory: Path, target: Path) -> Path:
    """Copy a tiny model whose final norm has a gain that is not 1, which no freshly made model has."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(directory, target)
    tensors = load_file(target / "model.safetensors")
    name = next(each for each in tensors if each.endswith(GAINS) and ".layers." not in each)
    generator = np.random.default_rng(3)
    tensors[name] = tensors[name] + tensors[name].new_tensor(generator.uniform(0.2, 2.0, tensors[name].shape))
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def _by_torch(directory: Path, direction: np.ndarray) -> np.ndarray:
    """Return what a direction adds to the logits: the model's own norm and head around a point of length one."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64)
    norm = next(m for n, m in model.named_modules() if n.endswith(tuple(g.removesuffix(".weight") for g in GAINS)))
    gain = norm.weight + 1 if "Gemma" in type(norm).__name__ else norm.weight
    with torch.no_grad():
        moved = torch.from_numpy(direction.astype(np.float64))
        moved = moved - moved.mean() if isinstance(norm, torch.nn.LayerNorm) else moved
        logits = model.get_output_embeddings().weight @ (moved * gain)
        return (logits - logits.mean()).numpy()


def _card_of(model: str, workspace: Path, **more: Any) -> ShowFeatureResult:
    request = ShowFeatureRequest.model_validate(
        {"unit": 7, "dictionary": "sae", "model": model, "n_tokens": 10, **more}
    )
    return show_feature(request, settings=Settings(workspace=workspace), publish=lambda result, _: result)


@pytest.mark.parametrize("family", FAMILIES)
def test_promoted_tokens_equal_the_models_own_norm_and_head(family: str, tiny_models: Any, tmp_path: Path) -> None:
    directory = _with_gain(tiny_models(family), tmp_path / "model")
    rng = np.random.default_rng(0)
    decoder = rng.normal(size=(12, 32)).astype(np.float32)
    write_dictionary(tmp_path / "sae", decoder.T, decoder)
    wanted = _by_torch(directory, decoder[7])
    found = _card_of("model", tmp_path).logits
    assert found is not None
    promoted, suppressed = np.sort(wanted)[::-1][:10], np.sort(wanted)[:10]
    np.testing.assert_allclose([value for _, value in found.promoted], promoted, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose([value for _, value in found.suppressed], suppressed, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.std, wanted.std(), rtol=1e-3)
    assert found.n_vocab == wanted.size
    assert _names(directory, np.argsort(-wanted)[:10]) == [token for token, _ in found.promoted]


def _names(directory: Path, tokens: np.ndarray) -> list[str]:
    """Return the tokens as the tokenizer decodes them; a tiny model has more logits than its tokenizer has tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    known = {each for each in tokens.tolist() if tokenizer.id_to_token(each) is not None}
    return [
        tokenizer.decode([each], skip_special_tokens=False) if each in known else f"token {each}"
        for each in tokens.tolist()
    ]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_direction_that_points_at_a_token_promotes_it_and_the_opposite_suppresses_it(
    family: str, tiny_models: Any, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    shutil.copytree(tiny_models(family), tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    name = "lm_head.weight" if "lm_head.weight" in tensors else "transformer.wte.weight"
    token = 200
    decoder = np.stack([tensors[name][token], -tensors[name][token]])
    write_dictionary(tmp_path / "sae", decoder.T, decoder)
    towards, away = (_card_of("model", tmp_path, unit=unit).logits for unit in (0, 1))
    assert towards is not None
    assert away is not None
    (text,) = _names(tmp_path / "model", np.array([token]))
    assert towards.promoted[0][0] == away.suppressed[0][0] == text
    assert text not in {each for each, _ in away.promoted}


def test_a_sharded_checkpoint_gives_the_same_tokens(tiny_models: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    rng = np.random.default_rng(0)
    write_dictionary(tmp_path / "sae", rng.normal(size=(32, 12)), rng.normal(size=(12, 32)))
    for name in ("whole", "parts"):
        shutil.copytree(tiny_models("llama"), tmp_path / name)
    single = tmp_path / "parts" / "model.safetensors"
    tensors = load_file(single)
    single.unlink()
    places = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2])):
        file = f"model-{number}.safetensors"
        save_file({name: tensors[name] for name in names}, tmp_path / "parts" / file)
        places |= dict.fromkeys(names, file)
    index = tmp_path / "parts" / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert _card_of("parts", tmp_path).logits == _card_of("whole", tmp_path).logits


def test_a_coordinate_promotes_what_its_column_of_the_unembedding_says(tiny_models: Any, tmp_path: Path) -> None:
    directory = _with_gain(tiny_models("llama"), tmp_path / "model")
    wanted = np.sort(_by_torch(directory, np.eye(32)[5]))[::-1][:10]
    found = _card_of("model", tmp_path, dictionary=None, column="resid_post.1", unit=5).logits
    assert found is not None
    np.testing.assert_allclose([value for _, value in found.promoted], wanted, rtol=1e-3)


@pytest.mark.parametrize(("family", "column"), [("bert", "resid_post.1"), ("llama", "mlp_act.1")])
def test_where_the_direct_path_is_not_known_nothing_is_made_up(
    family: str, column: str, tiny_models: Any, tmp_path: Path
) -> None:
    shutil.copytree(tiny_models(family), tmp_path / "model")
    with pytest.raises(LabError) as caught:
        _card_of("model", tmp_path, dictionary=None, column=column, unit=5)
    assert caught.value.code == "no_unembedding"


def test_prompts_that_read_the_same_are_shown_once(tmp_path: Path) -> None:
    header = StoreHeader(columns=(CodeColumn(address=Address.parse(ADDRESS), dictionary="sae", width=2),))
    words, n_prompts = [" a", " b", " c"], 12
    codes = np.zeros((3 * n_prompts, 2), dtype=np.float32)
    codes[1::3, 0] = np.linspace(5, 1, n_prompts)
    token = np.tile(words, n_prompts)
    token[-3:] = [" x", " b", " y"]
    with StoreWriter(tmp_path / "store", header, shard_rows=100) as writer:
        rows = {"prompt": np.repeat(np.arange(n_prompts), 3), "position": np.tile(range(3), n_prompts)}
        writer.add(RowBlock(rows=rows | {"token": token.tolist()}, columns={COLUMN: codes}))
        writer.finish({"id": list(map(str, range(n_prompts))), "text": ["t"] * n_prompts, "group": range(n_prompts)})
    request = ShowFeatureRequest(unit=0, store="store", n_contexts=3, n_bands=0)
    found = show_feature(request, settings=Settings(workspace=tmp_path), publish=lambda result, _: result).contexts
    assert [(each.prompt, each.before, each.after) for each in found] == [(0, " a", " c"), (11, " x", " y")]
