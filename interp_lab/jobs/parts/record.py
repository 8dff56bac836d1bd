"""One part's folder inside the job's: which try is the current one, how it ended, and what it made."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import Field, JsonValue, NonNegativeInt, ValidationError

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.artifacts.durable import make_durable_folder, write_durably
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobFailure
from interp_lab.errors import JobFilesCorrupt
from interp_lab.jobs.progress_file import ProgressFile

Read = TypeVar("Read", bound=Contract)

LEAD = "lead"
_NAME = re.compile(r"(lead|shard)-(\d{1,3})(-\d{1,6})?")

PartState = Literal["done", "failed", "damaged", "broken", "interrupted", "cancelled"]
"""broken: of several machines that worked on it together, one was lost."""


class PartName(NamedTuple):
    """Which part of a job: the lead of a stage, or one of the shards that it planned."""

    stage: int
    shard: int | None = None

    def __str__(self) -> str:
        return f"{LEAD}-{self.stage}" if self.shard is None else f"shard-{self.stage}-{self.shard:05d}"

    @classmethod
    def parse(cls, text: str) -> PartName:
        """Return the part of that name.

        Raises:
            JobFilesCorrupt: The text is no such name.
        """
        found = _NAME.fullmatch(text)
        if found is None or (found[1] == LEAD) != (found[3] is None):
            raise JobFilesCorrupt(f"{text[:80]!r} is not the name of a part of a job.")
        return cls(int(found[2]), None if found[3] is None else int(found[3][1:]))


class MadeFile(Contract):
    """One file that a shard made."""

    name: str = Field(pattern=r"^[^/]*[^/.][^/]*$")
    sha256: str
    bytes: NonNegativeInt


class StagedArtifact(Contract):
    """An artifact that is complete and waits to be published."""

    folder: str
    """Inside the part's folder."""
    manifest: dict[str, JsonValue]


class Outcome(Contract):
    """How a try at a part ended."""

    number: NonNegativeInt
    """Which try."""
    state: PartState
    host: str = ""
    seconds: float = 0.0
    error: JobFailure | None = None
    result: dict[str, JsonValue] | None = None
    """What the job returns; of the last lead only."""
    payloads: tuple[JsonValue, ...] | None = None
    """The shards that a lead planned."""
    files: tuple[MadeFile, ...] = ()
    """What a shard made."""
    objects: str = Field(default="", pattern=r"^([\w-]+/[\w-]+/[0-9]+)?$")
    """Where in the exchange they are; empty: in the part's folder."""
    artifacts: tuple[StagedArtifact, ...] = ()
    damaged: tuple[str, ...] = ()
    """Shards whose files are not what they were when they were made."""


class Start(Contract):
    """The newest try at a part."""

    number: NonNegativeInt
    handle: str | None = None
    """By which its place knows it; absent until the place has answered."""
    deaths: NonNegativeInt = 0
    """Tries that ended without a word."""
    fruitless: NonNegativeInt = 0
    """Tries in a row that were asked to end before they got further than those before."""
    reached: dict[str, float] = Field(default_factory=dict[str, float])
    """How far the farthest try had come when it was asked to end, by what its steps are counted in."""


class PartFolder:
    """The files of one part."""

    def __init__(self, parts: Path, name: PartName) -> None:
        self.name = name
        self.path = parts / str(name)
        self.output = self.path / "out"
        self.checkpoint = self.path / "ckpt"
        self.log = self.path / "log.txt"
        self._outcome = self.path / "outcome.json"
        self._start = self.path / "start.json"
        self.progress = ProgressFile(self.path / "progress.json")
        self._alive = self.path / "alive"

    def prepare(self) -> None:
        """Create the folder."""
        for folder in (self.path.parent, self.path):
            make_durable_folder(folder)

    def staging(self, number: int) -> Path:
        """Return where a try writes its artifacts."""
        return self.path / f"staged-{number}"

    def read_start(self) -> Start:
        """Return the newest try, number 0 before the first."""
        return _read(self._start, Start) or Start(number=0)

    def write_start(self, start: Start) -> None:
        """Name the newest try; from here on an older one has nothing to say."""
        write_durably(self._start, canonical_json(start.model_dump(mode="json")))

    def read_outcome(self) -> Outcome | None:
        """Return how the part ended, or None before that or where the file is damaged."""
        return _read(self._outcome, Outcome)

    def write_outcome(self, outcome: Outcome) -> None:
        """Say how a try ended."""
        write_durably(self._outcome, canonical_json(outcome.model_dump(mode="json")))

    def forget(self) -> None:
        """Let the part be done again from its last checkpoint."""
        self._outcome.unlink(missing_ok=True)
        shutil.rmtree(self.output, ignore_errors=True)

    def beat(self, count: int) -> None:
        """Leave a sign of life, different from the one before."""
        with suppress(OSError):
            self._alive.write_text(str(count))

    def pulse(self) -> str:
        """Return the last sign of life."""
        with suppress(OSError):
            return self._alive.read_text()
        return ""

    def made(self) -> tuple[MadeFile, ...]:
        """Return the files in the output folder with their hashes, by name."""
        found = sorted(path for path in self.output.iterdir() if path.is_file()) if self.output.is_dir() else []
        return tuple(
            MadeFile(name=path.name, sha256=digest, bytes=size) for path in found for digest, size in [hash_file(path)]
        )

    def is_whole(self) -> bool:
        """Return whether every file that the part made is still what it was."""
        outcome = self.read_outcome()
        return outcome is not None and outcome.state == "done" and self.made() == outcome.files


def _read(path: Path, kind: type[Read]) -> Read | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
