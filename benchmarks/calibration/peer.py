"""Runs inside the peer's installation: its reports and its own two grades of every latent, from records on disk.

Started by bench.py with the peer's folder first on the path; imports nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def graded(folder: Path) -> dict[str, Any]:
    """Return what the peer says of one model: evidence tier and claim grade of every latent, signed effect, and places.

    `rank` is its place with the edits merged, `rank_by_activations` that by activations alone; 1 is first.
    """
    api, calibration = (importlib.import_module(f"interp_lab.{name}") for name in ("api", "calibration"))
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    question = (about["model"], about["criterion"])
    common = {"backend": "records", "records": folder / "records.jsonl", "top_k": about["n_latents"]}
    plain: Any = api.inspect(*question, **common)
    edits = folder / "interventions.jsonl"
    report: Any = api.inspect(*question, **common, interventions=edits) if edits.is_file() else plain
    report, plain = (getattr(each, "report", each) for each in (report, plain))
    places = {card.feature_id: rank for rank, card in enumerate(plain.cards, start=1)}
    claims: Any = calibration._self_match_claim_grades(report)
    return {
        card.feature_id: {
            "tier": calibration.evidence_tier(card.causal_effects, card.metadata),
            "claim": claims.get(card.feature_id),
            "effect": card.causal_effects.get("signed_causal_effect"),
            "rank": rank,
            "rank_by_activations": places.get(card.feature_id),
        }
        for rank, card in enumerate(report.cards, start=1)
    }


if __name__ == "__main__":
    for line in sorted(Path(sys.argv[1]).iterdir()):
        (line / "graded.json").write_text(json.dumps(graded(line)), encoding="utf-8")
