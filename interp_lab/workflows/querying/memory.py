"""The last few answers, so that the next page of one is shown and not worked out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import NamedTuple

from interp_lab.contracts.query import QueryRequest
from interp_lab.workflows.querying.answer import Answer
from interp_lab.workflows.querying.view import StoreView

_KEPT_ANSWERS = 4

OpenNamed = Callable[[str], StoreView]


class _Kept(NamedTuple):
    answer: Answer
    made_from: Mapping[str, StoreView]
    """The stores that were opened for it, by the name they were asked for."""

    def holds(self, open_named: OpenNamed) -> bool:
        """Return whether each of those names still stands for the very same open store."""
        return all(open_named(name) is view for name, view in self.made_from.items())


class Answers:
    """Answers by request, the least recently used forgotten first. What a page may choose is no part of the key."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def answer(
        self, request: QueryRequest, open_named: OpenNamed, work_out: Callable[[QueryRequest, OpenNamed], Answer]
    ) -> Answer:
        """Return the answer that is kept, or a new one; an answer to a store that has changed since is never given."""
        key = request.model_dump_json(exclude={"cursor", "plot"})
        with self._lock:
            kept = self._kept.pop(key, None)
        if kept is None or not kept.holds(open_named):
            kept = _worked_out(request, open_named, work_out)
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > _KEPT_ANSWERS:
                self._kept.pop(next(iter(self._kept)))
        return kept.answer


def _worked_out(
    request: QueryRequest, open_named: OpenNamed, work_out: Callable[[QueryRequest, OpenNamed], Answer]
) -> _Kept:
    opened: dict[str, StoreView] = {}

    def noted(name: str) -> StoreView:
        opened[name] = open_named(name)
        return opened[name]

    return _Kept(work_out(request, noted), opened)
