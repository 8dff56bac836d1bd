"""Which planted causes each side names within the same budget, on the same records of the same models.

Budget: the first k latents of a ranking, by activations alone and after the same edits were measured; k is the number
of planted causes, 5, 10 or 20. After edits ours stand by grade, then by effect. The peer ranks all prompts, this
project the explore half only. `--activations-only` makes no edits, takes a tenth of the time and replaces only that
part of the results. `--minutes` ends a run by time alone: models come in the order of their seeds, and what one showed
has no say in whether the next is made. A run that was cut off goes on from the models in `--out`. `--print` shows the
tables of docs/calibration.md. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from records import feature, recording, said_by_peer

from interp_lab.contracts.base import Grade
from interp_lab.contracts.calibrate import Setting
from interp_lab.contracts.calibration_report import LatentScore, WorldScore
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.workflows.calibrating.investigate import Answer, Question, Stop
from interp_lab.workflows.calibrating.score import score_world
from interp_lab.workflows.calibrating.sweep import BASES, Draw, settings_of

RESULTS = Path(__file__).resolve().parents[1] / "results" / "planted_ranking.json"
BUDGETS: tuple[int | None, ...] = (None, 5, 10, 20)
"""None: as many as there are causes."""
ORDER: dict[Grade, int] = {"validated": 0, "needs_causal_evidence": 1, "plausible": 2, "contradicted": 3, "weak": 4}
Place = Callable[[LatentScore], int | None]
Named = tuple[WorldScore, Mapping[str, Any], Mapping[str, Any]]
"""A model, what the peer says of its latents, and the places of ours."""


def main(arguments: Sequence[str]) -> int:
    """Run every model through both, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=1216)
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no model after so long; 0 for no such limit")
    parser.add_argument("--out", type=Path, required=True, help="empty folder for records")
    parser.add_argument("--peer", type=Path, required=True, help="folder with the peer's package")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--activations-only", action="store_true", help="no edits: the ranking by activations alone")
    parser.add_argument("--print", action="store_true", help="show the tables of the results that are there")
    options = parser.parse_args(arguments)
    if not options.print:
        torch.set_num_threads(1)
        known: dict[str, Any] = (
            json.loads(options.results.read_text(encoding="utf-8")) if options.activations_only else {}
        )
        options.results.write_text(json.dumps(known | _measured(options), indent=1) + "\n", encoding="utf-8")
    found = json.loads(options.results.read_text(encoding="utf-8"))
    sys.stdout.write(tables(found))
    print(json.dumps(headline(found)))
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    options.out.mkdir(parents=True, exist_ok=True)
    easy = settings_of("small")[0]
    worlds = _worlds(options, easy)
    said = said_by_peer(options.out, len(worlds), options.peer)
    places = [json.loads((options.out / f"{n:04d}" / "places.json").read_text("utf-8")) for n in range(len(worlds))]
    named = list(zip(worlds, said, places, strict=True))
    if options.activations_only:
        return {
            "by_activations_seeds": [worlds[0].seed, worlds[-1].seed],
            "by_activations": [_at(named, budget, "by_activations") for budget in BUDGETS],
        }
    return {
        "bench": "planted_ranking",
        "seeds": [worlds[0].seed, worlds[-1].seed],
        "by_activations_seeds": [worlds[0].seed, worlds[-1].seed],
        "setting": easy.dials.model_dump(mode="json", exclude={"base"}) | {"base": BASES},
        "n_latents": sum(len(world.latents) for world in worlds),
        "n_causes": sum(one.causal for world in worlds for one in world.latents),
        "by_activations": [_at(named, budget, "by_activations") for budget in BUDGETS],
        "after_edits": [_at(named, budget, "after_edits") for budget in BUDGETS],
        "claims": _claims(named),
        "grades": _grades(named),
        "decoys": _decoys(named),
        "machine": f"{os.cpu_count()} CPU cores, 1 thread, torch {torch.__version__}",
    }


