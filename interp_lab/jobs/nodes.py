"""One machine of several that do one piece of work: which of them this is, and what the first tells the others."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.artifacts.durable import replace_quickly
from interp_lab.contracts.base import Contract
from interp_lab.errors import InvalidSetting

INDEX = "INTERP_LAB_NODE"
"""Variable with the number of this machine among those that work together, from 0."""
GROUP = "INTERP_LAB_NODE_GROUP"
"""Variable with the name of this start of all of them; no other start has it."""
ADDRESS = "INTERP_LAB_NODE_ADDRESS"
"""Variable with the address by which the others reach the first of them."""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of several, as the place that started them names it."""

    index: int
    group: str
    address: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Node | None:
        """Return which of several machines this is, or None where work is not spread over several.

        Raises:
            InvalidSetting: The variables are there and do not say it.
        """
        env = os.environ if environ is None else environ
        if (index := env.get(INDEX)) is None:
            return None
        group, address = env.get(GROUP, ""), env.get(ADDRESS, "")
        if not (index.isascii() and index.isdigit() and re.fullmatch(r"[\w.-]{1,100}", group) and address):
            raise InvalidSetting(f"{INDEX}, {GROUP} and {ADDRESS} do not say which of several machines this is.")
        return cls(int(index), group, address)


class Meeting(Contract):
    """Where the processes of several machines find each other, and what each machine starts."""

    host: str
    port: int = Field(ge=1, le=65535)
    nodes: int = Field(ge=2)
    module: str
    arguments: tuple[str, ...]
    n: int = Field(ge=1)
    """Processes on each machine."""


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


class MeetingPlace:
    """Files by which the machines of one start hear of each other, beside what their processes leave."""

    def __init__(self, folder: Path, group: str) -> None:
        self._meeting = folder / f"meeting-{group}.json"
        self._asked = folder / f"asked-{group}"

    def call(self, meeting: Meeting) -> None:
        """Let the others come."""
        replace_quickly(self._meeting, canonical_json(meeting.model_dump(mode="json")))

    def read(self) -> Meeting | None:
        """Return where to come and what to start, or None as long as the first has not said it."""
        with suppress(OSError, ValidationError):
            return Meeting.model_validate_json(self._meeting.read_bytes())
        return None

    def ask_to_end(self) -> None:
        """Tell the first machine that this one is asked to end, so that the work is kept before it goes."""
        with suppress(OSError):
            self._asked.touch()

    def is_asked_to_end(self) -> bool:
        """Return whether a machine was asked to end."""
        return self._asked.exists()
