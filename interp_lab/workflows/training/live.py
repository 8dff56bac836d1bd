"""The page that shows a training while it runs: its curves so far, written anew as measurements come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from interp_lab.contracts.train_sae import StreamSource, TrainSaeRequest
from interp_lab.errors import DiskFull
from interp_lab.jobs.run import Run
from interp_lab.reports.training import LiveView, render_live
from interp_lab.workflows.training.state import Line

EVERY_S: Final = 3.0
"""Seconds between two pages, at least."""
_WHERE: Final = 120
"""Characters of the places in a title."""
_SHARE: Final = 0.01
"""Of the time, what drawing may take at most."""


class LivePage:
    """Follows the measurements of a run and shows them; the last page says how the training ended."""

    def __init__(self, request: TrainSaeRequest, run: Run, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._request = request
        self._run = run
        self._clock = clock
        self._lines: dict[int, dict[str, float]] = {}
        self._due = 0.0
        self._what = f"{request.architecture} {request.kind}"
        if isinstance(request.source, StreamSource):
            self.name((request.source.model.id,), tuple(map(str, request.addresses)))

    def __enter__(self) -> Self:
        self._run.on_record = self.add
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.on_record = None
        self._show("finished" if kind is None else f"stopped ({kind.__name__})")

    def name(self, models: Sequence[str | None], places: Sequence[str]) -> None:
        """Say in the title what is trained on: models where they are known, and places."""
        known = " and ".join(dict.fromkeys(filter(None, models)))
        where = ", ".join(dict.fromkeys(places))[:_WHERE]
        title = f"{self._request.architecture} {self._request.kind}"
        self._what = title + (f" of {known}" if known else "") + (f" at {where}" if where else "")

    def take(self, lines: Sequence[Line]) -> None:
        """Begin with the measurements of an earlier attempt."""
        self._lines = {int(line["step"]): dict(line) for line in lines} | self._lines

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take one line of measurements; of a step that is done again the last ones count."""
        self._lines.setdefault(step, {"step": step}).update(values)
        if self._clock() >= self._due:
            self._show("training")

    def _show(self, state: str) -> None:
        began = self._clock()
        lines = [values for _, values in sorted(self._lines.items())]
        total = max(self._request.training.total_tokens, 1)
        view = LiveView(self._what, state, total, datetime.now(UTC), self._run.job_id)
        with suppress(OSError, DiskFull):  # a page that cannot be written neither ends a training nor hides its end
            self._run.show(render_live(view, lines))
        now = self._clock()
        self._due = now + max(EVERY_S, (now - began) / _SHARE)