def _worlds(options: argparse.Namespace, easy: Setting) -> list[WorldScore]:
    """Return the scores of as many models as were asked for, or fit into the time; those on disk are not made again."""
    worlds: list[WorldScore] = []
    began = time.monotonic()
    for number in range(options.worlds):
        kept = options.out / f"{number:04d}" / "score.json"
        if kept.is_file():
            worlds.append(WorldScore.model_validate_json(kept.read_bytes()))
            continue
        if options.minutes and time.monotonic() - began > 60 * options.minutes:
            break
        dials = easy.dials.model_copy(update={"base": BASES[number % len(BASES)]})
        draw = Draw(easy.model_copy(update={"dials": dials}), options.first_seed + number)
        worlds.append(score_world(draw, _with_places(options, len(worlds)), seed=0, stop=lambda: None))
        kept.write_text(worlds[-1].model_dump_json(), encoding="utf-8")
        print(draw.seed, round(worlds[-1].seconds, 1), file=sys.stderr, flush=True)
    return worlds


def _with_places(options: argparse.Namespace, number: int) -> Callable[[Question, Stop], Answer]:
    """Return the pipeline, with the peer's records and the places of our latents written beside it."""
    out: Path = options.out
    recorded = recording(out, lambda: number, edited=not options.activations_only)

    def run(question: Question, stop: Stop) -> Answer:
        answer = recorded(question, stop)
        by_rank = list(answer.latents)
        by_grade = sorted(by_rank, key=lambda one: (ORDER[one.grade], -abs(one.effect or 0.0)))
        orders = {"by_activations": by_rank, "after_edits": by_grade}
        places = {
            name: {feature(one.address, one.index): place for place, one in enumerate(order, start=1)}
            for name, order in orders.items()
        }
        (out / f"{number:04d}" / "places.json").write_text(json.dumps(places), encoding="utf-8")
        return answer

    return run


def _at(named: Sequence[Named], budget: int | None, when: str) -> dict[str, Any]:
    """Return precision and recall of planted causes among the first `budget` latents of both rankings."""
    row: dict[str, Any] = {"budget": budget or "number of causes"}
    theirs = "rank_by_activations" if when == "by_activations" else "rank"
    for side in ("ours", "peer"):
        recall: list[tuple[bool, int]] = []
        precision: list[tuple[bool, int]] = []
        for world, said, places in named:
            limit = budget or sum(one.causal for one in world.latents)
            for one in world.latents:
                name = feature(one.address, one.index)
                place = places[when].get(name) if side == "ours" else said.get(name, {}).get(theirs)
                inside = place is not None and place <= limit
                recall += [(inside, world.seed)] if one.causal else []
                precision += [(one.causal, world.seed)] if inside else []
        row[side] = {"recall": _share(recall), "precision": _share(precision)}
    return row


def _claims(named: Sequence[Named]) -> dict[str, Any]:
    """Return, for what each side calls a cause, the share that is none, and the share of causes that it names."""
    found: dict[str, Any] = {}
    for name, called in _callers().items():
        rows = [
            (called(one, said.get(feature(one.address, one.index), {})), one.causal, world.seed)
            for world, said, _ in named
            for one in world.latents
        ]
        found[name] = {
            "false": _share([(not causal, seed) for yes, causal, seed in rows if yes]),
            "recall": _share([(yes, seed) for yes, causal, seed in rows if causal]),
        }
    return found


def _grades(named: Sequence[Named]) -> dict[str, Any]:
    """Return, by every word that each side has for a latent, the share of latents so called that are causes."""
    rows = [
        (one, said.get(feature(one.address, one.index), {}), world.seed)
        for world, said, _ in named
        for one in world.latents
    ]
    words: dict[str, Callable[[LatentScore, Mapping[str, Any]], Any]] = {
        "ours": lambda one, _: one.grade,
        "peer: tier": lambda _, said: said.get("tier"),
        "peer: claim": lambda _, said: said.get("claim"),
    }
    return {
        side: {
            word: _share([(one.causal, seed) for one, said, seed in rows if str(word_of(one, said)) == word])
            for word in sorted({str(word_of(one, said)) for one, said, _ in rows})
        }
        for side, word_of in words.items()
    }


