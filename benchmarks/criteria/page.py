"""docs/criteria.md, written from the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MODELS = {"pocket-gpt2": "`builtin:pocket-gpt2`", "pocket-llama": "`builtin:pocket-llama`"}
WAYS = ("latent", "dimension", "direction", "probe")
_HEAD = """# What is found for the bundled criteria

Written by `make criteria-table` from `benchmarks/results/criteria.json`; do not edit.

Every bundled dataset in both models in the box, at `resid_post` of every layer, with the suggested pooling.

- **latent**: the strongest latent of the dictionaries that `make pocket-dictionaries` trains, one for each layer.
- **dimension**: the strongest single coordinate of the residual stream.
- **direction**: the best of difference of means, linear discriminant and principal component.
- **probe**: logistic.
- **better than the latent**: whether the way that explore groups like best beside the latent beats it on the confirm
  groups, by a paired interval.
- **random weights**: dimension, direction and probe of a network of the same architecture before training.

All are chosen and fitted on explore groups; every number is an AUROC on the confirm groups with its 95 % interval, bold
where chance is outside of it. All are associations: that a model carries the property, never that it uses it.
"""


def written(found: Mapping[str, Any]) -> str:
    """Return the page."""
    models = (_model(found, model) for model in MODELS)
    parts = [_HEAD, *models, _audits(found["rows"]), _directions(found["rows"]), _chance(found)]
    return "\n".join(parts)


def _model(found: Mapping[str, Any], model: str) -> str:
    facts = found["dictionaries"][model]
    widths = f"{facts['n_latents'][0]:,} latents a layer, {facts['n_train_tokens']:,} tokens"
    errors = ", ".join(f"{value:.2f}" for value in facts["fvu"])
    lines = [
        f"## {MODELS[model]}",
        "",
        f"Dictionaries: {widths}; share of variance that they miss, by layer: {errors}.",
        "",
        "| dataset | latent | dimension | direction | probe | better than the latent | random weights |",
        "|---|---|---|---|---|---|---|",
        *(_row(row, model) for row in found["rows"]),
        "",
        _plainly(found["rows"], model),
        "",
    ]
    return "\n".join(lines)


def _row(row: Mapping[str, Any], model: str) -> str:
    best, twin = row[model]["best"], row[model]["random_weights"]["best"]
    beside = best["comparison"]
    better = {
        "other": f"{beside['other'].replace('_', ' ')}, by {beside['difference']:.2f}",
        "coordinate": "none",
        "undecided": "undecided",
        "untested": "untested",
    }[beside["best"]]
    controls = " · ".join(f"{twin[way]['auroc']:.2f}" for way in WAYS[1:] if way in twin)
    cells = [_cell(best[way]) if way in best else "–" for way in WAYS]
    return f"| `{row['dataset']}` | {' | '.join(cells)} | {better} | {controls} |"


def _cell(way: Mapping[str, Any]) -> str:
    value = f"**{way['auroc']:.2f}**" if way["low"] > 0.5 else f"{way['auroc']:.2f}"
    place = way["at"] if way.get("kind") != "coordinate" else way["at"].replace("/batchtopk-1280", "")
    return f"{value} [{way['low']:.2f}, {way['high']:.2f}] {place}"


def _plainly(rows: Sequence[Mapping[str, Any]], model: str) -> str:
    right = [row for row in rows if not row["wrong_on_purpose"]]
    there = {way: sum(_low(row, model, way) > 0.5 for row in right) for way in WAYS}
    counted = ", ".join(f"{way} for {n}" for way, n in there.items())
    gains = [row["dataset"] for row in right if _gains(row, model)]
    named = ", ".join(f"`{name}`" for name in gains) or "none"
    beaten = sum(row[model]["best"]["comparison"]["best"] == "other" for row in right)
    return (
        f"Of the {len(right)} criteria, above chance on held-out groups: {counted}. An interval lies above what the "
        f"same way reaches with random weights for {len(gains)}: {named}; of the others it may"
        f" be in the words alone. Another way beats the best latent for {beaten}."
    )


def _low(row: Mapping[str, Any], model: str, way: str) -> float:
    return float(row[model]["best"].get(way, {"low": 0.0})["low"])


def _gains(row: Mapping[str, Any], model: str) -> bool:
    twin = row[model]["random_weights"]["best"]
    return any(way in twin and _low(row, model, way) > max(0.5, twin[way]["auroc"]) for way in WAYS[1:])


def _audits(rows: Sequence[Mapping[str, Any]]) -> str:
    wrong = [row for row in rows if row["wrong_on_purpose"]]
    right = [row for row in rows if not row["wrong_on_purpose"]]
    flagged = [row for row in wrong if row["usability"] == "unusable"]
    called = [row["dataset"] for row in right if row["usability"] == "unusable"]
    words = [row["dataset"] for row in right if row["solved_by"] == ["bag_of_words"]]
    lines = [
        "## Datasets that are wrong on purpose",
        "",
        f"`audit_prompts` calls {len(flagged)} of {len(wrong)} unusable before any model reads them, and of the "
        f"{len(right)} others {len(called)}"
        f"{': ' + ', '.join(f'`{name}`' for name in called) if called else ''}. Single words alone solve "
        f"{', '.join(f'`{name}`' for name in words) or 'none'}: a claim on such a set is one about words.",
        "",
        "| dataset | verdict | solved by |",
        "|---|---|---|",
        *(f"| `{row['dataset']}` | {row['usability']} | {', '.join(row['solved_by']) or '–'} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def _directions(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [(row, model) for row in rows if not row["wrong_on_purpose"] for model in MODELS]
    called = [(row, model) for row, model in cells if row[model]["found"]["directions"]["n_q05"]]
    gained = [1 for row, model in called if row[model]["directions_beyond_random"]["low"] > 0]
    silent = [1 for row, model in called if not row[model]["random_weights"]["found"]["directions"]["n_q05"]]
    lines = [
        "## Directions beside random weights",
        "",
        "Difference of means, linear discriminant and three principal components of every layer, ranked as `inspect` "
        "ranks directions: each block of explore groups by what earlier blocks taught. Called at q < 0.05, and the one "
        "that ranks first on the confirm groups; the same in a network of the same architecture with random weights, "
        "and the paired difference of both AUROCs. Only where the trained network calls a direction is its silence a "
        f"control: of {len(cells)} cells {len(called)}. Of these the random network calls none in {len(silent)}, and "
        f"the trained one's direction is better beyond chance in {len(gained)}. Elsewhere the words that every network "
        "reads may do as well.",
        "",
        "| dataset | model | called | its AUROC | random weights: called | its AUROC | trained less random |",
        "|---|---|---|---|---|---|---|",
        *(_beside(row, model) for row, model in cells),
        "",
    ]
    return "\n".join(lines)


def _beside(row: Mapping[str, Any], model: str) -> str:
    cells: list[str] = []
    for found in (row[model]["found"]["directions"], row[model]["random_weights"]["found"]["directions"]):
        cells += [f"{found['n_q05']} of {found['n_tested']}", _cell(found | {"at": ""}).strip()]
    gap = row[model]["directions_beyond_random"]
    value = f"{gap['estimate']:+.2f}"
    shown = f"{f'**{value}**' if gap['low'] > 0 else value} [{gap['low']:+.2f}, {gap['high']:+.2f}]"
    return f"| `{row['dataset']}` | {model} | {' | '.join(cells)} | {shown} |"


def _chance(found: Mapping[str, Any]) -> str:
    lines = [
        "## What chance gives",
        "",
        f"Labels were shuffled within families {found['shuffles']} times for every dataset and model, which leaves a "
        "label that means nothing. Under it at most 5 % of searches may call any column at q < 0.05, 5 % of columns "
        "have p < 0.05, and 5 % of the columns that rank first seem confirmed. Intervals count datasets.",
        "",
        "| columns | searches | that call anything at q < 0.05 | share of columns at p < 0.05 | at q < 0.05 "
        "| first column seems confirmed |",
        "|---|---|---|---|---|---|",
        *_chance_rows(found["chance"]),
        "",
        "With the true labels, columns at q < 0.05 on explore groups, trained network beside random weights:",
        "",
        "| dataset | pocket-gpt2: latents | dimensions | random weights | pocket-llama: latents | dimensions "
        "| random weights |",
        "|---|---|---|---|---|---|---|",
        *(_discovered(row) for row in found["rows"]),
        "",
        _twins(found["rows"]),
        "",
    ]
    return "\n".join(lines)


def _chance_rows(chance: Mapping[str, Any]) -> Iterator[str]:
    for name, each in chance.items():
        called, share, confirmed = each["any_q05"], each["share_p05"], each["best_confirmed"]
        yield (
            f"| {name.replace('_', ' ')} | {each['n_shuffles']:,} | {_interval(called)} | {_interval(share)} "
            f"| {each['share_q05']:.5f} | {_interval(confirmed)} |"
        )


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['share']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _discovered(row: Mapping[str, Any]) -> str:
    cells: list[str] = []
    for model in MODELS:
        found, twin = row[model]["found"], row[model]["random_weights"]["found"]
        columns = (found["latents"], found["dimensions"], twin["dimensions"])
        cells += [f"{100 * each['n_q05'] / each['n_tested']:.1f} % of {each['n_tested']:,}" for each in columns]
    return f"| `{row['dataset']}` | {' | '.join(cells)} |"


def _twins(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        (row["dataset"], model, row[model]["random_weights"]["found"]["dimensions"]) for row in rows for model in MODELS
    ]
    silent = [f"`{dataset}` ({model})" for dataset, model, found in cells if not found["n_q05"]]
    return (
        "Random weights are no silent control: an untrained network still carries the words that it reads, and calls "
        f"what they give away. It calls nothing in {len(silent)} of {len(cells)} cells: {', '.join(silent) or 'none'}. "
        "What protects is that both stand side by side: what the trained network adds is the finding."
    )
