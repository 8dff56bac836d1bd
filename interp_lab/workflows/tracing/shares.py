# pyright: standard
"""What prompts gave, kept prompt by prompt where several processes share them, so that one can put it together.

Numbers are kept with every bit, and each file names the question that it answers: what answers another is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.jobs.run import Run
from interp_lab.workflows.tracing.context import Context

SUFFIX = ".safetensors"
_NAMED = 16
"""Digits of the question's hash in the name of a file."""
Stage = Literal["screen", "drawn", "margin", "edits"]
Compute = Callable[[int], Mapping[str, Tensor]]


class ShareDone(Exception):
    """The part of the work that other processes wait for is done."""


class Share(NamedTuple):
    """One process's part of the prompts of one stage: every so-manyth."""

    place: int
    n_shards: int
    stage: Stage


@dataclass(frozen=True)
class Passes:
    """The passes of one stage over prompts."""

    stage: Stage
    folder: Path
    question: str
    keeps: bool
    """Whether what prompts give is kept: several processes share them."""

    @classmethod
    def of(cls, context: Context, stage: Stage, asked: Any) -> Passes:
        """Return the passes of a run; `asked` is what decides the numbers besides the request and what was read."""
        run, request = context.run, context.request
        question = {
            "request": request.model_dump(mode="json", exclude=set(RUN_CONTROLS)),
            "code": run.code_version,
            "inputs": context.inputs.provenance(),
            "words": None if context.chosen is None else [context.chosen.targets, context.chosen.alternatives],
            "asked": asked,
        }
        return cls(stage, run.checkpoint_dir, sha256_hex(canonical_json(question)), request.shards > 1)

    def over(
        self, prompts: Sequence[int], compute: Compute, run: Run, share: Share | None, *, what: str
    ) -> Iterator[Mapping[str, Tensor]]:
        """Yield what each prompt gives; with a share of this stage, keep that of its prompts and yield nothing.

        Raises:
            ShareDone: The prompts of the share have been run.
        """
        mine = share if share is not None and share.stage == self.stage else None
        chosen = prompts if mine is None else prompts[mine.place :: mine.n_shards]
        for done, prompt in enumerate(chosen):
            run.progress(done, len(chosen), what, "prompts")
            found = self._kept(prompt)
            if found is None:
                found = compute(prompt)
                if mine is not None:
                    self._keep(prompt, found)
            if mine is None:
                yield found
        if mine is not None:
            raise ShareDone

    def _path(self, prompt: int) -> Path:
        return self.folder / f"{self.stage}-{self.question[:_NAMED]}-{prompt:06}{SUFFIX}"  # never another's file

    def _kept(self, prompt: int) -> Mapping[str, Tensor] | None:
        if not self.keeps or not self._path(prompt).exists():
            return None
        try:
            with safe_open(self._path(prompt), framework="pt") as file:
                if (file.metadata() or {}).get("question") != self.question:
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        except (SafetensorError, OSError):
            return None

    def _keep(self, prompt: int, found: Mapping[str, Tensor]) -> None:
        tensors = {name: tensor.contiguous() for name, tensor in found.items()}
        write_durably(self._path(prompt), save(tensors, metadata={"question": self.question}))
