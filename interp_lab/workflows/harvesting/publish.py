# pyright: standard
"""The end of a harvest: the store becomes an artifact, its measured speed a record, and the answer a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.harvest import HarvestedColumn, HarvestResult
from interp_lab.contracts.store import STORE_KIND, StoreManifest
from interp_lab.jobs.run import Run
from interp_lab.models.rates import Rate, macs_per_token, record_rate
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.store.locate import publish_store
from interp_lab.workflows.harvesting.cost import deepest, device_key
from interp_lab.workflows.harvesting.decisions import Decisions
from interp_lab.workflows.harvesting.inputs import Inputs

LEAST_MEASURED_TOKENS = 512
"""Fewer tokens say nothing about speed."""


@dataclass(slots=True)
class Tally:
    """What was done by this attempt."""

    cut: set[int] = field(default_factory=set[int])
    """Documents longer than the context."""
    n_read: int = 0
    seconds: float = 0.0
    halved: int = 0

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens through the model per second; None where too few were read to tell."""
        return round(self.n_read / self.seconds, 1) if self.n_read >= LEAST_MEASURED_TOKENS and self.seconds else None


def publish(folder: Path, manifest: StoreManifest, run: Run) -> None:
    """Publish the files of a finished store as an artifact of the run; the checkpoint keeps them too."""
    with run.artifact(STORE_KIND, manifest.title) as writer:
        publish_store(folder, writer)
        writer.metrics |= {"n_rows": manifest.n_rows, "n_prompts": manifest.n_prompts, "n_groups": manifest.n_groups}


def remember_rate(inputs: Inputs, tally: Tally, run: Run, settings: Settings) -> None:
    """Keep how fast this model ran here, for the plans of later requests."""
    if inputs.request.decoder is not None:
        return  # its arithmetic is that of two texts, and no plan is made from it
    depth = deepest(inputs.captured, inputs.loaded.facts.n_layers)
    macs = macs_per_token(inputs.loaded.facts, depth)
    root = WorkspacePaths.of(settings).root
    if tally.tokens_per_s is None or not macs or not root.is_dir():
        return
    device = device_key(
        inputs.loaded.device.type, str(inputs.loaded.dtype).removeprefix("torch."), torch.get_num_threads()
    )
    rate = Rate(
        model=inputs.loaded.source.id,
        device=device,
        macs_per_s=tally.tokens_per_s * macs,
        n_tokens=tally.n_read,
        measured_at=datetime.now(UTC),
        job_id=run.job_id,
    )
    with suppress(OSError):
        record_rate(root, fingerprint(inputs.request.model, settings), rate)


def result(inputs: Inputs, decided: Decisions, manifest: StoreManifest, tally: Tally) -> HarvestResult:
    """Return the short answer."""
    n_bytes = sum(file.bytes for file in manifest.files)
    where = ", ".join(column.key for column in manifest.columns[:4])
    more = f" and {len(manifest.columns) - 4} more" if len(manifest.columns) > 4 else ""
    read = "decoder tokens" if inputs.request.decoder is not None else "tokens"
    summary = (
        f"{manifest.n_rows} {read} of {manifest.n_prompts} documents ({manifest.n_groups} independent groups) through "
        f"{inputs.loaded.source.id}: activations at {where}{more}; nothing about their meaning was tested."
    )
    return HarvestResult(
        summary=summary,
        warnings=tuple(_warnings(inputs, tally)),
        model=inputs.loaded.source.id,
        dataset=inputs.corpus.name,
        n_documents=manifest.n_prompts,
        n_cut=len(tally.cut),
        n_rows=manifest.n_rows,
        n_groups=manifest.n_groups,
        columns=tuple(
            HarvestedColumn(key=column.key, width=column.width, dtype=column.dtype) for column in manifest.columns
        ),
        metrics=tuple(metric.name for metric in manifest.metrics),
        labels=tuple(label.name for label in manifest.labels),
        bytes=n_bytes,
        tokens_per_s=tally.tokens_per_s,
        layout=decided.packing,
    )


def _warnings(inputs: Inputs, tally: Tally) -> Sequence[str]:
    found: list[str] = []
    if inputs.corpus.n_blank:
        found.append(f"{inputs.corpus.n_blank} rows without visible text were left out.")
    if tally.cut:
        found.append(f"{len(tally.cut)} documents are longer than the context: {inputs.rule.in_words()}.")
    if tally.halved:
        found.append(f"{tally.halved} passes ran out of memory and were done in halves; set token_budget lower.")
    if "too much text" in inputs.grouping.rule:
        found.append(f"Independent groups are {inputs.grouping.rule}.")
    return found
