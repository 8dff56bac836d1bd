"""feature_families: shared and private features of several models, transitive ones told apart from tested ones."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.compare import ComparisonReport
from interp_lab.contracts.feature_families import FamiliesRequest, FamiliesResult
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.sources import open_prompts
from interp_lab.corpus.workspace_sets import save_set
from interp_lab.errors import DifferentQuestions, InvalidRequest
from interp_lab.settings import Settings
from interp_lab.workflows.feature_families import feature_families
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.feature_families import missing_comparisons
from interp_lab_tools.lab import Lab
from tests.unit.workflows.comparing.test_comparison_of_recorded_values import run_compare, values, write_store
from tests.unit.workflows.memory.past_runs import publish_other, shared, workspace

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
Pairs = list[tuple[int, int, float]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def facts(name: str) -> dict[str, Any]:
    return {**shared()["model"], "id": name, "weights_sha256": None}


def unit(index: int) -> dict[str, Any]:
    return {"address": "resid_post.1", "index": index, "auroc": 0.9, "promoted": ["<b>", "x"]}


def report(left: str, right: str, pairs: Pairs, **more: Any) -> dict[str, Any]:
    """A comparison with a p of each pair."""
    matches = [
        {
            "left": unit(a), "right": unit(b), "kind": "one_to_one", "similarity": 0.8, "interval": [0.6, 0.9],
            "p_prompts": p, "p_units": p / 2, "q_value": p, "left_out": [], "reasons": [],
            "grade": more.get("grade", "needs_causal_evidence") if p < 0.05 else "weak",
        }
        for a, b, p in pairs
    ]  # fmt: skip
    run: dict[str, Any] = {
        "job_id": None, "started_at": "2026-01-01T00:00:00Z", "seconds": 1, "code_version": "t", "packages": {},
        "checks": {}, "seed": 0,
    }  # fmt: skip
    made: dict[str, Any] = {
        "headline": "-", "criterion": more.get("criterion", "a thing"), "left": facts(left), "right": facts(right),
        "dataset": "d", "dataset_sha256": "0" * 64, "n_explore": 10, "n_confirm": 10, "n_groups": 10,
        "n_right_units": 99, "maps": [], "matches": matches, "unmatched": [], "caveats": [],
        "agent_next_actions": [], "run": run,
    }  # fmt: skip
    return ComparisonReport.model_validate(made).model_dump(mode="json")


def published(settings: Settings, left: str, right: str, pairs: Pairs, **more: Any) -> str:
    asked = {"left": left, "right": {"model": {"id": right}}, "criterion": "a thing", "dataset": "builtin:person-name"}
    return publish_other(settings, "comparison", report(left, right, pairs, **more), request=asked)


def ask(settings: Settings, *names: str) -> tuple[FamiliesResult, str]:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "feature_families", {"comparisons": list(names)})
        assert isinstance(answer, FamiliesResult)
        (made,) = answer.artifacts
        page = lab.engine.artifacts.read_file(made.id, "report.html", limit=2**20).decode()
    for action in answer.agent_next_actions:
        BY_NAME[action.tool].request.model_validate(action.arguments)
    return answer, page


def missing(settings: Settings, *names: str) -> list[NextAction]:
    """The comparisons that are put forward, whether the models are on this machine or not."""
    with Lab.open(settings, ALL) as lab:
        report = feature_families(FamiliesRequest(comparisons=names), settings)
        return list(missing_comparisons(report, [lab.engine.artifacts.open(name) for name in names], lab))


def test_a_feature_of_all_models_is_one_family_and_what_matched_none_is_private_as_far_as_tested(
    settings: Settings,
) -> None:
    pairs: Pairs = [(1, 1, 0.001), (2, 3, 0.6)]
    names = [published(settings, a, b, pairs) for a, b in combinations(("one", "two", "three"), 2)]
    found, page = ask(settings, *names)
    (family,) = found.families
    assert [member.model for member in family.members] == ["one", "two", "three"]
    assert {pair.status for pair in family.pairs} == {"matched"}
    assert found.shared_by == {"3": 1}
    assert {(one.unit.model, one.unit.index, one.complete) for one in found.lone} == {
        ("one", 2, True), ("two", 2, False), ("two", 3, False), ("three", 3, True),
    }  # fmt: skip
    assert found.private == {"one": 1, "three": 1}
    assert missing(settings, *names) == []
    assert page.count('class="pair ') == 1
    assert "<b>" not in page.partition('id="families"')[2].partition("</section>")[0]
    assert "&lt;b&gt;" in page


def test_units_that_hang_together_through_a_third_are_not_called_matched_and_the_missing_comparison_is_offered(
    settings: Settings,
) -> None:
    names = (
        published(settings, "one", "two", [(1, 1, 0.001)]),
        published(settings, "two", "three", [(1, 1, 0.02)]),
    )
    found, _ = ask(settings, *names)
    (family,) = found.families
    statuses = {(pair.left, pair.right): pair.status for pair in family.pairs}
    assert statuses == {(0, 1): "matched", (1, 2): "matched"}
    assert family.n_not_tested == 1
    assert family.weakest_q == pytest.approx(0.02)
    (offered,) = missing(settings, *names)
    assert (offered.arguments["left"], offered.arguments["right"]) == ("one", {"model": {"id": "three"}})
    assert any("no test of them" in warning for warning in found.warnings)


def test_two_members_that_were_tested_and_did_not_match_are_said_and_keep_the_family_from_being_validated(
    settings: Settings,
) -> None:
    names = [
        published(settings, "one", "two", [(1, 1, 0.001)], grade="validated"),
        published(settings, "two", "three", [(1, 1, 0.001)], grade="validated"),
    ]
    whole = published(settings, "one", "three", [(1, 1, 0.001)], grade="validated")
    broken = published(settings, "one", "three", [(1, 1, 0.8)])
    assert ask(settings, *names, whole)[0].families[0].grade == "validated"
    family = ask(settings, *names, broken)[0].families[0]
    assert family.grade == "needs_causal_evidence"
    assert [pair.status for pair in family.pairs] == ["matched", "tested_and_not_matched", "matched"]


def test_a_contradicted_pair_joins_nothing_and_q_is_over_the_pairs_of_all_comparisons(settings: Settings) -> None:
    contradicted = published(settings, "one", "two", [(1, 1, 0.001)], grade="contradicted")
    assert ask(settings, contradicted)[0].families == ()
    many: Pairs = [(1, 1, 0.04), *((i, i, 0.9) for i in range(2, 9))]
    assert ask(settings, published(settings, "one", "two", many))[0].families == ()
    assert len(ask(settings, published(settings, "one", "two", many[:1]))[0].families) == 1


def test_comparisons_of_different_questions_or_no_comparisons_are_refused(settings: Settings) -> None:
    one = published(settings, "one", "two", [(1, 1, 0.01)])
    other = published(settings, "two", "three", [(1, 1, 0.01)], criterion="another thing")
    with pytest.raises(DifferentQuestions, match="criteria"):
        ask(settings, one, other)
    with pytest.raises(InvalidRequest, match="wanted is comparison"):
        ask(settings, publish_other(settings, "gallery"))


def test_comparisons_within_one_model_make_no_private_features_and_are_refused(settings: Settings) -> None:
    name = published(settings, "one", "one", [(1, 2, 0.001), (3, 4, 0.6)])
    with Lab.open(settings, ALL) as lab, pytest.raises(InvalidRequest, match="within one"):
        call(lab, "feature_families", {"comparisons": [name]})


def test_a_missing_comparison_is_not_offered_where_its_request_could_mean_another_model(settings: Settings) -> None:
    names = [
        published(settings, "one", "two", [(1, 1, 0.001)]),
        publish_other(
            settings,
            "comparison",
            {**report("one", "three", [(1, 1, 0.001)]), "left": {**facts("one"), "weights_sha256": "a" * 64}},
            request={"left": "one", "right": {"model": {"id": "three"}}, "criterion": "a thing", "dataset": "d"},
        ),
    ]
    found, _ = ask(settings, *names)
    assert found.models == ("one (weights one)", "two", f"one (weights {'a' * 8})", "three")
    assert not [action for action in missing(settings, *names) if "one" in str(action.arguments["left"])]


def test_one_model_in_two_number_formats_is_two_models_that_are_named_by_them(settings: Settings) -> None:
    made = report("one", "one", [(1, 1, 0.001)])
    made["right"]["dtype"] = "bfloat16"
    asked = {
        "left": "one",
        "right": {"model": {"id": "one", "dtype": "bfloat16"}},
        "criterion": "a thing",
        "dataset": "d",
    }
    names = (
        publish_other(settings, "comparison", made, request=asked),
        published(settings, "one", "three", [(1, 1, 0.001)]),
    )
    found, _ = ask(settings, *names)
    assert found.models == ("one (in float32)", "one (in bfloat16)", "three")
    (offered,) = missing(settings, *names)
    assert offered.arguments["left"] == asked["right"]


def test_prompts_written_into_a_request_are_named_by_the_file_that_has_them_or_the_call_is_not_offered(
    settings: Settings,
) -> None:
    rows = ({"id": "a", "text": "rain", "score": 1.0}, {"id": "b", "text": "sun", "score": 0.0})
    inline = InlinePrompts.model_validate({"prompts": rows})
    prompts = open_prompts(inline, settings)
    names: list[str] = []
    for left, right in (("one", "two"), ("two", "three")):
        made = report(left, right, [(1, 1, 0.001)]) | {"dataset_sha256": prompts.sha256}
        asked = {"left": left, "right": right, "criterion": "a thing", "dataset": inline.model_dump(mode="json")}
        names.append(publish_other(settings, "comparison", made, request=asked))
    assert missing(settings, *names) == []
    save_set("weather", "a thing", prompts, workspace=settings.workspace, replace=False)
    (offered,) = missing(settings, *names)
    assert offered.arguments["dataset"] == "prompts/weather.jsonl"


def test_features_that_three_stores_share_are_found_in_all_three_and_those_of_a_stranger_are_not(
    tmp_path: Path, settings: Settings
) -> None:
    names = ("one", "two", "three", "stranger")
    for seed, name in enumerate(names, start=2):
        write_store(tmp_path / name, values(seed, shared=name != "stranger"), model=name, codes=True)
    made: dict[tuple[str, str], str] = {}
    for left, right in combinations(names, 2):
        sides = (("left", left), ("right", right))
        asked = {side: {"model": name, "evidence": f"store:{name}"} for side, name in sides}
        found, _ = run_compare(tmp_path, **asked)
        made[left, right] = publish_other(settings, "comparison", found.model_dump(mode="json"), request=asked)
    answer, _ = ask(settings, *(made[pair] for pair in combinations(names[:3], 2)))
    true = [family for family in answer.families if family.n_models == 3]
    assert len(true) >= 4
    for family in true:
        assert len({member.index for member in family.members}) == 1
    for name in names[:3]:
        alone, _ = ask(settings, made[name, "stranger"])
        assert alone.families == ()
