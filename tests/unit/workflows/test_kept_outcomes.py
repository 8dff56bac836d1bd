"""Outcomes that were kept are the same when they are read again, and those of another question are never read."""

from __future__ import annotations

from pathlib import Path

import torch

from interp_lab.engine.intervention.run import Outcome
from interp_lab.workflows.intervening.kept import Kept


def outcome(prompt: int) -> Outcome:
    draw = torch.Generator().manual_seed(prompt)
    edited = torch.randn(3, 2, generator=draw, dtype=torch.float64)
    return Outcome(prompt, edited[0] / 3, edited, *torch.randn(2, 3, generator=draw))


def same(a: Outcome, b: Outcome) -> bool:
    parts = (a.base, b.base), (a.edited, b.edited), (a.dose, b.dose), (a.size, b.size)
    return a.prompt == b.prompt and all(torch.equal(one, other) for one, other in parts)


def test_what_was_kept_comes_back_bit_by_bit_and_is_added_to(tmp_path: Path) -> None:
    kept = Kept.of(tmp_path / "a.jsonl", {"criterion": "x"})
    assert [one.prompt for one in kept.add_all(iter([outcome(4), outcome(2)]))] == [4, 2]
    assert [one.prompt for one in kept.add_all(iter([outcome(7)]))] == [7]
    assert all(same(one, outcome(n)) for one, n in zip(kept.read(), (4, 2, 7), strict=True))


def test_outcomes_of_another_criterion_are_never_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    list(Kept.of(path, {"criterion": "x"}).add_all(iter([outcome(1)])))
    other = Kept.of(path, {"criterion": "y"})
    assert list(other.read()) == []
    list(other.add_all(iter([outcome(3)])))
    assert [one.prompt for one in other.read()] == [3]
    assert list(Kept.of(path, {"criterion": "x"}).read()) == []


def test_a_line_that_was_being_written_is_not_read(tmp_path: Path) -> None:
    kept = Kept.of(tmp_path / "a.jsonl", 1)
    list(kept.add_all(iter([outcome(1), outcome(2)])))
    kept.path.write_bytes(kept.path.read_bytes()[:-30])
    assert [one.prompt for one in kept.read()] == [1]
    list(kept.add_all(iter([outcome(5)])))
    assert [one.prompt for one in kept.read()] == [1, 5]
