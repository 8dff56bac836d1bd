"""Every kind of file that the interp-lab package of PyPI writes, as data: how it is told and what its rows say.

Facts of version 3.1.0. A file without a schema is told by the fields that only its kind has.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Use = Literal["statements", "interventions", "records", "dictionary", "prompts", "features", "paths", "none"]
"""What of this lab takes such a file."""


class Kind(NamedTuple):
    """One kind of file."""

    name: str
    """In words."""
    schema: str | None
    """Its `schema_version` or `format`, without the prefix."""
    needs: tuple[str, ...]
    """Fields that a document, or a line, must have."""
    rows: str = ""
    """Where its list of rows is, steps joined by '/'; empty: the lines themselves, or nothing."""
    names: tuple[str, ...] = ()
    """Fields of a row that name it; those that are there are joined."""
    says: tuple[str, ...] = ()
    """Fields of a row, steps joined by '/', that are shown where they are there."""
    use: Use = "none"


_SCORES = ("association", "causal_effects/signed_causal_effect", "importance")

DOCUMENTS: Final[tuple[Kind, ...]] = (
    Kind(
        "inspection report",
        "inspection_report.v1",
        ("model", "criterion", "cards"),
        "cards",
        ("feature_id", "label"),
        (*_SCORES, "metadata/interventions/count"),
        "statements",
    ),
    Kind(
        "dossier",
        "dossier.v1",
        ("model", "criterion", "runs", "rollup"),
        "rollup/features",
        ("label",),
        ("current_grade", "run_count", "sign_flips", "contradiction"),
        "statements",
    ),
    Kind(
        "match report",
        "match_report.v1",
        ("left_model", "right_model", "matches"),
        "matches",
        ("left_feature_id", "right_feature_id"),
        ("score", "left_signed_effect", "right_signed_effect"),
    ),
    Kind(
        "match validation",
        "match_validation.v1",
        ("validations", "summary"),
        "validations",
        ("left_feature_id", "right_feature_id"),
        ("claim_grade", "score", "signed_effect_delta"),
    ),
    Kind(
        "text pivot match",
        "text_pivot_match.v1",
        ("matches",),
        "matches",
        ("left_feature_id", "right_feature_id"),
        ("score", "grade"),
    ),
    Kind(
        "comparison of model families",
        "model_family_comparison.v1",
        ("families", "pairwise"),
        "pairwise",
        ("left_family", "right_family"),
        ("mean_score", "top_score"),
    ),
    Kind(
        "consistency of explanations",
        "explanation_consistency.v1",
        ("checks",),
        "checks",
        ("feature_id",),
        ("status", "mean_similarity", "rank_span"),
    ),
    Kind(
        "feature search",
        "feature_search.v1",
        ("query", "results"),
        "results",
        ("feature_id", "label"),
        ("score", "importance"),
    ),
    Kind(
        "difference of two runs",
        "run_diff.v1",
        ("left", "right", "changed_features"),
        "changed_features",
        ("feature_id",),
        ("rank_delta", "importance_delta"),
    ),
    Kind(
        "comparison with a quantised model",
        "quant_diff.v1",
        ("left", "right", "features"),
        "features",
        ("left_feature_id", "right_feature_id"),
        ("verdict", "match_score"),
    ),
    Kind(
        "evidence plan",
        "evidence_plan.v1",
        ("plan", "criterion"),
        "plan",
        ("feature_id", "label"),
        ("current_grade_estimate", "priority", "estimated_total_prompts"),
    ),
    Kind("calibration report", "calibration_report.v1", ("pooled", "assessment"), "per_seed", ("seed",), ()),
    Kind(
        "attribution graph",
        "attribution_graph.v1",
        ("nodes", "edges"),
        "edges",
        ("source", "target"),
        ("type", "mean_target_activation_delta", "correlation", "signed_effect"),
    ),
    Kind(
        "summary of an attribution graph",
        "attribution_graph_summary.v1",
        ("counts", "candidate_paths"),
        "candidate_paths",
        ("source_feature_id", "target_feature_id"),
        ("evidence", "score"),
    ),
    Kind(
        "validation of an attribution graph",
        "graph_validation.v1",
        ("path_validations",),
        "path_validations",
        ("source_feature_id", "target_feature_id"),
        ("status", "claim_grade", "mean_target_activation_delta"),
    ),
    Kind(
        "steering vector",
        "steering_vector.v1",
        ("feature_id", "direction", "layer"),
        "",
        (),
        ("measured_signed_effect",),
    ),
    Kind(
        "sparse autoencoder",
        "sae.v1",
        ("encoder_weight", "decoder_weight", "mean", "input_dim", "latent_dim"),
        "",
        (),
        (),
        "dictionary",
    ),
    Kind("manifest of a prompt pack", "sae_prompt_pack.v1", ("outputs", "counts"), "outputs", (), ()),
    Kind("intervention plan", "intervention_plan.v1", ("features", "mode"), "features", ("feature_id",), ("layer",)),
    Kind("intervention result", "intervention_result.v1", ("features",), "features", ("feature_id",), ()),
    Kind("path patch result", "path_patch_result.v1", (), "", (), ()),
    Kind(
        "preset of a criterion",
        "criterion_lab_preset.v1",
        ("criterion", "positive_prompts", "negative_prompts"),
        "",
        (),
        (),
        "prompts",
    ),
    Kind("criterion lab", "criterion_lab.v1", (), "", (), ()),
    Kind(
        "validation of an assay",
        "criterion_assay_validation.v1",
        ("status", "issues"),
        "issues",
        ("code",),
        ("severity", "message"),
    ),
    Kind(
        "report of a compiled criterion",
        "criterion_compile.v1",
        ("status", "counts"),
        "exclusions",
        ("side",),
        ("score", "reason"),
    ),
    Kind("request for prompts", "criterion_generation_request.v1", ("criterion", "counts"), "", (), ()),
    Kind("manifest of a run", "run.v1", ("status", "steps"), "steps", ("name", "command"), ("status", "exit_code")),
    Kind("scale plan", "scale_plan.v2", ("inputs", "estimates"), "risk_flags", ("level",), ("message",)),
    Kind("profile of a machine", "env_profile.v1", ("cpu", "memory"), "risk_flags", ("level",), ("message",)),
    Kind("list of capabilities", "capabilities.v1", ("commands",), "commands", ("id",), ("group",)),
    Kind("contract of the Python API", "public_api_contract.v1", (), "", (), ()),
    Kind("release check", "release_check.v1", (), "checks", ("name",), ("ok",)),
    Kind("demo of a real model", "real_model_demo.v1", (), "", (), ()),
    Kind("sweep of demos", "real_model_demo_sweep.v1", (), "demos", ("name",), ("status",)),
    Kind("history of the studio", "studio_history.v1", ("jobs",), "jobs", ("id",), ("status",)),
    Kind("configuration of a run", None, ("out", "steps"), "steps", ("name", "command"), ()),
    Kind("check of an installation", None, ("checks", "ok", "text_embedder"), "checks", ("name",), ("ok",)),
)
"""One JSON document a file. The last two have no schema."""

LINES: Final[tuple[Kind, ...]] = (
    Kind(
        "path records",
        "path_patch.v1",
        ("model", "source_feature_id", "target_feature_id", "baseline_target_activation", "patched_target_activation"),
        "",
        ("source_feature_id", "target_feature_id"),
        ("strength", "target_activation_delta", "score_delta", "metadata/control_type"),
        "paths",
    ),
    Kind(
        "intervention records",
        "intervention_record.v1",
        ("model", "feature_id", "intervention", "baseline_score", "intervention_score"),
        "",
        ("feature_id", "prompt_id"),
        ("intervention", "baseline_score", "intervention_score", "metadata/control_type"),
        "interventions",
    ),
    Kind(
        "steered texts",
        "steering_generation.v1",
        ("prompt", "baseline_text", "steered_text"),
        "",
        ("feature_id", "prompt"),
        ("strength", "provenance"),
    ),
    Kind(
        "hidden states",
        "hidden_state_dump.v1",
        ("prompt_index", "layer", "hidden"),
        "",
        ("prompt_index", "layer"),
        ("criterion_score",),
    ),
    Kind(
        "activation records",
        None,
        ("model", "criterion_score", "features"),
        "",
        ("prompt_id",),
        ("criterion_score",),
        "records",
    ),
    Kind(
        "feature dump",
        None,
        ("feature_id", "model"),
        "",
        ("feature_id", "label"),
        ("layer", "source", *_SCORES[1:2]),
        "features",
    ),
    Kind(
        "scored prompts",
        None,
        ("text", "criterion_score"),
        "",
        ("prompt_id", "text"),
        ("criterion_score", "criterion_score_source"),
        "prompts",
    ),
    Kind("candidate prompts", None, ("label", "text"), "", ("text",), ("label",), "none"),
    Kind(
        "explanations", None, ("feature_id", "explanation"), "", ("feature_id",), ("explanation", "confidence"), "none"
    ),
)
"""One JSON object a line; of several that fit, the first."""

PREFIX: Final = "interp-lab."
