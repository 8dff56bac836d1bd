# pyright: standard
"""Matches of pairs of worlds: how many of the concepts that two models share are found, and how many calls are false.

Twins carry one concept in models of other family, width and basis, beside an inert copy, a suppressor and an impostor
behind the same trigger, hidden in random order among 44 bystanders each. A pair is true if both were planted as the
same thing, and that thing acts. Strangers have nothing in common: the right model was planted for other words
(behind the same trigger, so that only effects can tell), or not at all. Results join a JSON file, world by world.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from interp_lab.contracts.compare import ComparedUnit, CompareRequest, ComparisonReport, Match
from interp_lab.contracts.worlds import Base, PairDials
from interp_lab.corpus.dice import Dice
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.statistics.wilson import wilson_interval
from interp_lab.workflows.compare import compare
from interp_lab.worlds.base import make_base
from interp_lab.worlds.folder import DATASET, model_files, prompt_lines
from interp_lab.worlds.latents import HiddenLatents, hide
from interp_lab.worlds.planted import PlantedWorld, build_planted, draw_scene, prepare
from interp_lab.worlds.prompts import Cast

RESULTS = Path(__file__).parents[1] / "results" / "world_pairs.json"
FIRST_SEED, N_SEEDS = 1303, 52
"""Seeds 1300-1302 showed that pairs have to be tested on other words than those that chose them, so they are spent."""
DIALS = PairDials(prompts=64)
ACTIVE = frozenset({"cause", "suppressor", "impostor"})
"""Planted directions that do something; the inert copies of two models have no effect that could be the same."""
By = Literal["responses", "effects"]
Kind = Literal["twins", "other words", "unplanted"]
ASKED: tuple[tuple[Kind, By], ...] = (
    ("twins", "responses"),
    ("twins", "effects"),
    ("other words", "effects"),
    ("unplanted", "responses"),
    ("unplanted", "effects"),
)


class Hidden(NamedTuple):
    """A planted model and its latents at the place of the cause."""

    built: PlantedWorld
    latents: HiddenLatents

    def write(self, root: Path, role: str, built: PlantedWorld | None = None) -> dict[str, Any]:
        """Write what is in the open and return the side of a request; another model may take the place of this one."""
        base = (built or self.built).base
        for name, data in model_files(role, base.model, base.vocabulary.tokenizer).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        (dictionary,) = self.latents.dictionaries.values()
        (root / f"latents-{role}").mkdir()
        save_dictionary(dictionary, root / f"latents-{role}")
        return {"model": role, "dictionaries": [f"latents-{role}"]}

    def name(self, unit: ComparedUnit) -> str:
        """Return what a unit was planted as."""
        return next(true.name for true in self.latents.key if true.index == unit.index)


def hidden(built: PlantedWorld, seed: int) -> Hidden:
    """Return a planted world with its latents at the place of the cause alone."""
    place = next(feature.address for feature in built.truth.features if feature.name == "cause")
    here = tuple(feature for feature in built.truth.features if feature.address == place)
    return Hidden(built, hide(replace(built, truth=built.truth.model_copy(update={"features": here})), seed))


def records(seed: int) -> Iterator[dict[str, Any]]:
    """Yield what every comparison of one seed found."""
    dice = Dice(seed, "worlds/twins")
    bases: tuple[Base, Base] = ("tiny-gpt2", "tiny-llama") if dice.chance(0.5) else ("tiny-llama", "tiny-gpt2")
    scene = draw_scene(make_base(bases[0], seed), DIALS.plant(bases[0]), dice)
    other = replace(scene, cast=_recast(scene.cast))
    left = hidden(build_planted(DIALS.plant(bases[0]), seed, scene=scene), seed)
    right = {name: build_planted(DIALS.plant(bases[1]), seed, scene=each)
             for name, each in (("twins", scene), ("other words", other))}  # fmt: skip
    theirs = {name: hidden(built, seed) for name, built in right.items()}
    plain = _before(right["twins"], bases[1], seed)
    for kind, by in ASKED:
        mine = theirs["other words" if kind == "other words" else "twins"]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            asked = {"left": left.write(root, "left"),
                     "right": mine.write(root, "right", plain if kind == "unplanted" else None)}  # fmt: skip
            (root / DATASET).write_bytes(prompt_lines(left.built.prompts))
            report = compared(root, **asked, by=by, seed=seed)
        pairs = [_row(match, left.name(match.left), mine.name(match.right)) for match in report.matches]
        yield {"seed": seed, "kind": kind, "by": by, "pairs": pairs}


def compared(root: Path, **asked: Any) -> ComparisonReport:
    """Run one comparison and return its report."""
    request = CompareRequest.model_validate(
        {"criterion": "a trigger word", "dataset": {"path": DATASET}, "n_transfers": 0, **asked}
    )
    with LocalRun(root / "out", workspace=root) as run:
        compare(request, run, settings=Settings(workspace=root), suggest=lambda _: ())
    return ComparisonReport.model_validate_json((run.written[-1] / "report.json").read_text(encoding="utf-8"))


def _recast(cast: Cast) -> Cast:
    """The same triggers lead to other words."""
    n = len(cast.targets)
    return replace(
        cast, targets=cast.fillers[:n], alternatives=cast.fillers[n : 2 * n], bystanders=cast.fillers[2 * n : 3 * n]
    )


def _before(built: PlantedWorld, base: Base, seed: int) -> PlantedWorld:
    """The model as it was before anything was planted: nothing writes the directions that the latents read."""
    plain = make_base(base, seed)
    prepare(plain, len(built.planted.directions), DIALS.plant(base), Dice(seed, f"worlds/planted/{base}"))
    return replace(built, base=plain)


def _row(match: Match, left: str, right: str) -> dict[str, Any]:
    return {
        "left": left,
        "right": right,
        "r": match.similarity,
        "q": round(match.q_value, 5),
        "grade": match.grade,
        "called": match.q_value <= Q_LEVEL and {"match_like_chance", "match_sign_reversed"}.isdisjoint(
            reason.code for reason in match.reasons
        ),
    }  # fmt: skip


def summary(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each kind of pair, way of comparing, and level of call."""
    rows: list[dict[str, Any]] = []
    for kind, by in ASKED:
        worlds = [record for record in found if (record["kind"], record["by"]) == (kind, by)]
        levels = ("called", "validated") if by == "effects" else ("called",)
        rows += [{"kind": kind, "by": by, "level": level, **_figures(worlds, level)} for level in levels]
    return rows


