# pyright: standard
"""Outcomes kept prompt by prompt, so that work that was cut off goes on where it was, to the same last bit.

One file per sweep. Its first line names everything that decides the numbers; outcomes of any other question are never
read, so that a sweep cannot be put together from two. A line that was being written when the process ended is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import write_durably
from interp_lab.engine.intervention.run import Outcome

SYNC_EVERY = 16
"""Outcomes after which what was written is made durable."""


@dataclass(frozen=True)
class Kept:
    """The outcomes of one sweep."""

    path: Path
    key: str

    @classmethod
    def of(cls, path: Path, question: Any) -> Kept:
        """Return the outcomes kept at a path for a question, which is everything that decides the numbers."""
        return cls(path, sha256_hex(canonical_json(question)))

    def read(self) -> Iterator[Outcome]:
        """Yield what is there of this question, as it was written."""
        lines = self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []
        if not lines or lines[0] != self.key.encode():
            return
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except ValueError:
                return  # from here on the file is not what was written
            yield _outcome(row)

    def add_all(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Yield each outcome after it was kept; what stood there of another question is replaced."""
        whole = b"".join([self.key.encode() + b"\n", *map(_line, self.read())])
        write_durably(self.path, whole)
        with self.path.open("ab") as file:
            for number, outcome in enumerate(outcomes):
                file.write(_line(outcome))
                if number % SYNC_EVERY == 0:
                    file.flush()
                    os.fsync(file.fileno())
                yield outcome


def _line(outcome: Outcome) -> bytes:
    row = {
        "prompt": outcome.prompt,
        "base": outcome.base.tolist(),
        "edited": outcome.edited.tolist(),
        "dose": outcome.dose.tolist(),
        "size": outcome.size.tolist(),
    }
    return json.dumps(row).encode() + b"\n"


def _outcome(row: dict[str, Any]) -> Outcome:
    base, edited = (torch.tensor(row[name], dtype=torch.float64) for name in ("base", "edited"))
    dose, size = (torch.tensor(row[name], dtype=torch.float32) for name in ("dose", "size"))
    return Outcome(row["prompt"], base, edited.reshape(-1, len(base)), dose, size)
