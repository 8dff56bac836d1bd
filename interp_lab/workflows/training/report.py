"""What a training run says: one row per dictionary with its flags, the caveats in words, and the published record."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from interp_lab.contracts.train_sae import REPORT_KIND, Flag, TrainedDictionary, TrainingReport, TrainSaeRequest
from interp_lab.jobs.run import Run
from interp_lab.reports.training import dead_words, render_training, render_training_markdown
from interp_lab.workflows.training.plan import Planned
from interp_lab.workflows.training.state import DictionaryState, Line

DEAD: Final = 0.1
POOR: Final = 0.5
IMPROVING: Final = 0.05
FEW_PER_LATENT: Final = 100
OFF_TARGET: Final = 0.25

_TITLE = 200
"""Characters of a title."""
_WORDS: Final[dict[Flag, str]] = {
    "many_dead_latents": f"over {DEAD:.0%} of the latents did not fire in the last window of training",
    "poor_reconstruction": f"over {POOR:.0%} of the variance is unexplained on held-out prompts",
    "still_improving": f"the held-out FVU still fell by over {IMPROVING:.0%} between the last two evaluations",
    "few_tokens": f"it saw under {FEW_PER_LATENT} tokens per latent",
    "off_target_sparsity": f"its held-out L0 is over {OFF_TARGET:.0%} away from k",
    "stopped_early": "it stopped before its time because it no longer improved",
}


def flags(row: TrainedDictionary, planned: Planned, state: DictionaryState) -> tuple[Flag, ...]:
    """Return what a careful user of a dictionary must know."""
    k = planned.config.k
    found: dict[Flag, bool] = {
        "many_dead_latents": row.dead_fraction is not None and row.dead_fraction > DEAD,
        "poor_reconstruction": row.fvu > POOR,
        "still_improving": _improving(state),
        "few_tokens": row.tokens < FEW_PER_LATENT * row.n_latents,
        "off_target_sparsity": k is not None and abs(row.l0 - k) > OFF_TARGET * k,
        "stopped_early": state.done,
    }
    return tuple(flag for flag, holds in found.items() if holds)


def _improving(state: DictionaryState) -> bool:
    if len(state.evaluations) < 2:
        return False
    (_, before), (_, last) = state.evaluations[-2:]
    return before > 0 and last < before * (1 - IMPROVING)


def caveats(rows: Sequence[TrainedDictionary]) -> tuple[str, ...]:
    """Return every flag in words, with the dictionaries that it is of."""
    owners: defaultdict[Flag, list[str]] = defaultdict(list)
    for row in rows:
        for flag in row.flags:
            owners[flag].append(row.name)
    lines = [f"{_whose(names, len(rows))}: {_WORDS[flag]}." for flag, names in owners.items()]
    return (*lines, "Reconstruction says nothing about what the latents mean or whether the model uses them.")


def _whose(names: Sequence[str], n_rows: int) -> str:
    if len(names) == n_rows:
        return "The dictionary" if n_rows == 1 else f"All {n_rows} dictionaries"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def headline(rows: Sequence[TrainedDictionary]) -> str:
    """Return one sentence that is true when quoted alone."""
    best = min(rows, key=lambda row: row.fvu)
    low, high = best.fvu_interval
    which = "" if len(rows) == 1 else f"Of {len(rows)} dictionaries, "
    but = "; " + _WORDS[best.flags[0]] if best.flags else ""
    text = (
        f"{which}{best.name} leaves {best.fvu:.1%} of the variance of {best.n_held_out:,} held-out tokens unexplained "
        f"(95 % {max(low, 0):.1%} to {high:.1%}, {best.n_held_out_groups} prompt groups) with L0 {best.l0:.1f}{but}."
    )
    return text if len(rows) == 1 else text.replace("leaves", "leaves least,", 1)


def dead_unknown(report: TrainingReport) -> str:
    """Return the part of a summary that says that the share of dead latents is not known; empty if it is."""
    if all(row.dead_fraction is not None for row in report.dictionaries):
        return ""
    return f"dead latents {dead_words(report)}; "


def publish(report: TrainingReport, lines: Sequence[Line], run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and every kept row of measurements."""
    title = f"Training of {', '.join(row.name for row in report.dictionaries)}"
    with run.artifact(REPORT_KIND, title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_training_markdown(report))
        files.write_text("report.html", render_training(report, lines))
        files.write_text("metrics.jsonl", "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
        files.metrics["n_dictionaries"] = len(report.dictionaries)
        files.warnings += report.caveats


def request_record(request: TrainSaeRequest) -> dict[str, JsonValue]:
    """Return what was asked, presets filled in."""
    return request.model_dump(mode="json", exclude={"dry_run", "wait_s", "request_key"})
