"""An inspect report in the form of the interp-lab package of PyPI, so that its own commands read and match it.

Its loader turns every value of `causal_effects` into a number, so words stand in `metadata`. Only edits that count here
stand as interventions there: its format has no place for controls that were not run.
"""

from __future__ import annotations

from typing import Any, Final

from interp_lab.contracts.inspect_causal import CausalEdit
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport
from interp_lab.errors import LabError
from interp_lab.points import Address
from interp_lab.store.interchange.features import feature_id, hidden_layer

SCHEMA: Final = "interp-lab.inspection_report.v1"
EXAMPLES = 5
LEFT_OUT: Final = (
    "the split, q-values and intervals of associations (in metadata only)",
    "the confound audit (in criterion.scoring_notes, in words)",
    "handles, redundancy and the map of all coordinates",
    "values of single tokens",
    "interventions that do not count (their reasons are in metadata)",
)
"""What the format has no place for."""


def peer_report(report: InspectReport) -> dict[str, Any]:
    """Return the report as JSON of that format, coordinates in our order."""
    return {
        "schema_version": SCHEMA,
        "model": report.model.id,
        "criterion": {
            "text": report.criterion,
            "positive_examples": [],
            "negative_examples": [],
            "scoring_notes": [report.headline, *report.caveats, *(c.text for c in report.audit.confounds if c.flagged)],
        },
        "cards": [_card(card, report) for card in report.coordinates],
        "created_at": report.run.started_at.isoformat(timespec="seconds"),
        "metadata": {
            "feature_count": report.n_tested,
            "kept_feature_count": len(report.coordinates),
            "evidence": {
                "source": report.model.source or "a model that was run",
                "record_count": report.dataset.n_prompts,
                "positive_record_count": report.dataset.n_positive,
                "negative_record_count": report.dataset.n_negative,
            },
            "tool": {"name": "interp-lab-mcp", "version": report.run.packages.get("interp-lab-mcp", "")},
            "agent_next_actions": [],
        },
    }


def _card(card: CoordinateCard, report: InspectReport) -> dict[str, Any]:
    name, layer = _place(card)
    best = next((edit for edit in card.causal if edit.counts), None)
    r = (card.confirm or card.explore).point_biserial_r
    stability = max(0.0, report.ranking_stability.value) if report.ranking_stability else 0.0
    effects = _associated(card, r) if best is None else {**_intervened(best), "signed_association": r}
    strong, causal = effects.get("strong_causal_score", 0.0), effects["criterion"] if best else 0.0
    parts = 0.25 * abs(r) + 0.3 * strong + 0.2 * causal + 0.15 * effects["specificity"] + 0.1 * stability
    label = card.name or f"{card.address} #{card.index}"
    return {
        "feature_id": name,
        "model": report.model.id,
        "layer": layer,
        "label": label,
        "explanation": "",
        "importance": round(_unit(parts - 0.1 * effects["side_effect"]), 6),
        "association": round(abs(r), 6),
        "specificity": effects["specificity"],
        "causal_effect": causal,
        "stability": round(stability, 6),
        "examples": ["".join(token.text for token in context.tokens)[:300] for context in card.contexts[:EXAMPLES]],
        "source": "interp-lab-mcp",
        "causal_effects": effects,
        "metadata": _metadata(card, best),
        "fingerprint": {
            "feature_id": name,
            "model": report.model.id,
            "layer": layer,
            "text": label,
            "text_vector": [],
            "text_embedder": "none",
            "activation_signature": [],
            "decoder_signature": [],
            "causal_vector": [effects[key] for key in _vector(effects)],
            "causal_provenance": "association" if best is None else "intervention",
            "neighbor_labels": [],
        },
    }


def _place(card: CoordinateCard) -> tuple[str, int | None]:
    """Return the feature's name in that format, and the hidden state or layer it is of."""
    site, _, dictionary = card.address.partition("/")
    try:
        address = Address.parse(site)
    except LabError:
        return card.name or f"{card.address}:{card.index}", None
    layer = hidden_layer(address)
    own = feature_id(address, dictionary or None, card.index)
    return card.name or own, address.layer if layer is None else layer


def _associated(card: CoordinateCard, r: float) -> dict[str, float]:
    margin = round(_unit(2 * (card.specificity_margin or 0.0)), 6)
    return {"criterion": abs(r), "signed_association": r, "specificity": margin, "side_effect": 0.0}


def _intervened(edit: CausalEdit) -> dict[str, float]:
    found, side = edit.figures[-1], edit.side_effect or 0.0
    control = max((abs(value) for value in found.controls.values()), default=0.0)
    specificity = max(0.0, _unit(abs(found.effect)) - side)
    return {
        "criterion": round(_unit(abs(found.effect)), 6),
        "specificity": round(_unit(specificity), 6),
        "side_effect": round(_unit(side), 6),
        "strong_causal_score": round(_unit(specificity - control), 6),
        "signed_causal_effect": found.effect,
        "intervention_record_count": float(found.n_prompts),
        "control_record_count": float(found.n_prompts * len(found.controls)),
        "control_mean_abs_effect": round(_unit(control), 6),
        "criterion_ci_low": found.interval.low,
        "criterion_ci_high": found.interval.high,
        "criterion_ci_n": float(found.n_prompts),
    }


def _metadata(card: CoordinateCard, best: CausalEdit | None) -> dict[str, Any]:
    graded = card.confirm or card.explore
    found: dict[str, Any] = {
        "address": card.address,
        "unit": card.index,
        "grade": card.grade,
        "reason_codes": [reason.code for reason in card.reasons],
        "auroc": graded.auroc.value,
        "split": graded.split,
        "n_groups": graded.auroc.n_groups,
        "explore_q": card.explore.q_value,
        "provenance": card.provenance,
        "edits_that_do_not_count": [
            {"edit": edit.edit, "source": edit.source, "reason_codes": list(edit.reasons)}
            for edit in card.causal
            if not edit.counts
        ],
    }
    if best is not None:
        figures = best.figures[-1]
        found["interventions"] = {
            "count": figures.n_prompts,
            "mean_directed_effect": figures.effect,
            "criterion_ci_low": figures.interval.low,
            "criterion_ci_high": figures.interval.high,
            "criterion_ci_method": f"{figures.interval.method} (less control)",
            "criterion_ci_n": figures.n_prompts,
            "mean_side_effect": best.side_effect,
            "controls": {"count": figures.n_prompts * len(figures.controls), "by_type": dict(figures.controls)},
            "behavior_score": {"name": best.metric},
            "provenance": best.provenance,
            "source": best.source,
        }
    return found


def _vector(effects: dict[str, float]) -> tuple[str, str, str, str]:
    signed = "signed_causal_effect" if "signed_causal_effect" in effects else "signed_association"
    return "criterion", signed, "specificity", "side_effect"


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
