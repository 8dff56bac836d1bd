# pyright: standard
"""score_prompts: prompts read by a local classifier of text pairs; its numbers stay apart from labels and evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.prompt_audit import Side
from interp_lab.contracts.score_prompts import (
    SCORES_FILE,
    SCORES_KIND,
    WHAT_IT_IS,
    DoubtfulRow,
    ScorePromptsRequest,
    ScorePromptsResult,
)
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.engine.texts import entailment
from interp_lab.errors import TooFewGroups
from interp_lab.jobs.run import Run
from interp_lab.models.text_files import entailment_label, local_source
from interp_lab.models.text_models import load_text_model
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Bools, Floats
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import INTERVAL_METHOD, separation

_HALF = 0.5
_SHOWN = 160


def score_prompts(request: ScorePromptsRequest, run: Run, *, settings: Settings) -> ScorePromptsResult:
    """Return how far the classifier agrees with the labels; every score is published as an artifact of the run.

    Raises:
        NotOnThisMachine, NoEntailmentLabel: The classifier is not here, or is none for entailment.
        LabError: whatever is wrong with the prompts or the model's files.
    """
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    source = local_source(request.model, settings)
    index, label = entailment_label(source.directory, request.entailment_label)
    run.progress(0, None, "loading the classifier")
    model = load_text_model(source, "classifier", device=request.model.device)
    hypothesis = request.sentence()
    n = len(prompts.prompts)

    def step(done: int) -> None:
        run.progress(done, n, "reading prompts", "prompts")

    chances, n_cut = entailment(model, prompts.texts(), hypothesis, label=index, step=step)
    run.inputs |= {"prompts": prompts.sha256, "model": model.identity}
    result = _result(request, prompts, chances, n_cut=n_cut, scored_by=model.identity, label=label)
    with run.artifact(SCORES_KIND, f"Model scores of {prompts.name[:100]} by {source.id[:60]}") as files:
        files.write_text(SCORES_FILE, "".join(f"{line}\n" for line in _lines(result, prompts, chances)))
    return result


def _result(
    request: ScorePromptsRequest, prompts: PromptSet, chances: Floats, *, n_cut: int, scored_by: str, label: str
) -> ScorePromptsResult:
    positive = np.array(prompts.positive(request.threshold))
    groups = prompt_groups(prompts)
    auroc, interval = _separated(chances, positive, groups)
    doubtful = tuple(_doubtful(prompts, chances, positive, request.n_doubtful))
    told = "" if auroc is None or interval is None else f", AUROC {auroc:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    n_off = int(np.count_nonzero((chances >= _HALF) != positive))
    return ScorePromptsResult(
        summary=(
            f"The classifier puts {n_off} of {len(positive)} prompts on the other side than their label{told}. "
            f"{WHAT_IT_IS}"
        ),
        warnings=(f"{n_cut} prompts were read only in part: they are too long for the classifier.",) if n_cut else (),
        dataset=prompts.name,
        dataset_sha256=prompts.sha256,
        scored_by=scored_by,
        hypothesis=request.sentence(),
        entailment_label=label,
        n_prompts=len(positive),
        n_groups=len(set(groups)),
        n_cut=n_cut,
        auroc=auroc,
        interval=interval,
        mean_positive=float(chances[positive].mean()),
        mean_negative=float(chances[~positive].mean()),
        doubtful=doubtful,
    )


def _separated(chances: Floats, positive: Bools, groups: list[int]) -> tuple[float | None, Interval | None]:
    try:
        found = separation(chances[:, None], Sample.of(positive, groups))
    except TooFewGroups:
        return None, None
    return float(found.auroc[0]), Interval(low=found.low[0], high=found.high[0], method=INTERVAL_METHOD)


def _doubtful(prompts: PromptSet, chances: Floats, positive: Bools, n: int) -> Iterator[DoubtfulRow]:
    sides: tuple[tuple[Side, Bools], ...] = (("positive", positive), ("negative", ~positive))
    for side, own in sides:
        rows = np.flatnonzero(own)
        worst = rows[np.argsort(chances[rows] if side == "positive" else -chances[rows], kind="stable")][:n]
        for row in worst:
            if (chances[row] >= _HALF) != positive[row]:
                prompt = prompts.prompts[row]
                yield DoubtfulRow(
                    id=prompt.id or "", side=side, model_score=float(chances[row]), text=prompt.text[:_SHOWN]
                )


def _lines(result: ScorePromptsResult, prompts: PromptSet, chances: Floats) -> Iterator[str]:
    """Yield one line for each prompt; every line says what the number is, as files travel without their reports."""
    shared = {"kind": result.kind, "scored_by": result.scored_by, "hypothesis": result.hypothesis}
    for name, chance in zip(prompts.ids(), chances, strict=True):
        yield json.dumps({"prompt_id": name, "model_score": round(float(chance), 6), **shared}, ensure_ascii=False)
