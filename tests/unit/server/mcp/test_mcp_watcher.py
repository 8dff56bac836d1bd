from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from interp_lab.contracts.jobs import JobProgress
from interp_lab.errors import CatalogBusy
from interp_lab_server.watcher import Watcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Engine:
    """Jobs as the watcher sees them."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, float]] = {}
        self.ticks = 0
        self.broken = 0

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks <= self.broken:
            raise CatalogBusy

    def list_jobs(self, *, limit: int) -> Any:
        final = {"succeeded", "failed", "cancelled"}
        items = [SimpleNamespace(id=i, state=state, final=state in final) for i, (state, _) in self.jobs.items()]
        return SimpleNamespace(items=items[:limit])

    def progress(self, job_id: str) -> JobProgress:
        return JobProgress(done=self.jobs[job_id][1])


class Heard:
    """Subscriptions that write down what they are told."""

    def __init__(self) -> None:
        self.updates: list[str] = []
        self.lists = 0

    async def updated(self, uri: str) -> None:
        self.updates.append(uri[-1])

    async def listed(self) -> None:
        self.lists += 1


async def test_every_change_of_a_job_is_told_once() -> None:
    engine, heard = Engine(), Heard()
    watcher = Watcher(SimpleNamespace(engine=engine), heard)  # type: ignore[arg-type]
    steps = [{}, {"a": ("queued", 0)}, {"a": ("running", 0)}, {"a": ("running", 1)}, {"a": ("running", 1)}]
    for jobs in steps:
        engine.jobs = jobs
        await watcher.look()
    assert heard.updates == ["a", "a", "a"]
    assert heard.lists == 0


async def test_a_job_that_succeeds_changes_the_list_of_resources() -> None:
    engine, heard = Engine(), Heard()
    watcher = Watcher(SimpleNamespace(engine=engine), heard)  # type: ignore[arg-type]
    for state in ("running", "succeeded", "succeeded"):
        engine.jobs = {"a": (state, 0)}
        await watcher.look()
    assert heard.lists == 1


async def test_jobs_that_were_there_before_the_server_are_no_news() -> None:
    engine, heard = Engine(), Heard()
    engine.jobs = {"a": ("running", 0), "b": ("succeeded", 0)}
    await Watcher(SimpleNamespace(engine=engine), heard).look()  # type: ignore[arg-type]
    assert heard.updates == []


async def test_a_catalogue_that_is_busy_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_lab_server.watcher.PERIOD_S", 0.001)
    engine = Engine()
    engine.broken = 2
    with anyio.fail_after(600):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Watcher(SimpleNamespace(engine=engine), Heard()).run)  # type: ignore[arg-type]
            while engine.ticks < 4:
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
    assert engine.ticks >= 4
