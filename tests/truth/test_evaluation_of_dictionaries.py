"""An evaluation's numbers are those of plain torch; a perfect dictionary scores perfectly and a random one does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest, EvaluateSaeResult
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.errors import DictionaryMismatch, EvaluationUnfit, LabelsUnusable
from interp_lab.jobs.run import LocalRun
from interp_lab.models.load import LoadedModel
from interp_lab.settings import Settings
from interp_lab.workflows.evaluate_sae import evaluate_sae
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import open_true_arrays, write_world

PLACE, WIDTH = "resid_post.1", 32
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there", "house", "mat")


class Evaluated(NamedTuple):
    result: EvaluateSaeResult
    report: EvaluationReport
    folder: Path


def two_sided(width: int, address: str, scale: float = 1.0) -> Dictionary:
    """The dictionary whose latents are the positive and the negative part of every number; scaled, it shrinks."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    config = DictionaryConfig(
        architecture="relu", d_in=width, d_out=width, n_latents=2 * width, apply_b_dec_to_input=False,
        addresses_in=(address,),
    )  # fmt: skip
    return Dictionary(config, both.T.contiguous(), scale * both, torch.zeros(width), b_enc=torch.zeros(2 * width))


def lines(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=rng.integers(6, 14))) + f" {i}" for i in range(n)]


def evaluated(tmp_path: Path, loaded: LoadedModel | None, made: Dictionary, source: Any, **options: Any) -> Evaluated:
    (tmp_path / "dictionary").mkdir()
    save_dictionary(made, tmp_path / "dictionary")
    roots = () if loaded is None else (loaded.source.directory.parent,)
    request = EvaluateSaeRequest.model_validate({"dictionary": "dictionary", "source": source, **options})
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        result = evaluate_sae(
            request, run, settings=Settings(workspace=tmp_path, read_roots=roots), suggest=lambda _report: ()
        )
    (folder,) = run.written
    report = EvaluationReport.model_validate_json((folder / "report.json").read_text())
    return Evaluated(result, report, folder)


def stream(tmp_path: Path, loaded: LoadedModel, n: int = 40) -> dict[str, Any]:
    (tmp_path / "texts.txt").write_text("\n\n".join(lines(n)))
    return {"kind": "stream", "model": str(loaded.source.directory), "dataset": "texts.txt"}


class Plain(NamedTuple):
    """One text through the model by nothing but hooks of torch."""

    x: Tensor
    loss: Tensor
    divergence: Tensor


def by_hand(loaded: LoadedModel, text: str, put: Any) -> Plain:
    ids = loaded.tokenizer(text, return_tensors="pt").input_ids
    special = torch.tensor([token in loaded.tokenizer.all_special_ids for token in ids[0].tolist()])
    seen: list[Tensor] = []

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        own = output[0] if isinstance(output, tuple) else output
        seen.append(own.clone())
        changed = torch.where(special[None, :, None], own, put(own))
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    with torch.no_grad():
        clean = loaded.model(ids).logits[0].log_softmax(-1)
        handle = loaded.blocks[1].register_forward_hook(hook)
        changed = loaded.model(ids).logits[0].log_softmax(-1)
        handle.remove()
    loss = -changed[:-1].gather(1, ids[0, 1:, None])[:, 0]
    divergence = (clean.exp() * (clean - changed)).sum(-1)
    return Plain(seen[0][0, ~special], loss[~special[:-1]], divergence[~special])


