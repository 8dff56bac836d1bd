"""Workspaces with a past: reports of inspect and intervene, published as artifacts like those of real runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.jobs.engine import JobEngine
from interp_lab.settings import Settings

Json = dict[str, Any]
MODEL, CRITERION, DATASET = "builtin:pocket-llama", "the word is a person's name", "builtin:person-name"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def workspace(path: Path, **options: Any) -> Settings:
    return Settings(workspace=path, offline=True, ballast_bytes=0, min_free_bytes=0, cpu_slots=1, **options)


def shared(dataset: str = "person-name", seed: int = 0, weights: str = "w") -> Json:
    return {
        "model": {
            "id": MODEL, "revision": None, "architecture": "LlamaForCausalLM", "n_layers": 4, "d_model": 64,
            "n_parameters": 1_000_000, "dtype": "float32", "device": "cpu", "weights_sha256": sha(weights),
        },
        "dataset": {
            "name": dataset, "sha256": sha(dataset), "n_prompts": 120, "n_positive": 60, "n_negative": 60,
            "n_groups": 60, "n_tokens": 1200, "n_explore": 60, "n_confirm": 60,
        },
        "run": {
            "job_id": None, "code_version": "test", "packages": {}, "seed": seed, "started_at": START.isoformat(),
            "seconds": 12.0, "checks": {},
        },
        "caveats": [], "agent_next_actions": [],
    }  # fmt: skip


def split(name: str, auroc: float, q: float) -> Json:
    interval = {"low": auroc - 0.1, "high": min(1.0, auroc + 0.1), "method": "test"}
    return {
        "split": name,
        "auroc": {"value": auroc, "unit": "AUROC", "n_prompts": 60, "n_groups": 30, "interval": interval},
        "cohens_d": 1.0,
        "point_biserial_r": 0.4,
        "firing_rate_positive": 0.8,
        "firing_rate_negative": 0.1,
        "p_value": q / 10,
        "q_value": q,
    }


def card(rank: int, index: int, grade: str, reasons: tuple[str, ...] = (), **options: Any) -> Json:
    """Return a coordinate of resid_post.2; `auroc` and `q` are those of explore, `confirm` of confirm."""
    auroc, q = options.get("auroc", 0.9), options.get("q", 0.001)
    return {
        "rank": rank, "address": options.get("address", "resid_post.2"), "index": index,
        "sign": 1 if auroc >= 0.5 else -1, "grade": grade,
        "reasons": [{"code": code, "text": code} for code in reasons],
        "explore": split("explore", auroc, q), "confirm": split("confirm", options.get("confirm", auroc), q),
        "density": 0.4, "controlled_auroc": 0.8, "specificity": [], "contexts": [],
    }  # fmt: skip


def inspect_report(cards: list[Json], **options: Any) -> InspectReport:
    address = cards[0]["address"] if cards else "resid_post.2"
    layer = {
        "address": address, "n_coordinates": 64, "best_index": 5, "best_auroc": 0.9, "best_confirm_auroc": 0.85,
        "n_significant": len(cards),
    }  # fmt: skip
    body = shared(**options) | {
        "criterion": CRITERION, "headline": "Something follows the criterion; correlation only.", "pooling": "max",
        "n_tested": 64, "n_significant": len(cards), "q_level": 0.05, "ranking_stability": None,
        "detectable_auroc": 0.7, "audit": {"flagged": False, "confounds": []}, "layers": [layer],
        "coordinates": cards,
    }  # fmt: skip
    return InspectReport.model_validate(body)


def figures(part: str, effect: float, q: float, half: float) -> Json:
    interval = {"low": effect - half, "high": effect + half, "method": "test"}
    return {
        "part": part, "n_prompts": 30, "n_groups": 15, "effect": effect, "effect_interval": interval,
        "control": 0.0, "controls": {"random_direction": 0.0}, "controls_as_large": 0.0, "difference": effect,
        "difference_interval": interval, "p_value": q / 2, "q_value": q, "sign_consistency": 0.9,
        "wrong_sign": effect, "placebo": 0.0, "detectable": 0.4, "kl": 0.1,
    }  # fmt: skip


def edit_card(effect: float, q: float = 0.001, name: str = "ablate_zero", half: float = 0.2) -> Json:
    doses = [
        {"strength": s, "effect": effect * s, "low": effect * s - half, "high": effect * s + half, "control": 0.0,
         "side_effect": 0.05} for s in (0.5, 1.0, 2.0)
    ]  # fmt: skip
    return {
        "edit": name, "where": "all", "strength": 1.0, "relative_size": 0.2,
        "explore": figures("explore", effect, q, half), "confirm": figures("confirm", effect, q, half),
        "side_effects": {
            "n_prompts": 30, "shift": 0.05, "shift_upper": 0.1, "bound": 0.5, "kl": 0.01, "cross_entropy": 0.01,
        },
        "doses": doses,
    }  # fmt: skip


def unit_card(name: str, grade: str, edits: list[Json], reasons: tuple[str, ...] = ()) -> Json:
    return {
        "unit": name, "address": "resid_post.2", "typical": 1.0, "grade": grade,
        "reasons": [{"code": code, "text": code} for code in reasons],
        "association": {"explore_auroc": 0.9, "confirm_auroc": 0.85, "explore_q": 0.001, "n_tested": 64},
        "edits": edits,
    }  # fmt: skip


def intervene_report(units: list[Json], **options: Any) -> InterveneReport:
    targets = options.pop("targets", [" Anna"])
    body = shared(**options) | {
        "criterion": CRITERION, "headline": "An edit did something to the behaviour, on these prompts.",
        "behaviour": {
            "metric": "logit_difference", "unit": "logits", "targets": targets, "alternatives": [" the"],
            "target_tokens": "given",
            "baseline": {"positives": 1.0, "negatives": -1.0, "target_probability": 0.2},
            "least_effect": 0.1, "flags": [],
        },
        "units": units, "controls": ["3 random direction", "wrong sign", "placebo"], "n_runs": 400, "report": None,
    }  # fmt: skip
    return InterveneReport.model_validate(body)


def publish(
    settings: Settings,
    report: InspectReport | InterveneReport,
    *,
    request: Json | None = None,
    at: int = 0,
    investigator: str = "",
    inputs: dict[str, str] | None = None,
    texts: dict[str, str] | None = None,
) -> str:
    """Return the artifact id of a report, published `at` minutes after the start."""
    inspected = isinstance(report, InspectReport)
    asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "seed": report.run.seed} | (request or {})
    if not inspected and "report" not in asked and "units" not in asked:
        asked["units"] = [{"address": "resid_post.2", "index": 5}]
    spec: Json = {"capability": "inspect" if inspected else "intervene", "request": deepcopy(asked)}
    origin = Origin(
        job=None, attempt=0, started=START + timedelta(minutes=at), code_version="test", inputs=inputs or {},
        spec=spec | ({"investigator": investigator} if investigator else {}),
    )  # fmt: skip
    engine = JobEngine(settings)
    try:
        kind = "inspect_report" if inspected else "intervention_report"
        with engine.inline.artifact(kind, f"{CRITERION} in {MODEL}", origin) as files:
            files.write_json("report.json", report.model_dump(mode="json"))
            for name, text in (texts or {}).items():
                files.write_text(name, text)
        return files.manifest.id
    finally:
        engine.close()


def publish_other(
    settings: Settings,
    kind: str,
    report: Json | None = None,
    *,
    request: Json | None = None,
    at: int = 0,
    file: str = "report.json",
    text: str | None = None,
) -> str:
    """Return the artifact id of a report of another kind, or of any artifact with one file."""
    asked = {"model": {"id": MODEL}, "criterion": CRITERION} if request is None else request
    spec: Json = {"capability": kind, "request": asked}
    ended = START + timedelta(minutes=at)
    origin = Origin(job=None, attempt=0, started=ended, code_version="test", inputs={}, spec=spec)
    engine = JobEngine(settings)
    try:
        with engine.inline.artifact(kind, f"A {kind}", origin) as files:
            files.write_text(file, json.dumps(report or {}) if text is None else text)
        return files.manifest.id
    finally:
        engine.close()


def publish_files(settings: Settings, kind: str, texts: Mapping[str, str | bytes]) -> str:
    """Return the artifact id of something with these files."""
    origin = Origin(job=None, attempt=0, started=START, code_version="test", inputs={}, spec={})
    engine = JobEngine(settings)
    try:
        with engine.inline.artifact(kind, f"A {kind}", origin) as files:
            for name, text in texts.items():
                files.write_bytes(name, text.encode() if isinstance(text, str) else text)
        return files.manifest.id
    finally:
        engine.close()
