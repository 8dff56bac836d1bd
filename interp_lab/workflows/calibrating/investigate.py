# pyright: standard
"""The pipeline as an agent runs it: inspect, intervene on what was found, then search for what stands in for another.

It is given a folder with a model, prompts and dictionaries, and a criterion in words; the truth is nowhere near it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.base import Grade
from interp_lab.contracts.inspect import InspectRequest, InspectResult, RankedCoordinate
from interp_lab.contracts.intervene import REPORT_KIND, InterveneRequest
from interp_lab.contracts.intervene_report import InterveneReport, UnitCard
from interp_lab.contracts.jobs import JobRequest
from interp_lab.jobs.nested import NestedRun
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.intervene import intervene

CRITERION = "the text ends in a word after which the target words are more likely"
DESCRIBED = 20
"""Latents that the inspection describes, and at most so many are edited."""
MODEL, DATASET = "model", "prompts.jsonl"


@dataclass(frozen=True, slots=True)
class Said:
    """What the pipeline says of one latent."""

    address: str
    index: int
    grade: Grade
    reasons: tuple[str, ...]
    effect: float | None = None
    """On confirm prompts, by the edit with the clearest effect on explore prompts."""

    @property
    def confirmed(self) -> bool:
        """Whether an effect beyond control was confirmed."""
        return "effect_confirmed" in self.reasons


class Question(NamedTuple):
    """What is asked about one model; all that the pipeline is told."""

    folder: Path
    """Holds the model, the prompts and the dictionaries."""
    dictionaries: tuple[str, ...]
    """Folders in it."""
    targets: tuple[str, ...] = ()
    """Words whose probability is the behaviour; empty lets the pipeline choose them."""
    alternatives: tuple[str, ...] = ()
    """Words they are compared with."""
    seed: int = 0
    """Of splits and controls."""


class Answer(NamedTuple):
    """Everything that the pipeline says of one model."""

    latents: tuple[Said, ...]
    stand_ins: tuple[tuple[str, int], ...]
    """Address and index of latents that show nothing alone and are confirmed together; the smallest such set found."""


Stop = Callable[[], None]
"""Raises when the work is to stop."""
Investigate = Callable[[Question, Stop], Answer]


@dataclass(eq=False)
class Lab:
    """One workspace, and the calls made in it."""

    question: Question
    stop: Stop
    n_calls: int = 0

    @property
    def settings(self) -> Settings:
        """The workspace is the folder of the question."""
        return Settings(workspace=self.question.folder)

    def inspect(self) -> tuple[InspectResult, str]:
        """Return the ranking and the artifact of its report."""
        asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "top_k": DESCRIBED, "n_contexts": 1}
        request = InspectRequest.model_validate(
            {**asked, "dictionaries": self.question.dictionaries, "seed": self.question.seed}
        )
        with self._run(request) as run:
            return inspect(request, run, settings=self.settings, suggest=lambda _: ()), run.published[-1]

    def intervene(self, report: str, ranks: Sequence[int], **options: object) -> InterveneReport:
        """Return what editing coordinates of a report does; `options` as in a request."""
        asked = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "report": report, "ranks": tuple(ranks)}
        words = {"targets": self.question.targets, "alternatives": self.question.alternatives}
        rest = {"seed": self.question.seed, "dry_run": False}
        request = InterveneRequest.model_validate({**asked, **words, **rest, **options})
        with self._run(request) as run:
            intervene(request, run, settings=self.settings, suggest=lambda _: ())
            store = ArtifactStore(WorkspacePaths.of(self.settings))
            (artifact,) = [a for a in run.published if store.open(a).kind == REPORT_KIND]
            return InterveneReport.model_validate_json(store.path_of(artifact, "report.json").read_bytes())

    def _run(self, request: JobRequest) -> NestedRun:
        self.n_calls += 1
        run = NestedRun(self.settings, self.n_calls, self.stop)
        run.spec = {"request": request.model_dump(mode="json")}
        return run


def investigate(question: Question, stop: Stop) -> Answer:
    """Return what the pipeline says of one model, as its defaults have it.

    Raises:
        LabError: whatever a call refuses.
    """
    lab = Lab(question, stop)
    seen, report = lab.inspect()
    worth = [row for row in seen.ranking if row.grade != "weak"]
    said = {row.rank: Said(row.address, row.index, row.grade, row.reasons) for row in seen.ranking}
    if not worth:
        return Answer(tuple(said.values()), ())
    effects = lab.intervene(report, [row.rank for row in worth])
    for row, card in zip(worth, effects.units, strict=True):
        said[row.rank] = _said(row, card)
    unmoved = [row.rank for row in worth if "effect_like_control" in said[row.rank].reasons]
    named = {card.unit: (row.address, row.index) for row, card in zip(worth, effects.units, strict=True)}
    together = stand_ins(lab, report, unmoved)
    return Answer(tuple(said.values()), tuple(named[unit] for unit in together))


def stand_ins(lab: Lab, report: str, ranks: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the fewest units that show nothing alone and are confirmed when ablated together.

    Explore prompts choose them; what is left is held against its controls on confirm prompts.
    """
    if len(ranks) < 2:
        return ()
    found = lab.intervene(report, ranks, together=True, alone=False, smallest=True, edits=("ablate_zero",))
    card, facts = found.units[-1], found.smallest
    confirmed = any(reason.code == "effect_confirmed" for reason in card.reasons)
    return card.members if confirmed and facts is not None and facts.moves else ()


def _said(row: RankedCoordinate, card: UnitCard) -> Said:
    confirm = card.edits[0].confirm
    reasons = tuple(reason.code for reason in card.reasons)
    return Said(row.address, row.index, card.grade, reasons, confirm.effect if confirm else None)