def headline(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line that says whether this project names at least as many causes within the budget, and none falsely.

    A ratio is this project's share of causes over the peer's among the first latents, as many as there are causes.
    """
    at = {when: found[when][0] for when in ("by_activations", "after_edits")}
    shares = {when: (row["ours"]["precision"]["share"], row["peer"]["precision"]["share"]) for when, row in at.items()}
    false = found["claims"]["ours: validated"]["false"]
    return {
        "bench": "planted_ranking",
        "ratios": {f"causes {when.replace('_', ' ')}": round(a / b, 3) for when, (a, b) in shares.items() if b},
        "equal": all(row["ours"]["recall"]["n"] == row["peer"]["recall"]["n"] for row in at.values()),
        "targets_met": all(a >= b for a, b in shares.values()) and false is not None and false["share"] == 0,
    }


def _decoys(named: Sequence[Named]) -> dict[str, Any]:
    """Return, by kind of latent that is no cause, how often each side calls it one."""
    kinds = sorted({one.kind for world, _, _ in named for one in world.latents if not one.causal})
    return {
        kind: {
            name: _share(
                [
                    (called(one, said.get(feature(one.address, one.index), {})), world.seed)
                    for world, said, _ in named
                    for one in world.latents
                    if one.kind == kind and not one.causal
                ]
            )
            for name, called in _callers().items()
        }
        for kind in kinds
    }


def _callers() -> dict[str, Callable[[LatentScore, Mapping[str, Any]], bool]]:
    return {
        "ours: validated": lambda one, _: one.grade == "validated",
        "ours: validated or effect confirmed": lambda one, _: one.grade == "validated" or one.confirmed,
        "peer: measured_causal": lambda _, said: said.get("tier") == "measured_causal",
        "peer: validated_equivalent": lambda _, said: said.get("claim") == "validated_equivalent",
    }


def _share(rows: Sequence[tuple[bool, int]]) -> dict[str, Any] | None:
    if not rows:
        return None
    found = clustered_share([yes for yes, _ in rows], [seed for _, seed in rows])
    values = {"share": found.share, "low": found.low, "high": found.high}
    return {name: round(value, 4) for name, value in values.items()} | {"n": found.n_rows, "n_worlds": found.n_groups}


def tables(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    lines: list[str] = []
    for when, title in (("by_activations", "by activations alone"), ("after_edits", "after the same edits")):
        lines += [
            f"| ranked {title}, first | recall here | precision here | recall, 3.1.0 | precision, 3.1.0 |",
            "|---|---|---|---|---|",
        ]
        for row in found[when]:
            cells = [_shown(row[side][what]) for side in ("ours", "peer") for what in ("recall", "precision")]
            lines.append(f"| {row['budget']} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["| called a cause by | share that is none | causes found |", "|---|---|---|"]
    lines += [
        f"| {name} | {_shown(each['false'])} | {_shown(each['recall'])} |" for name, each in found["claims"].items()
    ]
    for side, words in found["grades"].items():
        lines += ["", f"| {side} | are causes |", "|---|---|"]
        lines += [f"| {word} | {_shown(share)} |" for word, share in words.items()]
    names = list(_callers())
    lines += ["", f"| no cause, called one by | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for kind, row in found["decoys"].items():
        lines.append(f"| {kind} | {' | '.join(_shown(row[name]) for name in names)} |")
    return "\n".join(lines) + "\n"


def _shown(share: Mapping[str, Any] | None) -> str:
    return "–" if share is None else f"{share['share']:.3f} [{share['low']:.3f}, {share['high']:.3f}], {share['n']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
