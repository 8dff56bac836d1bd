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
    """Return what the peer says of one model: evidence tier and claim grade of every latent, and its signed effect."""
    api, calibration = (importlib.import_module(f"interp_lab.{name}") for name in ("api", "calibration"))
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    report: Any = api.inspect(
        about["model"],
        about["criterion"],
        backend="records",
        records=folder / "records.jsonl",
        interventions=folder / "interventions.jsonl",
        top_k=about["n_latents"],
    )
    report = getattr(report, "report", report)
    claims: Any = calibration._self_match_claim_grades(report)
    return {
        card.feature_id: {
            "tier": calibration.evidence_tier(card.causal_effects, card.metadata),
            "claim": claims.get(card.feature_id),
            "effect": card.causal_effects.get("signed_causal_effect"),
        }
        for card in report.cards
    }


if __name__ == "__main__":
    for line in sorted(Path(sys.argv[1]).iterdir()):
        (line / "graded.json").write_text(json.dumps(graded(line)), encoding="utf-8")
