# pyright: standard
"""Results in the JSON layout of SAEBench, so that its viewers and tables read them.

Definitions are those of the report; where SAEBench means something else by a name, docs/dictionaries.md says so.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from interp_lab.contracts.evaluation_report import (
    Estimate,
    EvaluationReport,
    ProbingSection,
    ReplacementRow,
    SpuriousSection,
)
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens_config import write_cfg
from interp_lab.jobs.run import package_versions
from interp_lab.methods.dictionary_evaluation.geometry import Geometry
from interp_lab.workflows.evaluation.measure import Measured

Metrics = dict[str, JsonValue]
_UNKNOWN = -1.0
"""What SAEBench writes where a number is not defined."""
_DIGITS = 10
_FREQUENT = {"1": 0.01, "10": 0.1}


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Everything that the layout shows."""

    report: EvaluationReport
    dictionary: Dictionary
    measured: Measured
    geometry: Geometry
    started: datetime


def sae_bench_files(found: Evaluated) -> dict[str, JsonValue]:
    """Return what is to be written, by file name: an evaluation whose numbers were not measured is left out."""
    files: dict[str, JsonValue] = {}
    report = found.report
    if report.spliced is not None and found.geometry.encoder_decoder is not None:
        files["sae_bench_core.json"] = _file(found, "core", core_metrics(found), core_details(found))
    if report.probing:
        accuracies = [_accuracies(each) for each in report.probing]
        details = _named([each.criterion for each in report.probing], accuracies)
        means = _means(accuracies)
        metrics: Metrics = {group: {n: v for n, v in means.items() if n.startswith(group)} for group in ("llm", "sae")}
        files["sae_bench_sparse_probing.json"] = _file(found, "sparse_probing", metrics, details)
    if report.perturbation:
        tpp = {"tpp_metrics": _perturbation(report)}
        files["sae_bench_tpp.json"] = _file(found, "tpp", tpp, [])
    if report.spurious:
        scores = [_removals(each) for each in report.spurious]
        details = _named([f"{each.criterion} / {each.label}" for each in report.spurious], scores)
        files["sae_bench_scr.json"] = _file(found, "scr", {"scr_metrics": _means(scores)}, details)
    return files


def core_metrics(found: Evaluated) -> Metrics:
    """Return the categories of the core evaluation."""
    report = found.report
    assert report.spliced is not None
    rows: Mapping[str, ReplacementRow] = {row.replacement: row for row in report.spliced.rows}
    own, zero = rows["dictionary"], rows["zero"]
    (share,) = (r for r in report.spliced.recovered if (r.subject, r.ablation) == ("dictionary", "zero"))
    made, codes = found.measured.reconstruction, found.measured.sparsity
    legacy, bias = made.explained_per_token, made.bias
    return {
        "model_behavior_preservation": {
            "kl_div_score": _value(share.divergence_recovered),
            "kl_div_with_ablation": zero.divergence.value,
            "kl_div_with_sae": own.divergence.value,
        },
        "model_performance_preservation": {
            "ce_loss_score": _value(share.loss_recovered),
            "ce_loss_with_ablation": zero.loss.value,
            "ce_loss_with_sae": own.loss.value,
            "ce_loss_without_sae": report.spliced.clean_loss.value,
        },
        "reconstruction_quality": {
            "explained_variance": 1 - made.fvu.ratio,
            "explained_variance_legacy": _UNKNOWN if legacy is None else legacy,
            "mse": made.squared_error,
            "cossim": made.cosine.mean,
        },
        "shrinkage": {
            "l2_norm_in": made.norm_in,
            "l2_norm_out": made.norm_out,
            "l2_ratio": made.norm_ratio.mean,
            "relative_reconstruction_bias": _UNKNOWN if bias is None else bias,
        },
        "sparsity": {"l0": codes.l0.mean, "l1": codes.l1},
        "token_stats": {
            "total_tokens_eval_reconstruction": report.spliced.n_tokens,
            "total_tokens_eval_sparsity_variance": made.n_tokens,
        },
        "misc_metrics": _misc(codes.density, found.geometry),
    }


