# pyright: standard
"""Matches of the two pocket models on every criterion in the box; writes `benchmarks/results/comparing.json`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp_lab.contracts.compare import CompareRequest, ComparisonReport
from interp_lab.corpus.catalogue import list_builtin_datasets
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.compare import compare

RESULTS = Path(__file__).parents[1] / "results" / "comparing.json"
BY_EFFECTS = ("json-tool-call", "quoted-speech", "docstring", "person-name")
"""Criteria of which some units respond alike, and one of which none does."""
FOUND = ("needs_causal_evidence", "validated")


def compared(root: Path, **asked: Any) -> ComparisonReport:
    """Run one comparison and return its report."""
    run = LocalRun(Path(tempfile.mkdtemp(dir=root)), workspace=root)
    compare(CompareRequest.model_validate(asked), run, settings=Settings(workspace=root), suggest=lambda _: ())
    return ComparisonReport.model_validate_json((run.written[-1] / "report.json").read_text(encoding="utf-8"))


def pocket() -> list[dict[str, Any]]:
    """One row per criterion: pairs tested and matched of pocket-gpt2 beside pocket-llama."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in list_builtin_datasets():
            sides = {"left": "builtin:pocket-gpt2", "right": "builtin:pocket-llama"}
            report = compared(Path(folder), **sides, criterion=name, dataset=f"builtin:{name}")
            held = [match for match in report.matches if match.grade in FOUND]
            best = report.matches[0]
            row = {
                "criterion": name,
                "n_groups": report.n_groups,
                "tested": len(report.matches),
                "matched": len(held),
                "best_r": best.similarity,
                "interval": best.interval,
                "q": best.q_value,
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def effects() -> Iterator[dict[str, Any]]:
    """Yield a row for some criteria: the same two models by what taking a unit away does, and a direction carried."""
    few = {"by": "effects", "n_units": 5, "n_controls": 10, "n_transfers": 1, "n_permutations": 499}
    with tempfile.TemporaryDirectory() as folder:
        for name in BY_EFFECTS:
            sides = {"left": "builtin:pocket-gpt2", "right": "builtin:pocket-llama"}
            report = compared(Path(folder), **sides, criterion=name, dataset=f"builtin:{name}", **few)
            best = report.matches[0]
            carried = next((match.transfer for match in report.matches if match.transfer is not None), None)
            yield {
                "criterion": name,
                "n_groups": report.n_groups,
                "n_words": report.n_words,
                "tested": len(report.matches),
                "matched": sum(match.grade in FOUND for match in report.matches),
                "validated": sum(match.grade == "validated" for match in report.matches),
                "best_r": best.similarity,
                "interval": best.interval,
                "q": best.q_value,
                "effects": [best.left.effect, best.right.effect],
                "beyond_random": [best.left.effect_confirmed, best.right.effect_confirmed],
                "carried": None if carried is None else carried.model_dump(mode="json"),
            }


def main() -> None:
    """Write a row for every criterion, by responses and by effects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("responses", "effects"))
    only = parser.parse_args().only
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if only != "effects":
        found["pocket"] = pocket()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if only != "responses":
        found["by_effects"] = []
        for row in effects():
            print(json.dumps(row), flush=True)
            found["by_effects"].append(row)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