def _figures(worlds: Sequence[dict[str, Any]], level: str) -> dict[str, Any]:
    twins = [record["kind"] == "twins" for record in worlds]
    pairs = [pair for record in worlds for pair in record["pairs"]]
    called = [[pair for pair in record["pairs"] if _is(pair, level)] for record in worlds]
    true = [{pair["left"] for pair in found if same and _true(pair)} for found, same in zip(called, twins, strict=True)]
    n_called = sum(map(len, called))
    n_right = sum(_true(pair) and same for found, same in zip(called, twins, strict=True) for pair in found)
    n_impostors = sum(
        {pair["left"], pair["right"]} <= ACTIVE | {"inert"} and not (same and _true(pair))
        for found, same in zip(called, twins, strict=True)
        for pair in found
    )
    n_any = sum(any(not (same and _true(pair)) for pair in found) for found, same in zip(called, twins, strict=True))
    return {
        "worlds": len(worlds),
        "pairs": len(pairs),
        "calls": n_called,
        "right": n_right,
        "precision": _share(n_right, n_called),
        "recall": _share(sum(map(len, true)), sum(twins) * len(ACTIVE)),
        "impostors_called": n_impostors,
        "false_of_pairs": _share(n_called - n_right, sum(not (_true(pair) and twins[0]) for pair in pairs)),
        "worlds_with_a_false_call": _share(n_any, len(worlds)),
    }


def _is(pair: dict[str, Any], level: str) -> bool:
    return pair["called"] if level == "called" else pair["grade"] == "validated"


def _true(pair: dict[str, Any]) -> bool:
    return pair["left"] == pair["right"] and pair["left"] in ACTIVE


def _share(part: int, whole: int) -> dict[str, Any] | None:
    if not whole:
        return None
    low, high = wilson_interval(part / whole, whole)
    return {"share": round(part / whole, 4), "of": whole, "interval": [round(float(low), 4), round(float(high), 4)]}


def _text(found: Sequence[dict[str, Any]]) -> str:
    """The summary, and every record on a line of its own."""
    rows = ",\n".join(json.dumps(record, separators=(",", ":")) for record in found)
    return f'{{"summary": {json.dumps(summary(found), indent=1)},\n"records": [\n{rows}\n]}}\n'


def main() -> None:
    """Add the seeds that are missing, and write the results after every one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--worlds", type=int, default=N_SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    if options.results.exists():
        found = json.loads(options.results.read_text(encoding="utf-8"))["records"]
    for seed in range(options.first_seed, options.first_seed + options.worlds):
        if not any(record["seed"] == seed for record in found):
            found += records(seed)
            options.results.write_text(_text(found), encoding="utf-8")
            print(seed, flush=True)
    print(json.dumps(summary(found), indent=1))


if __name__ == "__main__":
    main()