def test_the_identity_explains_all_and_costs_nothing(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    found = evaluated(tmp_path, loaded, two_sided(WIDTH, PLACE), stream(tmp_path, loaded))
    own, random = found.report.reconstruction
    assert own.fvu.value == pytest.approx(0, abs=1e-9)
    assert own.cosine.value == pytest.approx(1)
    assert own.norm_ratio.value == pytest.approx(1)
    assert random.fvu.value > 0.05
    spliced = found.report.spliced
    assert spliced is not None
    assert spliced.error_term_exact
    shares = {(row.subject, row.ablation): row.divergence_recovered for row in spliced.recovered}
    for ablation in ("zero", "mean"):
        assert shares["dictionary", ablation].value == pytest.approx(1, abs=1e-6)
        assert shares["random", ablation].value < 0.99
    rows = {row.replacement: row for row in spliced.rows}
    assert rows["dictionary"].divergence.value == pytest.approx(0, abs=1e-6)
    assert rows["zero"].divergence.value > rows["random"].divergence.value > 1e-3
    assert found.report.geometry.effective_dimensions == pytest.approx(WIDTH)
    assert len(found.result.model_dump_json()) < 4000


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_figures_in_the_model_equal_those_by_hooks_of_torch(load_tiny, tmp_path: Path, family: str) -> None:
    loaded = load_tiny(family)
    made = two_sided(WIDTH, PLACE, scale=0.6)
    report = evaluated(tmp_path, loaded, made, stream(tmp_path, loaded, 12)).report
    spliced = report.spliced
    assert spliced is not None
    texts = lines(12)
    plain = [by_hand(loaded, text, lambda own: own) for text in texts]
    x = torch.cat([each.x for each in plain])
    puts = {"dictionary": lambda own: 0.6 * own, "zero": torch.zeros_like, "mean": lambda own: x.mean(0).expand_as(own)}
    clean = torch.cat([each.loss for each in plain])
    assert spliced.clean_loss.value == pytest.approx(float(clean.mean()), abs=1e-4)
    losses = {}
    for row in spliced.rows:
        if row.replacement == "random":
            continue
        found = [by_hand(loaded, text, puts[row.replacement]) for text in texts]
        losses[row.replacement] = torch.cat([each.loss for each in found])
        assert row.loss.value == pytest.approx(float(losses[row.replacement].mean()), abs=1e-4)
        assert row.loss.n == len(clean)
        assert row.divergence.value == pytest.approx(float(torch.cat([f.divergence for f in found]).mean()), abs=1e-4)
    for share in spliced.recovered:
        if share.subject == "dictionary" and share.loss_recovered is not None:
            gap = losses[share.ablation] - clean
            closed = losses[share.ablation] - losses["dictionary"]
            assert share.loss_recovered.value == pytest.approx(float(closed.sum() / gap.sum()), abs=2e-3)
    own = report.reconstruction[0]
    around = (x - x.mean(0)).pow(2).sum()
    assert own.fvu.value == pytest.approx(float((0.4 * x).pow(2).sum() / around), rel=1e-4)
    assert own.norm_ratio.value == pytest.approx(0.6, abs=1e-5)
    assert report.sparsity[0].l0.value == pytest.approx(float((x != 0).sum(1).float().mean()), abs=1e-6)
    assert report.n_tokens == len(x)


def test_true_features_are_all_recovered_and_random_ones_are_not(tmp_path: Path) -> None:
    world = make_world("absorption", 3, features=48, width=64, rows=2000, roots=4, branching=3, orthogonal_steps=200)
    write_world(world, tmp_path / "world")
    directions = torch.from_numpy(np.asarray(open_true_arrays(tmp_path / "world")["directions"], dtype=np.float32))
    config = DictionaryConfig(architecture="relu", d_in=64, d_out=64, n_latents=48, apply_b_dec_to_input=False)
    inverse = torch.linalg.pinv(directions)
    made = Dictionary(config, inverse.contiguous(), directions, torch.zeros(64), b_enc=torch.full((48,), -1e-3))
    found = evaluated(tmp_path, None, made, {"kind": "world", "world": "world"})
    own, random = found.report.recovery
    assert (own.mcc, own.uniqueness, own.recovered) == pytest.approx((1, 1, 1), abs=1e-4)
    assert own.f1 > 0.95
    assert own.absorption is not None
    assert own.absorption.value == pytest.approx(0, abs=1e-3)
    assert random.mcc < 0.6
    assert random.recovered == 0
    assert random.f1 < 0.5
    assert "MCC with the true features 1.000" in found.report.headline


REQUIRED = {
    "model_behavior_preservation": ["kl_div_score", "kl_div_with_ablation", "kl_div_with_sae"],
    "model_performance_preservation": [
        "ce_loss_score", "ce_loss_with_ablation", "ce_loss_with_sae", "ce_loss_without_sae",
    ],
    "reconstruction_quality": ["explained_variance", "explained_variance_legacy", "mse", "cossim"],
    "shrinkage": ["l2_norm_in", "l2_norm_out", "l2_ratio", "relative_reconstruction_bias"],
    "sparsity": ["l0", "l1"],
    "token_stats": ["total_tokens_eval_reconstruction", "total_tokens_eval_sparsity_variance"],
    "misc_metrics": [
        "freq_over_1_percent", "freq_over_10_percent", "normalized_freq_over_1_percent",
        "normalized_freq_over_10_percent", "average_max_encoder_cosine_sim", "average_max_decoder_cosine_sim",
        "frac_alive",
    ],
}  # fmt: skip
DETAIL = {
    "index", "feature_density", "consistent_activation_heuristic", "encoder_bias", "encoder_norm",
    "encoder_decoder_cosine_sim", "max_decoder_cosine_sim", "max_encoder_cosine_sim",
}  # fmt: skip
OUTER = {
    "eval_type_id", "eval_config", "eval_id", "datetime_epoch_millis", "eval_result_metrics", "eval_result_details",
    "sae_bench_commit_hash", "sae_lens_id", "sae_lens_release_id", "sae_lens_version", "sae_cfg_dict",
    "eval_result_unstructured",
}  # fmt: skip


def scored(n: int, *, real: bool) -> list[dict[str, Any]]:
    """Prompts of one half of the words or of the other, or with scores that are drawn whatever they say."""
    rng = np.random.default_rng(4)
    halves = (WORDS[:5], WORDS[5:])
    scores = [i % 2 if real else int(rng.integers(2)) for i in range(n)]
    ends = [bool(rng.integers(2)) for _ in range(n)]
    texts = [" ".join([*rng.choice(halves[i % 2], size=9), *4 * ["more" if ends[i] else "one"]]) for i in range(n)]
    return [
        {"text": text, "score": score, "labels": {"ends_more": end}}
        for text, score, end in zip(texts, scores, ends, strict=True)
    ]


def check_removal(found: Evaluated) -> None:
    """The layout of SAEBench holds the scores of the report."""
    scr = json.loads((found.folder / "sae_bench_scr.json").read_text())
    scores = scr["eval_result_metrics"]["scr_metrics"]
    assert set(scores) == {
        f"scr_{what}_threshold_{k}" for what in ("dir1", "dir2", "metric") for k in (2, 5, 10, 20, 50)
    }
    assert all(set(row) == {"dataset_name", *scores} for row in scr["eval_result_details"])
    first = found.report.spurious[0]
    assert scr["eval_result_details"][0]["dataset_name"] == "inline / ends_more"
    assert first.own_on_label > 0.65
    assert first.own_on_criterion > 0.85


def test_criteria_are_probed_and_the_layout_of_saebench_is_whole(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    criteria = [{"kind": "inline", "prompts": scored(80, real=real)} for real in (True, False)]
    made = two_sided(WIDTH, PLACE)
    options = {"criteria": criteria, "max_tokens": 256, "spurious": ["ends_more"]}
    found = evaluated(tmp_path, loaded, made, stream(tmp_path, loaded), **options)
    real, drawn = found.report.probing
    accuracy = {(row.of, row.k): row.accuracy.value for row in real.rows}
    assert real.dense.accuracy.value > 0.9
    assert accuracy["latents", 5] > 0.85
    assert accuracy["latents", 1] >= accuracy["random_latents", 1]
    assert drawn.dense.accuracy.value < 0.75
    core = json.loads((found.folder / "sae_bench_core.json").read_text())
    assert set(core) == OUTER
    assert {name: list(values) for name, values in core["eval_result_metrics"].items()}.keys() == REQUIRED.keys()
    for name, wanted in REQUIRED.items():
        values = core["eval_result_metrics"][name]
        assert sorted(values) == sorted(wanted)
        assert all(isinstance(value, int | float) for value in values.values())
    assert [row["index"] for row in core["eval_result_details"]] == list(range(2 * WIDTH))
    assert all(set(row) == DETAIL for row in core["eval_result_details"])
    assert core["eval_result_metrics"]["reconstruction_quality"]["explained_variance"] == pytest.approx(1)
    probing = json.loads((found.folder / "sae_bench_sparse_probing.json").read_text())
    assert set(probing["eval_result_metrics"]["llm"]) == {"llm_test_accuracy"} | {
        f"llm_top_{k}_test_accuracy" for k in (1, 2, 5)
    }
    assert probing["eval_result_details"][0]["sae_top_5_test_accuracy"] == accuracy["latents", 5]
    tpp = json.loads((found.folder / "sae_bench_tpp.json").read_text())["eval_result_metrics"]["tpp_metrics"]
    row = next(row for row in found.report.perturbation if (row.of, row.k) == ("chosen", 5))
    assert tpp["tpp_threshold_5_total_metric"] == row.total.value
    assert row.total.value == pytest.approx(row.intended - row.unintended, abs=1e-5)
    check_removal(found)
    assert [section.subject for section in found.report.monosemanticity] == ["dictionary", "random"]
    named = {figure.name: figure for figure in found.result.figures}
    assert {"monosemanticity: tokens", "monosemanticity: similarity"} <= set(named)
    for name in ("report.md", "report.html"):
        text = (found.folder / name).read_text()
        for title in ("Sparse probing", "Targeted probe perturbation", "Spurious-correlation removal"):
            assert title in text
        assert "Monosemanticity proxies" in text


@pytest.mark.parametrize(
    ("label", "said"), [("no_such", "No criterion has a label 'no_such'"), ("same", "needs 4 of each")]
)
def test_a_label_that_is_not_there_or_never_stands_apart_is_refused_before_anything_is_measured(
    load_tiny, tmp_path: Path, label: str, said: str
) -> None:
    loaded = load_tiny("gpt2")
    prompts = [{**each, "labels": {"same": bool(each["score"])}} for each in scored(80, real=True)]
    options = {"criteria": [{"kind": "inline", "prompts": prompts}], "spurious": [label]}
    with pytest.raises(LabelsUnusable, match=said):
        evaluated(tmp_path, loaded, two_sided(WIDTH, PLACE), stream(tmp_path, loaded), **options)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").rglob("report.json"))


def test_what_cannot_be_measured_is_refused(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(DictionaryMismatch):
        evaluated(tmp_path, loaded, two_sided(WIDTH + 1, PLACE), stream(tmp_path, loaded))


def test_one_text_is_too_few(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(EvaluationUnfit, match="1 independent"):
        evaluated(tmp_path, loaded, two_sided(WIDTH, PLACE), stream(tmp_path, loaded, 1))
