"""The keys of challenges, in the lab's own folder, where no tool reads: one file a latent, every try kept.

A challenge is scored once; its prompts are never used again for that latent. A score is written here before it is
published, so that whoever is interrupted between the two gets the same score, never a second try at the key.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import make_durable_folder, write_durably
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.errors import ChallengeSpent, UnknownChallenge
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.challenge import Key, Questions

FOLDER = "challenges"
_DIGEST = 16


@dataclass(frozen=True)
class Try:
    """One challenge as it is kept."""

    id: str
    record: dict[str, Any]
    """The explanation, before it was scored."""
    key: Key
    prompts: list[int]
    scored: bool = False
    answer: dict[str, Any] | None = None
    """The explanation with its score, until it is published."""


class Ledger:
    """All challenges of one latent; only inside `open_ledger`."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._digest = digest
        self.tries = [Try(**each) for each in json.loads(path.read_bytes())] if path.exists() else []

    @property
    def used(self) -> list[int]:
        """Prompts of every challenge so far."""
        return sorted({prompt for each in self.tries for prompt in each.prompts})

    @property
    def n_scored(self) -> int:
        """Challenges that were scored."""
        return sum(each.scored for each in self.tries)

    def add(self, record: ExplanationRecord, questions: Questions) -> str:
        """Keep a challenge and return its id."""
        name = self._digest + secrets.token_hex(_DIGEST // 2)
        self.tries.append(Try(name, record.model_dump(mode="json"), questions.key, questions.prompts))
        self._write()
        return name

    def unpublished(self, challenge: str) -> Try:
        """Return a challenge whose score is not published yet; it has an `answer` if its labels were given.

        Raises:
            UnknownChallenge: There is none of that id.
            ChallengeSpent: Its score is published.
        """
        found = next((each for each in self.tries if each.id == challenge), None)
        if found is None:
            raise UnknownChallenge(f"There is no challenge {challenge}.")
        if found.scored and found.answer is None:
            raise ChallengeSpent
        return found

    def spend(self, challenge: str, answer: ExplanationRecord) -> None:
        """Mark a challenge as scored and keep its score until `settle`."""
        self._change(challenge, answer.model_dump(mode="json"))

    def settle(self, challenge: str) -> None:
        """Forget the score of a challenge: it is published."""
        self._change(challenge, None)

    def _change(self, challenge: str, answer: dict[str, Any] | None) -> None:
        self.tries = [
            replace(each, scored=True, answer=answer) if each.id == challenge else each for each in self.tries
        ]
        self._write()

    def _write(self) -> None:
        write_durably(self._path, json.dumps([asdict(each) for each in self.tries]).encode())
        self._path.chmod(0o600)


@contextmanager
def open_ledger(digest: str, settings: Settings) -> Generator[Ledger]:
    """Open the challenges of a latent; another process waits until the block is left."""
    folder = WorkspacePaths.of(settings).root / FOLDER
    make_durable_folder(folder)
    fd = os.open(folder / f"{digest}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield Ledger(folder / f"{digest}.json", digest)
    finally:
        os.close(fd)


def digest_of(challenge: str) -> str:
    """Return which latent's ledger holds a challenge."""
    return challenge[:_DIGEST]
