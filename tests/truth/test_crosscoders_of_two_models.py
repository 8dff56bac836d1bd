# pyright: standard
"""A crosscoder of two models tells planted features of both from those of one, and finds none where all are shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.diff_models import LatentOwner
from interp_lab.contracts.encode_store import EncodeStoreRequest
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.contracts.store import DenseColumn, StoredDataset, StoredModel, StoreHeader
from interp_lab.contracts.train_sae import TrainSaeRequest, TrainSaeResult
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary, save_dictionary
from interp_lab.errors import DictionaryMismatch, StoresNotAligned
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.latent_scaling import decoder_share, owner_of
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.reader import open_store
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.diffing.exclusive import judge_latents
from interp_lab.workflows.encode_store import encode_store
from interp_lab.workflows.evaluate_sae import evaluate_sae
from interp_lab.workflows.train_sae import train_sae

WIDTH, N_PROMPTS, LENGTH, PLACE = 20, 80, 60, "resid_post.1"
SHARED, ONLY_BASE, ONLY_CHANGED = 8, 4, 4
N = SHARED + ONLY_BASE + ONLY_CHANGED
FAINT = slice(SHARED, SHARED + ONLY_BASE)
Floats = NDArray[np.float32]


class Pair(NamedTuple):
    """Two models that stand side by side."""

    base: Floats
    changed: Floats
    features: Floats
    """Where each planted feature lies in both, `(feature, 2 * width)`; nothing in the model that lacks it."""


def directions(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0][:N]


def two_models(rng: np.random.Generator, base: NDArray[np.float64], changed: NDArray[np.float64]) -> Pair:
    """Two models that carry the same features in these directions, each with a little noise."""
    n_rows = N_PROMPTS * LENGTH
    codes = (rng.random((n_rows, N)) < 0.12) * rng.uniform(1, 2, (n_rows, N))
    one, two = (codes @ side + 0.01 * rng.standard_normal((n_rows, WIDTH)) for side in (base, changed))
    features = np.concatenate([base, changed], axis=1)
    return Pair(one.astype(np.float32), two.astype(np.float32), features.astype(np.float32))


def planted(*, private: bool, louder: float = 1.0) -> Pair:
    """Two models with bases of their own; `louder` makes all activations of the changed one larger."""
    rng = np.random.default_rng(11)
    base, changed = directions(rng), directions(rng)
    if private:
        changed[SHARED : SHARED + ONLY_BASE] = 0
        base[SHARED + ONLY_BASE :] = 0
    pair = two_models(rng, base, changed)
    return pair._replace(changed=louder * pair.changed)


def with_faint_features() -> Pair:
    """A model and its changed version in one basis: four features are faint in the base, four absent from it."""
    rng = np.random.default_rng(3)
    changed = directions(rng)
    directions(rng)
    base = changed.copy()
    base[FAINT] *= 0.3
    base[SHARED + ONLY_BASE :] = 0
    return two_models(rng, base, changed)


def write_store(folder: Path, model: str, values: Floats, *, tokens: tuple[str, ...] = ()) -> None:
    n_rows = len(values)
    rows: dict[str, Any] = {
        "prompt": np.repeat(np.arange(N_PROMPTS, dtype=np.int32), LENGTH),
        "position": np.tile(np.arange(LENGTH, dtype=np.int32), N_PROMPTS),
        "token": list(tokens) or [f"t{i}" for i in range(n_rows)],
        "special": np.zeros(n_rows, dtype=bool),
    }
    header = StoreHeader(
        columns=(DenseColumn(address=Address.parse(PLACE), width=values.shape[1], dtype="float32"),),
        model=StoredModel(id=model),
        dataset=StoredDataset(name="planted"),
    )
    with StoreWriter(folder, header, shard_rows=2048) as writer:
        writer.add(RowBlock(rows, {PLACE: values}))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N_PROMPTS)],
                "text": [f"text {i}" for i in range(N_PROMPTS)],
                "group": np.arange(N_PROMPTS, dtype=np.int32),
            }
        )


def trained(folder: Path, pair: Pair, **facts: Any) -> tuple[TrainSaeResult, Dictionary]:
    """Write both stores, train a crosscoder of them and return the answer and the dictionary as it was published."""
    write_store(folder / "base", "model-a", pair.base)
    write_store(folder / "changed", "model-b", pair.changed)
    fields: dict[str, Any] = {
        "source": {"kind": "stores", "stores": ["base", "changed"]},
        "kind": "crosscoder",
        "architecture": "batchtopk",
        "addresses": [PLACE],
        "widths": [N],
        "sparsities": [2],
        "evaluations": 2,
        "training": {"total_tokens": 150_000, "batch_tokens": 256, "learning_rate": 5e-3, "decay_steps": 200},
    }
    with LocalRun(folder / "out", workspace=folder) as run:
        request = TrainSaeRequest.model_validate(fields | facts)
        result = train_sae(request, run, settings=Settings(workspace=folder), suggest=lambda _rows: ())
    (published,) = (folder / "out").glob("dictionary-*")
    return result, load_dictionary(published)


def nearest(crosscoder: Dictionary, pair: Pair) -> dict[int, tuple[int, str]]:
    """Return the latent that is nearest to each planted feature and whose it looks, for those at cosine 0.9."""
    norms = crosscoder.config.section_norms
    rows = crosscoder.W_dec.numpy().astype(np.float64)
    sides = rows[:, :WIDTH] / norms[0], rows[:, WIDTH:] / norms[1]
    share = decoder_share(*sides)
    unit = np.concatenate(sides, axis=1)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    truth = pair.features / np.linalg.norm(pair.features, axis=1, keepdims=True)
    cosines = truth @ unit.T
    return {
        feature: (int(latents.argmax()), owner_of(float(share[latents.argmax()])))
        for feature, latents in enumerate(cosines)
        if latents.max() > 0.9
    }


def owners(crosscoder: Dictionary, pair: Pair) -> dict[int, str]:
    return {feature: owner for feature, (_, owner) in nearest(crosscoder, pair).items()}


def judged(crosscoder: Dictionary, pair: Pair) -> dict[int, LatentOwner]:
    codes = crosscoder.encode(torch.from_numpy(np.concatenate([pair.base, pair.changed], axis=1))).numpy()
    return {each.index: each for each in judge_latents(crosscoder, codes, pair.base, pair.changed).latents}


def expected() -> dict[int, str]:
    whose = ["shared"] * SHARED + ["base"] * ONLY_BASE + ["changed"] * ONLY_CHANGED
    return dict(enumerate(whose))


def test_features_of_both_models_and_of_one_alone_are_told_apart(tmp_path: Path) -> None:
    pair = planted(private=True, louder=5.0)
    result, crosscoder = trained(tmp_path, pair)
    (row,) = result.dictionaries
    assert row.fvu < 0.02
    assert row.place == f"{PLACE} of model-a + {PLACE} of model-b"
    assert crosscoder.config.models == ("model-a", "model-b")
    assert crosscoder.config.owners == (0, 1)
    assert crosscoder.config.addresses_in == (PLACE, PLACE)
    assert owners(crosscoder, pair) == expected()
    confirmed = [each.owner for each in judged(crosscoder, pair).values() if each.artefact is None]
    assert (confirmed.count("base"), confirmed.count("changed")) == (ONLY_BASE, ONLY_CHANGED)


def test_where_both_models_have_everything_nothing_looks_exclusive(tmp_path: Path) -> None:
    pair = planted(private=False)
    _, crosscoder = trained(tmp_path, pair)
    found = owners(crosscoder, pair)
    assert len(found) == N
    assert set(found.values()) == {"shared"}


def test_a_penalty_makes_faint_features_look_exclusive_and_latent_scaling_says_so(tmp_path: Path) -> None:
    pair = with_faint_features()
    _, crosscoder = trained(tmp_path, pair, architecture="relu", sparsities=[3.0])
    found, exclusive = nearest(crosscoder, pair), judged(crosscoder, pair)
    looking = [
        latent for feature, (latent, owner) in found.items() if feature in range(N)[FAINT] and owner == "changed"
    ]
    assert looking
    assert {exclusive[latent].artefact for latent in looking} == {"complete_shrinkage"}
    true = [latent for feature, (latent, _) in found.items() if feature >= FAINT.stop]
    assert true
    assert {exclusive[latent].artefact for latent in true} == {None}


def test_without_a_penalty_faint_features_do_not_look_exclusive(tmp_path: Path) -> None:
    pair = with_faint_features()
    _, crosscoder = trained(tmp_path, pair)
    found = owners(crosscoder, pair)
    assert {found[feature] for feature in range(N)[FAINT]} <= {"shared", "between"}
    assert [found[feature] for feature in range(N)[FAINT.stop :]] == ["changed"] * ONLY_CHANGED


def test_a_crosscoder_of_two_models_encodes_and_is_measured_on_both_stores(tmp_path: Path) -> None:
    pair = planted(private=True)
    _, crosscoder = trained(tmp_path, pair)
    (folder,) = (tmp_path / "out").glob("dictionary-*")
    settings, name = Settings(workspace=tmp_path), str(folder.relative_to(tmp_path))
    with LocalRun(tmp_path / "encoded", workspace=tmp_path) as run:
        asked = EncodeStoreRequest(store="base", beside=("changed",), dictionaries=(name,), dtype="float32")
        (column,) = encode_store(asked, run, settings=settings, suggest=lambda _: ()).columns
    store = open_store(tmp_path / "encoded" / "ckpt" / "store")
    codes = crosscoder.encode(torch.from_numpy(np.concatenate([pair.base, pair.changed], axis=1))[:50]).numpy()
    assert column.key.startswith(f"{PLACE}/")
    assert store.codes(column.key).units(range(N))[:50] == pytest.approx(codes, abs=1e-5)
    measured = {"dictionary": name, "source": {"kind": "stores", "stores": ["base", "changed"]}}
    with LocalRun(tmp_path / "measured", workspace=tmp_path) as run:
        request = EvaluateSaeRequest.model_validate(measured)
        found = evaluate_sae(request, run, settings=settings, suggest=lambda _report: ())
    (folder,) = run.written
    report = EvaluationReport.model_validate_json((folder / "report.json").read_bytes())
    assert found.place == f"{PLACE} of model-a + {PLACE} of model-b"
    own = {each.place.rpartition(" ")[2]: each.fvu.value for each in report.addresses if each.subject == "dictionary"}
    assert set(own) == {"model-a", "model-b"}
    assert max(own.values()) < 0.05
    assert report.owners is not None
    assert (report.owners.n_first, report.owners.n_second) == (ONLY_BASE, ONLY_CHANGED)
    assert "Whose the latents look" in (folder / "report.html").read_text()
    alone = EvaluateSaeRequest.model_validate(measured | {"source": "base"})
    with pytest.raises(DictionaryMismatch, match="of model-b"), LocalRun(tmp_path / "alone", workspace=tmp_path) as run:
        evaluate_sae(alone, run, settings=settings, suggest=lambda _report: ())


def test_stores_of_other_tokens_are_refused_with_the_row_that_differs(tmp_path: Path) -> None:
    pair = planted(private=False)
    n_rows = N_PROMPTS * LENGTH
    write_store(tmp_path / "one", "a", pair.base)
    write_store(tmp_path / "two", "b", pair.changed, tokens=tuple("x" if i == 77 else f"t{i}" for i in range(n_rows)))
    fields = {"source": {"kind": "stores", "stores": ["one", "two"]}, "kind": "crosscoder"}
    request, run = TrainSaeRequest.model_validate(fields), LocalRun(tmp_path / "out", workspace=tmp_path)
    with pytest.raises(StoresNotAligned, match=r"Row 77 .* 'x'"):
        train_sae(request, run, settings=Settings(workspace=tmp_path), suggest=lambda _rows: ())


def test_only_a_crosscoder_reads_several_models() -> None:
    with pytest.raises(ValueError, match="set kind to crosscoder"):
        TrainSaeRequest.model_validate({"source": {"kind": "stores", "stores": ["one", "two"]}})


def test_a_crosscoder_of_two_models_is_not_read_from_one(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"kind": "crosscoder", "architecture": "topk", "k": 1, "n_latents": 4}
    fields |= {"d_in": 320, "d_out": 320, "sections": (160, 160), "addresses_in": ("resid_post.1", "resid_post.1")}
    for owners in ((0, 1), ()):
        config = DictionaryConfig.model_validate(fields | {"owners": owners})
        folder = tmp_path / f"owners-{len(owners)}"
        folder.mkdir()
        rows = torch.zeros(4, 320)
        save_dictionary(Dictionary(config, rows.T, rows, torch.zeros(320), b_enc=torch.zeros(4)), folder)
        source = {"kind": "stream", "model": "builtin:pocket-llama", "dataset": "builtin:question"}
        asked = EvaluateSaeRequest.model_validate({"dictionary": folder.name, "source": source})
        run = LocalRun(tmp_path / "out", workspace=tmp_path)
        with pytest.raises(DictionaryMismatch, match="several models"):
            evaluate_sae(asked, run, settings=Settings(workspace=tmp_path), suggest=lambda _report: ())
