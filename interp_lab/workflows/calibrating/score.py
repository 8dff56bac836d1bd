# pyright: standard
"""One model made, asked about and scored: the only place where an answer meets the key."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from interp_lab.contracts.calibration_report import JointScore, LatentScore, WorldScore
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.workflows.calibrating.investigate import Answer, Investigate, Question, Stop
from interp_lab.workflows.calibrating.sweep import Draw
from interp_lab.worlds.latents import HiddenLatents, LatentTruth, hide
from interp_lab.worlds.planted import PlantedWorld, as_world, build_planted


def score_world(draw: Draw, investigate: Investigate, *, seed: int, stop: Stop) -> WorldScore:
    """Return what the pipeline says of one model beside what is true of it.

    Raises:
        LabError: whatever the pipeline refuses; a model that it cannot deal with is not left out.
    """
    built = build_planted(draw.setting.dials, draw.seed)
    hidden = hide(built, draw.seed)
    with tempfile.TemporaryDirectory(prefix="calibrate-") as folder:
        question = lay_out(built, hidden, Path(folder), draw=draw, seed=seed)
        start = time.perf_counter()
        answer = investigate(question, stop)
        seconds = time.perf_counter() - start
    return WorldScore(
        seed=draw.seed,
        axis=draw.setting.axis,
        value=draw.setting.value,
        meant_to_hold=draw.setting.meant_to_hold,
        latents=_latents(hidden, answer),
        joint=_joint(hidden, built.truth, answer),
        seconds=round(seconds, 3),
    )


def lay_out(built: PlantedWorld, hidden: HiddenLatents, folder: Path, *, draw: Draw, seed: int) -> Question:
    """Write what is in the open into a folder, and return the question; the sealed part is never written."""
    for name, data in as_world(built, draw.seed).open_files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    named: list[str] = []
    for address, dictionary in hidden.dictionaries.items():
        named.append(f"latents-{address}")
        (folder / named[-1]).mkdir()
        save_dictionary(dictionary, folder / named[-1])
    truth, given = built.truth, draw.setting.targets_given
    return Question(
        folder=folder,
        dictionaries=tuple(named),
        targets=tuple(f" {word}" for word in truth.targets) if given else (),
        alternatives=tuple(f" {word}" for word in truth.alternatives) if given else (),
        seed=seed,
    )


def _latents(hidden: HiddenLatents, answer: Answer) -> tuple[LatentScore, ...]:
    said = {(_place(one.address), one.index): one for one in answer.latents}
    scored: list[LatentScore] = []
    for true in hidden.key:
        one = said.get((true.address, true.index))
        scored.append(
            LatentScore(
                address=true.address,
                index=true.index,
                name=true.name,
                kind=true.kind,
                causal=true.causal,
                true_effect=round(true.effect, 6),
                grade=one.grade if one else None,
                confirmed=one.confirmed if one else False,
                effect=one.effect if one else None,
                reasons=one.reasons if one else (),
            )
        )
    return tuple(scored)


def _joint(hidden: HiddenLatents, truth: PlantedTruth, answer: Answer) -> JointScore:
    names = {(true.address, true.index): _named(true) for true in hidden.key}
    found = [names[_place(address), index] for address, index in answer.stand_ins]
    planted = truth.redundant[0].members if truth.redundant else ()
    return JointScore(planted=tuple(sorted(planted)), found=tuple(sorted(found)))


def _named(true: LatentTruth) -> str:
    return true.name if true.kind != "bystander" else f"bystander {true.address} #{true.index}"


def _place(address: str) -> str:
    """The address without the dictionary that reads it."""
    return address.split("/", 1)[0]
