"""After a refusal that guards a claim: the missing evidence first, then the call without the guard, named as such."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from interp_lab.errors import UnknownArtifact
from interp_lab.jobs.engine import JobEngine
from interp_lab_tools.evidence_first import same_question_first, steered_first

NAMES: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "criterion": "the word is a name",
    "dataset": "builtin:person-name",
}
OTHER = {**NAMES, "criterion": "the text is a question"}


def made(letter: str, kind: str, request: dict[str, Any]) -> SimpleNamespace:
    maker = "train_probe" if "labels" in request else "make_steering_vector"
    return SimpleNamespace(id=letter * 64, kind=kind, spec={"capability": maker, "request": request})


def engine(*artifacts: SimpleNamespace) -> JobEngine:
    """A workspace that holds these, newest first."""

    def listed(*, kind: str, limit: int) -> SimpleNamespace:
        return SimpleNamespace(items=[each for each in artifacts if each.kind == kind][:limit])

    def opened(name: str) -> SimpleNamespace:
        for each in artifacts:
            if each.id == name:
                return each
        raise UnknownArtifact(name)

    return cast("JobEngine", SimpleNamespace(list_artifacts=listed, artifacts=SimpleNamespace(open=opened)))


def calls(found: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(each.tool, dict(each.arguments)) for each in found]


def test_a_vector_that_must_be_validated_is_steered_with_first_where_one_was_made_alike() -> None:
    probe = made("c", "direction", {**NAMES, "labels": "person"})
    held = engine(probe, made("a", "direction", OTHER), made("b", "direction", NAMES))
    found = list(steered_first({**NAMES, "require_validated": True}, held))
    assert calls(found) == [("steer", {**NAMES, "vector": "b" * 64}), ("make_steering_vector", NAMES)]
    assert "without" not in found[0].why
    assert "only the guard left out" in found[1].why


@pytest.mark.parametrize(
    "source", [{"kind": "contrast", "method": "probe"}, {"kind": "latent", "dictionary": "d", "index": 3}]
)
def test_a_vector_of_another_source_is_no_evidence_for_this_one(source: dict[str, Any]) -> None:
    held = engine(made("a", "direction", {**NAMES, "source": source}))
    assert calls(steered_first({**NAMES, "require_validated": True}, held)) == [("make_steering_vector", NAMES)]


def test_reports_of_two_questions_lead_to_another_report_of_the_left_one_first() -> None:
    left, right, twin = (
        made("a", "inspect_report", NAMES),
        made("b", "inspect_report", OTHER),
        made("c", "inspect_report", NAMES),
    )
    asked = {"left": left.id, "right": right.id}
    found = list(same_question_first(asked, engine(left, right, twin)))
    assert calls(found) == [
        ("compare_runs", {"left": left.id, "right": twin.id}),
        ("compare_runs", {**asked, "allow_different": True}),
    ]
    assert "only the guard left out" in found[1].why


def test_without_another_report_the_left_question_is_asked_once_more_on_another_split() -> None:
    left, right = made("a", "inspect_report", {**NAMES, "seed": 4}), made("b", "inspect_report", OTHER)
    first, second = calls(same_question_first({"left": left.id, "right": right.id}, engine(left, right)))
    assert first == ("inspect", {**NAMES, "seed": 5} | {name: first[1][name] for name in ("model", "dataset")})
    assert second[1]["allow_different"] is True


def test_reports_of_two_kinds_are_never_offered_as_a_pair() -> None:
    left, right = made("a", "inspect_report", NAMES), made("b", "intervention_report", NAMES)
    found = calls(same_question_first({"left": left.id, "right": right.id}, engine(left, right)))
    assert [tool for tool, _ in found] == ["inspect"]
    assert not calls(same_question_first({"left": "0" * 64, "right": right.id}, engine(left, right)))
