# pyright: standard
"""Matches of two models where the truth is planted, and of the two pocket models on every criterion in the box.

Writes `benchmarks/results/comparing.json`; each part replaces its own entry.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from interp_lab.contracts.compare import CompareRequest, ComparisonReport
from interp_lab.contracts.worlds import PairDials
from interp_lab.corpus.catalogue import list_builtin_datasets
from interp_lab.corpus.dice import Dice
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.compare import compare
from interp_lab.worlds.base import make_base
from interp_lab.worlds.folder import model_files, prompt_lines
from interp_lab.worlds.latents import LatentTruth, hide
from interp_lab.worlds.planted import build_planted, draw_scene

RESULTS = Path(__file__).parents[1] / "results" / "comparing.json"
FOUND = ("needs_causal_evidence", "validated")
Key = dict[tuple[str, int], LatentTruth]


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


def role(latent: LatentTruth) -> str:
    """What a latent carries: a step and the channel that it reads carry the same."""
    return latent.name.removesuffix("_relay")


def planted(root: Path, seed: int, dials: PairDials) -> tuple[dict[str, Key], dict[str, list[str]]]:
    """Write both models of a world with its directions hidden among bystanders; return the keys and dictionaries."""
    dice = Dice(seed, "worlds/twins")
    bases = ("tiny-gpt2", "tiny-llama") if dice.chance(0.5) else ("tiny-llama", "tiny-gpt2")
    scene = draw_scene(make_base(bases[0], seed), dials.plant(bases[0]), dice)
    (root / "p.jsonl").write_bytes(prompt_lines(scene.prompts))
    keys: dict[str, Key] = {}
    names: dict[str, list[str]] = {}
    for side, base in zip("ab", bases, strict=True):
        built = build_planted(dials.plant(base), seed, scene=scene)
        for path, data in model_files(side, built.base.model, built.base.vocabulary.tokenizer).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        hidden = hide(built, seed + (side == "b"))
        names[side] = [f"dict-{side}-{address}" for address in hidden.dictionaries]
        for name, dictionary in zip(names[side], hidden.dictionaries.values(), strict=True):
            (root / name).mkdir()
            save_dictionary(dictionary, root / name)
        keys[side] = {(each.address, each.index): each for each in hidden.key}
    return keys, names


def twins(seeds: list[int]) -> list[dict[str, Any]]:
    """One row per world: one-to-one pairs by effects, of which validated, of these true; and true pairs there are."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            keys, names = planted(root, seed, PairDials(prompts=128))
            sides = {side: {"model": key, "dictionaries": names[key]} for side, key in (("left", "a"), ("right", "b"))}
            report = compared(
                root, **sides, criterion="a trigger word", dataset="p.jsonl", by="effects", n_units=12, n_transfers=0
            )
        pairs = [
            (
                match,
                keys["a"][match.left.address.split("/")[0], match.left.index],
                keys["b"][match.right.address.split("/")[0], match.right.index],
            )
            for match in report.matches
            if match.kind == "one_to_one"
        ]
        acting = {"trigger", "cause", "suppressor", "impostor", "redundant"}
        true = [(m, one, two) for m, one, two in pairs if role(one) == role(two) and one.kind != "bystander"]
        validated = [(one, two) for m, one, two in pairs if m.grade == "validated"]
        right = [pair for pair in validated if role(pair[0]) == role(pair[1]) and role(pair[0]) in acting]
        there = sum(role(each) in acting for each in keys["a"].values())
        row = {
            "seed": seed,
            "one_to_one": len(pairs),
            "same_role": len(true),
            "validated": len(validated),
            "validated_true": len(right),
            "validated_impostor_with_cause": sum({role(a), role(b)} == {"impostor", "cause"} for a, b in validated),
            "planted_that_act": there,
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    """Run one part and write its rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("pocket", "twins"), required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1100, 1110)))
    given = parser.parse_args()
    rows = pocket() if given.part == "pocket" else twins(given.seeds)
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known[given.part] = rows
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
