"""False discoveries and the coverage of intervals by simulation, beside the rates that are stated.

`python benchmarks/rates/bench.py [--part NAME]` writes `benchmarks/results/rates.json` and docs/rates.md; a part
that is named replaces only itself. The last line is one JSON object: `targets_met` says that no rate of a part that is
meant to hold lies beyond what is stated by more than chance, over all its rows at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from page import written
from simulate import Row, aurocs, contrasts, differences, discoveries, limits, means, shares

from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.statistics.distributions import normal_quantile

HERE = Path(__file__).resolve()
RESULTS = HERE.parents[1] / "results" / "rates.json"
PAGE = HERE.parents[2] / "docs" / "rates.md"
PARTS: Mapping[str, tuple[Callable[[int], Iterator[Row]], int]] = {
    "discoveries": (discoveries, 40),
    "aurocs": (aurocs, 2000),
    "differences": (differences, 300),
    "means": (means, 1000),
    "shares": (shares, 1000),
    "contrasts": (contrasts, 800),
    "limits": (limits, 1000),
}
"""What is simulated, and how often."""
WRONG_ABOVE = ("discoveries", "contrasts")
BEYOND = ("limits",)
"""Not meant to hold."""


def main(arguments: Sequence[str]) -> int:
    """Simulate, write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=tuple(PARTS), action="append", help="only this, again")
    parser.add_argument("--print", action="store_true", help="write the page from the results that are there")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in () if options.print else options.part or PARTS:
        simulated, draws = PARTS[name]
        began = time.process_time()
        rows = list(simulated(draws))
        seconds = round(time.process_time() - began, 1)
        found[name] = {"cpu_seconds": seconds, "rows": [row | {"off": _off(name, row, len(rows))} for row in rows]}
        found |= _headline(found) | {"machine": f"{os.cpu_count()} CPU cores, 1 thread"}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, seconds, "CPU s", flush=True)
    PAGE.write_text(written(found), encoding="utf-8")
    last = {key: found[key] for key in ("bench", "ratios", "equal", "targets_met")}
    print(json.dumps(last))
    return 0 if found["targets_met"] else 1


def _off(part: str, row: Row, n_rows: int) -> bool:
    """Whether a rate is worse than stated beyond chance, at a level of 0.05 over all rows of its part."""
    level = 1 - 0.1 / n_rows  # one side of an interval
    if "runs" in row:
        half = (row["high"] - row["rate"]) * _wider(n_rows)
        return row["rate"] - half > 0.05
    inside = round(row["rate"] * row["draws"])
    interval = clustered_share([k < inside for k in range(row["draws"])], range(row["draws"]), level=level)
    return interval.low > 0.05 if part in WRONG_ABOVE else interval.high < 0.95


def _wider(n_rows: int) -> float:
    """How much wider an interval over all rows is than one of 95 %."""
    return float(normal_quantile(1 - 0.05 / n_rows) / normal_quantile(0.975))


def _headline(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a benchmark; a ratio is the share of rows of a part that keep the rate."""
    kept = {
        name: round(sum(not row["off"] for row in found[name]["rows"]) / len(found[name]["rows"]), 3)
        for name in PARTS
        if name in found and name not in BEYOND
    }
    ratios = {f"{name}: rows at the stated rate": share for name, share in kept.items()}
    return {"bench": "rates", "ratios": ratios, "equal": True, "targets_met": all(each == 1 for each in kept.values())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
