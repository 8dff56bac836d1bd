"""A later page comes from the answer that was worked out for the first, and never from that of another question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from interp_lab.contracts.query import QueryRequest
from interp_lab.workflows.querying.answer import Answer
from interp_lab.workflows.querying.memory import Answers, OpenNamed
from interp_lab.workflows.querying.rows import RowSet
from interp_lab.workflows.querying.view import StoreView

OVERVIEW: dict[str, Any] = {"store": "s", "query": {"kind": "overview"}}


@dataclass
class Bench:
    """Answers that count how often they were worked out, over stores that are named and nothing else."""

    answers: Answers = field(default_factory=Answers)
    stores: dict[str, StoreView] = field(default_factory=dict[str, StoreView])
    n_worked_out: int = 0

    def open(self, name: str) -> StoreView:
        return self.stores.setdefault(name, StoreView(cast("Any", None), name))

    def ask(self, **request: Any) -> Answer:
        return self.answers.answer(QueryRequest.model_validate({**OVERVIEW, **request}), self.open, self._work_out)

    def _work_out(self, request: QueryRequest, open_named: OpenNamed) -> Answer:
        self.n_worked_out += 1
        rows = RowSet(open_named(request.store), np.arange(0), 0)
        open_named("other")
        return Answer(rows=rows, headers=(), total=0, make=lambda _start, _stop: (), summary=f"{self.n_worked_out}")


def test_a_later_page_and_a_figure_are_of_the_answer_that_is_kept() -> None:
    bench = Bench()
    assert bench.ask() is bench.ask(cursor="20.0123456789abcdef") is bench.ask(plot="png")
    assert bench.n_worked_out == 1


@pytest.mark.parametrize(
    "changed", [{"store": "t"}, {"seed": 1}, {"sample_rows": 1000}, {"limit": 7}, {"query": {"kind": "search"}}]
)
def test_another_question_gets_another_answer(changed: dict[str, Any]) -> None:
    bench = Bench()
    assert bench.ask() is not bench.ask(**changed)
    assert bench.n_worked_out == 2


@pytest.mark.parametrize("name", ["s", "other"])
def test_an_answer_is_not_given_once_any_of_its_stores_is_another(name: str) -> None:
    bench = Bench()
    bench.ask()
    del bench.stores[name]
    bench.ask()
    assert bench.n_worked_out == 2


def test_only_the_last_few_answers_are_kept() -> None:
    bench = Bench()
    for seed in (0, 1, 0, 2, 3, 4, 0):
        bench.ask(seed=seed)
    assert bench.n_worked_out == 5
    bench.ask(seed=1)
    assert bench.n_worked_out == 6
