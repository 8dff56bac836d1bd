"""The program that takes several nodes of Ray: it gives signs of life until they come, and ends when one is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.jobs.parts.ray_nodes import Waiting, first_bad
from interp_lab.jobs.parts.record import PartFolder, PartName


class FakeRay:
    """Each look at the tasks finds the end of one, which is its own status, or does something and finds none."""

    def __init__(self, *ends: Any) -> None:
        self._ends = list(ends)

    def wait(self, tasks: list[int], *, timeout: float) -> tuple[list[int], list[int]]:
        del timeout
        end = self._ends.pop(0)
        if callable(end):
            end()
            return [], tasks
        return [end], [task for task in tasks if task != end]

    def get(self, task: int) -> int:
        return task


@pytest.fixture
def part(tmp_path: Path) -> PartFolder:
    part = PartFolder(tmp_path / "parts", PartName(0))
    part.prepare()
    return part


@pytest.mark.parametrize(("ends", "status"), [((0, 75), 75), ((75,), 75), ((0,), 0)])
def test_the_first_status_that_is_bad_is_told_at_once_and_a_good_one_once_all_have_ended(
    part: PartFolder, ends: tuple[int, ...], status: int
) -> None:
    ray = FakeRay(*ends)
    tasks = [0] if status == 0 else [0, 75]
    assert first_bad(Waiting(ray, part, 2), tasks) == status
    assert not ray._ends


def test_signs_of_life_are_given_while_nodes_are_waited_for_and_left_to_the_program_once_it_gives_its_own(
    part: PartFolder,
) -> None:
    pulses: list[str] = []

    def look() -> None:
        pulses.append(part.pulse())

    def program_beats() -> None:
        look()
        part.beat(7)

    waiting = Waiting(FakeRay(look, look, program_beats, look, look, 0), part, 2)
    waiting.first_of([0])
    assert pulses == ["-1", "-2", "-3", "7", "7"]
    assert part.pulse() == "7"
    assert part.progress.read()["message"] == "waiting for 2 nodes that are free at once"
