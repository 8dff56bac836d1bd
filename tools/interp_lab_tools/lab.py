"""What an inline handler works with: the settings and the job engine of one workspace."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from interp_lab.jobs.engine import JobEngine
from interp_lab.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One open workspace."""

    settings: Settings
    engine: JobEngine
    toolsets: frozenset[str] = frozenset({"core"})
    """Toolsets that this server offers."""
    read_only: bool = False
    """Whether this server offers only what changes nothing."""
    opened_at: float = field(default_factory=time.monotonic)

    @classmethod
    def open(
        cls, settings: Settings, toolsets: frozenset[str] = frozenset({"core"}), *, read_only: bool = False
    ) -> Lab:
        """Return the lab of the workspace in settings, its catalogue opened and migrated.

        Raises:
            WorkspaceUnusable: the workspace cannot hold a catalogue.
        """
        return cls(settings=settings, engine=JobEngine(settings), toolsets=toolsets, read_only=read_only)

    def close(self) -> None:
        """Close the catalogue; jobs go on."""
        self.engine.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
