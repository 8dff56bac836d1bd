from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import RECIPES, VOCABULARY
from interp_lab.pocket.scoring import induction, random_repeats
from interp_lab.pocket.tasks import TASKS, Task, items


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_questions_are_distinct_repeatable_and_have_one_right_answer(task: Task) -> None:
    asked = items(task, 60, seed=5)
    assert asked == items(task, 60, seed=5)
    assert len({item.prompt for item in asked}) == 60
    assert all(len(set(item.options)) == len(item.options) for item in asked)
    assert all(1 / len(item.options) == pytest.approx(task.chance) for item in asked)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_fixed_answer_wins_more_than_its_share(task: Task) -> None:
    rights = Counter(item.options[0] for item in items(task, 200, seed=5))
    assert rights.most_common(1)[0][1] < 0.65 * 200


def test_questions_are_asked_in_sentences_that_training_text_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Split] = []
    write = Writer.sentence

    def noting(self: Writer, fill: object) -> str:
        used.append(self.split)
        return write(self, fill)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Writer, "sentence", noting)
    for task in TASKS:
        items(task, 3, seed=1)
    assert set(used) == {Split.HELDOUT}


def test_the_attractor_has_the_other_number() -> None:
    task = next(task for task in TASKS if task.name == "place")
    for item in items(task, 80, seed=2):
        assert item.options[0].strip() in {"is", "are", "was", "were"}
        assert {option.strip() for option in item.options} in ({"is", "are"}, {"was", "were"})


def test_repeated_random_tokens_repeat_and_hold_no_special_token() -> None:
    ids = random_repeats(50, sequences=4, length=8, seed=1)
    assert np.array_equal(ids[:, 1:9], ids[:, 9:])
    assert ids[:, 1:].min() > 2
    assert len(np.unique(ids[:, 1:9])) > 8


@pytest.mark.parametrize("name", list(RECIPES))
def test_an_untrained_model_has_no_induction(name: str) -> None:
    found = induction(build(RECIPES[name]).eval(), random_repeats(VOCABULARY, sequences=4, length=32, seed=9))
    assert abs(found.first_half - found.second_half) < 0.2
    assert found.heads[0][2] < 0.1
