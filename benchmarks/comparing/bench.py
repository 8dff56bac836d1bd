# pyright: standard
"""Matches of the two pocket models on every criterion in the box; writes `benchmarks/results/comparing.json`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp_lab.contracts.compare import CompareRequest, ComparisonReport
from interp_lab.corpus.catalogue import list_builtin_datasets
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.compare import compare

RESULTS = Path(__file__).parents[1] / "results" / "comparing.json"
EFFECTS: dict[str, Any] = {"by": "effects", "n_units": 5, "n_controls": 10, "n_transfers": 1, "n_permutations": 499}
"""Comparisons by effects edit both models many times, so they test fewer units than those by responses."""
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


def effects(done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per criterion not yet done: the two models by what taking a unit away does, a direction carried."""
    known = {row["criterion"] for row in done}
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in list_builtin_datasets() if name not in known):
            began = time.process_time()
            sides = {"left": "builtin:pocket-gpt2", "right": "builtin:pocket-llama"}
            report = compared(Path(folder), **sides, criterion=name, dataset=f"builtin:{name}", **EFFECTS)
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
                "cpu_s": round(time.process_time() - began),
            }


def main() -> None:
    """Write a row for every criterion, by responses and by effects; a run that was ended goes on where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("responses", "effects"))
    parser.add_argument("--anew", action="store_true", help="by effects: forget the criteria that are done")
    asked = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if asked.only != "effects":
        found["pocket"] = pocket()
        write(found)
    if asked.only != "responses":
        if asked.anew or found.get("effects_asked") != EFFECTS:
            found |= {"effects_asked": EFFECTS, "by_effects": []}
        for row in effects(found["by_effects"]):
            print(json.dumps(row), flush=True)
            found["by_effects"].append(row)
            write(found)


def write(found: dict[str, Any]) -> None:
    """Put the rows found so far where the next run reads them, in one step."""
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(RESULTS)


if __name__ == "__main__":
    main()
