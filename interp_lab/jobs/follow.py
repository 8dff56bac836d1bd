"""What a machine that is not the first of several does: its share of the processes, for as long as the first works.

It writes no outcome and keeps no checkpoint. How it ends tells the place that started it, which then ends the others.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from interp_lab.jobs import torchrun
from interp_lab.jobs.nodes import Meeting, MeetingPlace, Node

_LOOK_S = 0.1
_WORD_S = 90.0
"""How long word that the first machine's work has ended may be on its way when processes here end with it."""
EXIT_OK = 0
EXIT_LOST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """One further machine of a start."""

    node: Node
    place: MeetingPlace
    over: Callable[[], bool]
    """() → whether the first machine's work has ended, however it did, or has been given up."""
    grace_s: float
    """Seconds between asking its processes to end and killing them."""

    def work(self) -> int:
        """Return the exit status: not 0 if a process here was lost before the work was over.

        Being asked to end is told to the first machine, which keeps the work and ends first; where it does not, whoever
        asked kills.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, self._on_signal)
        while (meeting := self.place.read()) is None:
            if self.over():
                return EXIT_OK
            time.sleep(_LOOK_S)
        return self._share(meeting)

    def _share(self, meeting: Meeting) -> int:
        process = torchrun.start_with_others(meeting, self.node.index)
        try:
            while process.poll() is None and not self.over():
                time.sleep(_LOOK_S)
        finally:
            torchrun.end(process, self.grace_s)
            torchrun.bury()
        return EXIT_OK if process.returncode == 0 or self._comes_to_be_over() else EXIT_LOST

    def _comes_to_be_over(self) -> bool:
        """Return whether the first machine says that its work has ended: processes break when those of another do."""
        deadline = time.monotonic() + _WORD_S
        while not (over := self.over()) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        return over

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.place.ask_to_end()