def _misc(density: NDArray[np.float64], lies: Geometry) -> Metrics:
    total = float(density.sum())
    found: Metrics = {}
    for name, above in _FREQUENT.items():
        own = density > above
        found[f"freq_over_{name}_percent"] = float(own.mean())
        found[f"normalized_freq_over_{name}_percent"] = float(density[own].sum()) / total if total > 0 else 0.0
    return found | {
        "average_max_encoder_cosine_sim": float(lies.encoder_neighbour.mean()),
        "average_max_decoder_cosine_sim": float(lies.decoder_neighbour.mean()),
        "frac_alive": float((density > 0).mean()),
    }


def core_details(found: Evaluated) -> list[Metrics]:
    """Return one row per latent."""
    lies, codes = found.geometry, found.measured.sparsity
    assert lies.encoder_decoder is not None
    gated = found.dictionary.config.architecture == "gated"
    bias = found.dictionary.b_mag if gated else found.dictionary.b_enc
    columns: dict[str, NDArray[np.floating]] = {
        "feature_density": codes.density,
        "consistent_activation_heuristic": codes.per_prompt,
        "encoder_bias": np.zeros(len(codes.density)) if bias is None else bias.float().cpu().numpy(),
        "encoder_norm": lies.encoder_norm,
        "encoder_decoder_cosine_sim": lies.encoder_decoder,
        "max_decoder_cosine_sim": lies.decoder_neighbour,
        "max_encoder_cosine_sim": lies.encoder_neighbour,
    }
    return [
        {"index": index, **{name: round(float(values[index]), _DIGITS) for name, values in columns.items()}}
        for index in range(len(codes.density))
    ]


def _accuracies(section: ProbingSection) -> dict[str, float]:
    names = {"coordinates": "llm", "latents": "sae"}
    rows = {f"{names[row.of]}_top_{row.k}_test_accuracy": row.accuracy.value for row in section.rows if row.of in names}
    return {"llm_test_accuracy": section.dense.accuracy.value, **rows}


def _named(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> list[Metrics]:
    return [{"dataset_name": name, **row} for name, row in zip(names, rows, strict=True)]


def _means(rows: Sequence[Mapping[str, float]]) -> Metrics:
    """Return the mean of every number over data sets."""
    return {name: float(np.mean([each[name] for each in rows])) for name in rows[0]}


def _removals(section: SpuriousSection) -> dict[str, float]:
    """Return both directions: 1 takes latents of the label away, 2 those of the criterion; 0 where there is no bias."""
    metrics: dict[str, float] = {}
    for row in section.rows:
        if row.of == "chosen":
            score = 0.0 if row.score is None else row.score.value
            direction = 1 if row.removes == "label" else 2
            metrics[f"scr_dir{direction}_threshold_{row.k}"] = score
            if row.removes == section.stronger:
                metrics[f"scr_metric_threshold_{row.k}"] = score
    return metrics


def _perturbation(report: EvaluationReport) -> Metrics:
    metrics: Metrics = {}
    for row in report.perturbation:
        if row.of == "chosen":
            metrics[f"tpp_threshold_{row.k}_total_metric"] = row.total.value
            metrics[f"tpp_threshold_{row.k}_intended_diff_only"] = row.intended
            metrics[f"tpp_threshold_{row.k}_unintended_diff_only"] = row.unintended
    return metrics


def _file(found: Evaluated, kind: str, metrics: Mapping[str, JsonValue], details: Sequence[Metrics]) -> JsonValue:
    report, versions = found.report, package_versions()
    digest = hashlib.sha256(f"{kind}\n{report.model_dump_json()}".encode()).hexdigest()
    body: dict[str, JsonValue] = {
        "eval_type_id": kind,
        "eval_config": {"dataset": report.data, "random_seed": report.request.get("seed")},
        "eval_id": str(uuid.UUID(digest[:32])),
        "datetime_epoch_millis": int(found.started.timestamp() * 1000),
        "eval_result_metrics": dict(metrics),
        "eval_result_details": list(details),
        "eval_result_unstructured": {},
        "sae_bench_commit_hash": f"not run by SAEBench: interp-lab {versions.get('interp-lab-mcp', 'unknown')}",
        "sae_lens_id": report.dictionary,
        "sae_lens_release_id": "interp-lab",
        "sae_lens_version": versions.get("sae-lens", "not installed"),
        "sae_cfg_dict": json.loads(json.dumps(write_cfg(found.dictionary.config))),
    }
    return body


def _value(share: Estimate | None) -> float:
    return _UNKNOWN if share is None else share.value
