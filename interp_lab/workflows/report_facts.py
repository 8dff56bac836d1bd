"""What every report says of the prompts that it read and of the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from interp_lab.contracts.inspect_report import DatasetFacts, RunFacts
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.evidence.split import Split
from interp_lab.jobs.run import Run, package_versions
from interp_lab.statistics.sample import Sample


class ReadPrompts(Protocol):
    """A prompt set that was read."""

    @property
    def prompts(self) -> PromptSet:
        """The set."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of all of its prompts."""
        ...


class Halves(Protocol):
    """Labels and groups of prompts, and their halves."""

    @property
    def sample(self) -> Sample:
        """Labels and groups."""
        ...

    @property
    def split(self) -> Split:
        """Which prompts explore and which confirm."""
        ...


def dataset_facts(read: ReadPrompts, design: Halves) -> DatasetFacts:
    """Return the facts of a prompt set, its labels and its halves."""
    return DatasetFacts(
        name=read.prompts.name,
        sha256=read.prompts.sha256,
        n_prompts=design.sample.n_rows,
        n_positive=design.sample.n_positive,
        n_negative=design.sample.n_negative,
        n_groups=design.sample.n_groups,
        n_tokens=read.n_tokens,
        n_explore=len(design.split.rows("explore")),
        n_confirm=len(design.split.rows("confirm")),
    )


def run_facts(run: Run, *, seed: int, checks: Mapping[str, str]) -> RunFacts:
    """Return the facts of a run up to now; `checks` are self-checks and what they found."""
    return RunFacts(
        job_id=run.job_id,
        code_version=run.code_version,
        packages=package_versions(),
        seed=seed,
        started_at=run.started,
        seconds=round((datetime.now(UTC) - run.started).total_seconds(), 2),
        checks=dict(checks),
    )
