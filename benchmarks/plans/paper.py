"""The plan on paper for a model of 10¹² parameters, as a page: `make paper-plan` writes `docs/paper_plan.md`.

Every number comes from `plan_scale` and the saved profile beside this file; a test makes the page again and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from interp_lab.contracts.plan_scale import PlanScaleRequest, PlanScaleResult, RoutePlan
from interp_lab.contracts.sizes import bytes_in_words, time_in_words
from interp_lab.settings import Settings
from interp_lab.workflows.plan_scale import plan_scale

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "paper_plan.md"
ASKED = {
    "parameters": "1T",
    "n_layers": 128,
    "d_model": 25_600,
    "tokens": "1B tokens",
    "context": 2048,
    "n_addresses": 4,
    "n_latents": "1M",
    "k": 64,
    "storage": "stored",
    "units": 32,
    "prompts": 200,
    "profile": "profile.json",
    "device": "h200",
    "n_devices": 16,
    "network": "1GB",
    "price_per_hour": 3.0,
    "watts": 700.0,
}
_HEAD = """# A plan on paper: 10¹² parameters, 10⁹ tokens

Made by `make paper-plan` from [plan_scale](scale.md) and the saved profile `benchmarks/plans/profile.json`.
Nothing here was run. Asked was:

```json
{asked}
```

{summary}
"""


def page() -> str:
    """Return the page."""
    request = PlanScaleRequest.model_validate(ASKED)
    result = plan_scale(request, settings=Settings(workspace=HERE))
    return "\n".join(_lines(request, result)) + "\n"


def _lines(request: PlanScaleRequest, result: PlanScaleResult) -> Iterator[str]:
    asked = ",\n".join(f'  "{name}": {_json(value)}' for name, value in ASKED.items())
    yield _HEAD.format(asked="{\n" + asked + "\n}", summary=result.summary)
    yield from (f"- {warning}" for warning in result.warnings)
    yield from ("", "## Every number", "", "| number | value | how | formula | source |", "|---|---|---|---|---|")
    for row in result.quantities:
        formula, source = (text.replace("|", "\\|") for text in (row.formula, row.source))
        source = source or ("the formula" if row.known == "formula" else "the request")
        name = row.name.replace("_", " ")
        yield f"| {row.group}: {name} | {row.text} | {row.known} | {formula} | {source} |"
    for route in result.routes:
        yield from _route(request, route)


def _route(request: PlanScaleRequest, route: RoutePlan) -> Iterator[str]:
    verdict = "fits" if route.fits else "does not fit"
    needed, there = bytes_in_words(route.memory_needed), bytes_in_words(route.memory_there)
    yield from ("", f"## {route.route}: {route.machine}", "")
    yield f"It {verdict}: {needed} of {there} on the fullest device. Bottleneck: {route.bottleneck}."
    yield f"Harvest in {route.n_shards:,} shards, none longer than {request.shard_hours:g} hours."
    yield from ("", "| stage | time | range | waits for | speed |", "|---|---|---|---|---|")
    for stage in route.stages:
        between = f"{time_in_words(stage.low)} to {time_in_words(stage.high)}"
        yield f"| {stage.stage} | {time_in_words(stage.seconds)} | {between} | {stage.bound_by} | {stage.basis} |"
    yield ""
    if route.money is not None and route.energy_kwh is not None and route.seconds is not None:
        whole = f"{route.n_devices} × {time_in_words(route.seconds)}"
        yield f"- Money: {whole} × {request.price_per_hour:g} per hour = {route.money:,.0f}."
        yield f"- Energy: {whole} × {request.watts:g} W = {route.energy_kwh:,.0f} kWh."
    yield from (f"- To change: {change}." for change in route.change)
    yield from (f"- Risk: {risk}." for risk in route.risks)


def _json(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
