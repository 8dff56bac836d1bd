"""A realistic inspect report from a seed, and its awkward relatives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.inspect_report import InspectReport

Json = dict[str, Any]
MakeJson = Callable[..., Json]
MakeReport = Callable[..., InspectReport]

SENTENCES = (
    "The bridge across the northern channel is nearly three hundred and forty metres long, which",
    "She poured two litres of water into the copper kettle and waited until the thermometer",
    "According to the survey the glacier has lost about nine cubic kilometres of ice since",
    "He weighed the parcel twice, and both times the scale in the post office showed four kilograms",
    "The committee postponed its decision because nobody had read the annual report before",
    "In the old harbour the fishermen mended their nets, talked of prices and of the weather; then",
    "A current of sixteen amperes is enough to melt the thin wire, so the fuse must be",
    "Nothing in the letter suggested that the director had ever visited the laboratory, although",
    "\nThe recipe asks for 250 grams of flour, a pinch of salt and 3 eggs; bake it at",
    "My grandmother kept her coins in a biscuit tin under the stairs, together with",
)
LABELS = ("unit: imperial", "unit: metric", "negative: bare number", "negative: currency", "negative: date", "length")


def pieces(text: str) -> list[str]:
    """Return the text cut the way a byte-pair tokenizer would: words with their space, long ones in two."""
    found: list[str] = []
    for word in text.split(" "):
        spaced = f" {word}"
        found += [spaced] if len(spaced) <= 7 else [spaced[:5], spaced[5:]]
    return found


def interval(value: float, half: float) -> Json:
    return {
        "low": max(0.0, value - half),
        "high": min(1.0, value + half),
        "method": "cluster bootstrap, 2000 resamples",
    }


def measured(value: float, unit: str, half: float | None = None, n: tuple[int, int] = (120, 64)) -> Json:
    bounds = None if half is None else interval(value, half)
    return {"value": value, "unit": unit, "n_prompts": n[0], "n_groups": n[1], "interval": bounds}


def context(dice: np.random.Generator, number: int, n_tokens: int, sign: int, *, dense: bool) -> Json:
    words: list[str] = []
    while len(words) < n_tokens:
        words += pieces(SENTENCES[int(dice.integers(len(SENTENCES)))])
    values = dice.normal(0.0, 0.35, n_tokens) if dense else np.zeros(n_tokens)
    for peak in dice.integers(2, n_tokens, 3):
        values[peak] = sign * (1.0 + dice.gamma(3.0, 0.9)) if dense else dice.gamma(3.0, 1.1)
    strongest = int(np.argmax(values * sign if dense else values))
    tokens = [
        {"text": word, "value": float(value), "in_span": place == strongest}
        for place, (word, value) in enumerate(zip(words[:n_tokens], values, strict=True))
    ]
    return {
        "prompt_id": f"unit-{number:04d}",
        "positive": bool(dice.random() < 0.85),
        "pooled": float(values[strongest]),
        "truncated_before": int(dice.integers(0, 3)) * 7,
        "truncated_after": int(dice.integers(0, 2)) * 11,
        "tokens": tokens,
        "peak": strongest,
    }


def split(dice: np.random.Generator, name: str, auroc: float) -> Json:
    return {
        "split": name,
        "auroc": measured(auroc, "AUROC", float(dice.uniform(0.02, 0.09))),
        "cohens_d": float((auroc - 0.5) * dice.uniform(4, 6)),
        "point_biserial_r": float((auroc - 0.5) * 1.5),
        "firing_rate_positive": float(dice.uniform(0.5, 1.0)),
        "firing_rate_negative": float(dice.uniform(0.0, 0.3)),
        "p_value": float(10 ** -dice.uniform(2, 9)),
        "q_value": float(10 ** -dice.uniform(1.2, 6)),
    }


def reasons(auroc: float, *, confirmed: bool) -> list[Json]:
    found = (
        {
            "code": "confirmed_association",
            "text": f"On confirm prompts the AUROC is {auroc:.3f}, in the same direction.",
        }
        if confirmed
        else {"code": "not_confirmed", "text": "There were too few groups to confirm anything."}
    )
    return [found, {"code": "no_intervention", "text": "Nothing was edited, so nothing is known about effects."}]


def coordinate(dice: np.random.Generator, rank: int, wanted: Wanted) -> Json:
    sign = -1 if rank % 4 == 3 else 1
    dense = rank % 3 != 1
    strength = 0.96 - 0.006 * rank + float(dice.normal(0, 0.01))
    held = strength - float(dice.gamma(1.6, 0.045))
    aurocs = [strength, held] if sign == 1 else [1 - strength, 1 - held]
    grade = "needs_causal_evidence" if held > 0.8 else "plausible" if held > 0.68 else "weak"
    contexts = [
        context(dice, int(dice.integers(0, 480)), wanted.n_tokens, sign, dense=dense) for _ in range(wanted.n_contexts)
    ]
    return {
        "rank": rank,
        "address": str(dice.choice(wanted.addresses)),
        "index": int(dice.integers(0, 768)),
        "sign": sign,
        "grade": grade if wanted.confirmed else "plausible",
        "reasons": reasons(aurocs[1], confirmed=wanted.confirmed),
        "explore": split(dice, "explore", aurocs[0]),
        "confirm": split(dice, "confirm", aurocs[1]) if wanted.confirmed else None,
        "density": float(dice.uniform(0.4, 0.6)) if dense else float(dice.uniform(0.0004, 0.06)),
        "controlled_auroc": aurocs[1] - sign * float(dice.uniform(0, 0.1)) if wanted.confirmed else None,
        "specificity": [
            {"label": label, "auroc": float(np.clip(dice.normal(0.55, 0.18), 0, 1)), "n_prompts": 12 + place}
            for place, label in enumerate(LABELS)
        ],
        "contexts": sorted(contexts, key=lambda shown: -abs(shown["pooled"])),
    }


def confounds(*, solved: bool) -> list[Json]:
    rows = [
        ("tokens", 0.991 if solved else 0.58, solved),
        ("digits", 0.64, False),
        ("bag_of_words", 0.71, False),
        ("punctuation", 0.53, False),
    ]
    return [
        {
            "name": name,
            "auroc": measured(auroc, "AUROC", 0.04, (480, 240)),
            "flagged": flagged,
            "text": "Positives are longer than negatives." if flagged else "Close to what chance gives.",
        }
        for name, auroc, flagged in rows
    ]


def layer(dice: np.random.Generator, address: str, depth: float, wanted: Wanted) -> Json:
    best = float(np.clip(0.62 + 0.33 * np.sin(np.pi * min(1.0, depth + 0.15)) + dice.normal(0, 0.012), 0.5, 1))
    held = float(np.clip(best - dice.gamma(1.5, 0.04), 0.3, 1))
    return {
        "address": address,
        "n_coordinates": 768,
        "best_index": int(dice.integers(0, 768)),
        "best_auroc": best,
        "best_confirm_auroc": held if wanted.confirmed else None,
        "n_significant": int(max(0, dice.normal(160, 30) * (best - 0.6))) if wanted.significant else 0,
    }


def edit_figures(part: str, effect: float) -> Json:
    return {
        "part": part,
        "n_prompts": 31,
        "n_groups": 30,
        "effect": effect,
        "controls": {"random_direction": 0.021, "matched_latent": -0.013},
        "difference": effect - 0.021,
        "interval": {"low": effect - 0.121, "high": effect + 0.079, "level": 0.95, "method": "Student t"},
        "q_value": 3.2e-5,
    }


@dataclass(frozen=True)
class Wanted:
    """What the report should look like."""

    n: int = 10
    n_contexts: int = 6
    n_tokens: int = 24
    seed: int = 7
    significant: bool = True
    solved: bool = False
    confirmed: bool = True
    edited: bool = False
    addresses: tuple[str, ...] = tuple(f"resid_post.{number}" for number in range(12))


MODEL: Json = {
    "id": "openai-community/gpt2",
    "revision": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "architecture": "GPT2LMHeadModel",
    "n_layers": 12,
    "d_model": 768,
    "n_parameters": 124_439_808,
    "dtype": "float32",
    "device": "cpu",
    "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
}
DATASET: Json = {
    "name": "measurement-unit",
    "sha256": hashlib.sha256(b"prompts").hexdigest(),
    "n_prompts": 480,
    "n_positive": 241,
    "n_negative": 239,
    "n_groups": 242,
    "n_tokens": 11_873,
    "n_explore": 238,
    "n_confirm": 242,
}
EDITS: list[Json] = [
    {
        "edit": "amplify (active)",
        "strength": 2.0,
        "metric": "logit_difference, logits",
        "source": "5" * 64,
        "provenance": "measured",
        "figures": [edit_figures("explore", 0.71), edit_figures("confirm", 0.64)],
        "side_effect": 0.031,
        "side_effect_bound": 0.355,
        "counts": True,
        "reasons": ["effect_confirmed"],
        "doses": [
            {"strength": s, "effect": 0.35 * s, "low": 0.31 * s, "high": 0.4 * s, "control": 0.02, "side_effect": 0.03}
            for s in (0.5, 1.0, 2.0)
        ],
    },
    {
        "edit": "ablate",
        "strength": None,
        "metric": "score",
        "source": "edits/<b>records</b>.jsonl",
        "provenance": "imported",
        "figures": [{**edit_figures("unknown", -0.2), "controls": {}, "q_value": None}],
        "side_effect": None,
        "side_effect_bound": 0.1,
        "counts": False,
        "reasons": ["effect_without_controls", "intervention_on_other_prompts"],
    },
    {
        "edit": "clamp",
        "strength": 1.5,
        "metric": "score",
        "source": "none.jsonl",
        "provenance": "imported",
        "figures": [],
        "side_effect": None,
        "side_effect_bound": 0.0,
        "counts": False,
        "reasons": ["intervention_lacks_fields"],
    },
]
RUN: Json = {
    "job_id": "5f0c3b1e7a9d4c2f8b6e1a3d5c7f9b0e",
    "code_version": "9f3a1c7d20b4",
    "packages": {"numpy": "2.3.1", "torch": "2.13.0", "transformers": "5.23.0"},
    "seed": 0,
    "started_at": datetime(2026, 3, 2, 9, 14, 5, tzinfo=UTC),
    "seconds": 187.4,
    "checks": {"hooked logits": "bit-equal to plain logits", "padding": "left and right agree"},
}
ACTIONS: list[Json] = [
    {
        "tool": "intervene",
        "arguments": {"model": "openai-community/gpt2", "dataset": {"kind": "builtin", "name": "measurement-unit"}},
        "why": "Would show whether the best coordinate moves the prediction, against matched controls.",
    },
    {
        "tool": "artifact_read",
        "arguments": {"artifact_id": "0" * 64, "name": "report.json", "pointer": "/coordinates/0"},
        "why": "All numbers of the best coordinate.",
    },
]
CAVEATS = [
    "Association on one dataset: another phrasing of the criterion could rank other coordinates first.",
    "The strongest coordinates of neighbouring layers share the residual stream and are not independent.",
]


def report_json(**options: Any) -> Json:
    """Return a report as JSON; the options are the fields of `Wanted`."""
    wanted = Wanted(**options)
    dice = np.random.default_rng(wanted.seed)
    layers = [
        layer(dice, address, number / len(wanted.addresses), wanted) for number, address in enumerate(wanted.addresses)
    ]
    cards = [coordinate(dice, rank, wanted) for rank in range(1, wanted.n + 1)]
    if wanted.edited:
        cards[0]["specificity_margin"] = -0.0312
        cards[0] |= {"grade": "validated", "association_grade": "needs_causal_evidence", "causal": EDITS}
    best = {card["address"]: card["index"] for card in reversed(cards)}
    for row in layers:
        row["best_index"] = best.get(row["address"], row["best_index"])
    n_significant = sum(row["n_significant"] for row in layers)
    criterion = "the next token is a measurement unit"
    return {
        "criterion": criterion,
        "headline": f"{n_significant} coordinates follow “{criterion}”; association only, nothing was intervened on.",
        "model": dict(MODEL),
        "dataset": dict(DATASET),
        "pooling": "max",
        "n_tested": 768 * len(layers),
        "n_significant": n_significant,
        "q_level": 0.05,
        "ranking_stability": measured(0.83, "rank agreement", 0.06, (240, 120)) if wanted.confirmed else None,
        "detectable_auroc": 0.643 if wanted.confirmed else None,
        "audit": {"flagged": wanted.solved, "confounds": confounds(solved=wanted.solved)},
        "layers": layers,
        "coordinates": cards,
        "caveats": list(CAVEATS),
        "agent_next_actions": deepcopy(ACTIONS),
        "run": deepcopy(RUN),
    }


@pytest.fixture(scope="session")
def make_json() -> MakeJson:
    return report_json


@pytest.fixture(scope="session")
def make_report() -> MakeReport:
    return lambda **options: InspectReport.model_validate(report_json(**options))
