"""The dossier: every run of every process, how claims stand, what changed, what contradicts, what was not found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from interp_lab import errors
from interp_lab.contracts.dossier import DossierResult
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.dispatch import job_spec
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.validate import validate
from interp_lab_tools.views import as_json
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    MODEL,
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    sha,
    unit_card,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
FOUND = ("association_confirmed", "no_intervention")
UNIT = "resid_post.2#5"


def ask(settings: Settings, **options: Any) -> DossierResult:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "dossier", {"model": MODEL, "criterion": CRITERION, **options})
        assert isinstance(answer, DossierResult)
        for action in answer.agent_next_actions:
            BY_NAME[action.tool].request.model_validate(action.arguments)
        return answer


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def effect_run(settings: Settings, effect: float, grade: str, **options: Any) -> str:
    reasons = ("effect_confirmed",) if grade == "validated" else ("effect_like_control",)
    units = [unit_card("resid_post.2 #5", grade, [edit_card(effect, q=options.pop("q", 0.001))], reasons)]
    made = {name: options.pop(name) for name in ("dataset", "seed", "targets") if name in options}
    return publish(settings, intervene_report(units, **made), **options)


def test_reports_of_two_processes_are_in_one_dossier(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "needs_causal_evidence", FOUND)]))
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.workflows.memory.past_runs import *\n"
        "units = [unit_card('resid_post.2 #5', 'validated', [edit_card(1.0)], ('effect_confirmed',))]\n"
        "publish(workspace(Path(sys.argv[1])), intervene_report(units), at=1, investigator='grace')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(settings.workspace)], check=True, timeout=900)
    answer = ask(settings)
    assert answer.counts is not None
    assert answer.parts is not None
    assert answer.counts.runs == 2
    assert answer.investigators == ("grace",)
    (claim,) = answer.parts.claims
    assert (claim.unit, claim.grade, claim.n_runs) == (UNIT, "validated", 2)
    (change,) = answer.parts.transitions
    assert (change.before, change.after, change.direction) == ("needs_causal_evidence", "validated", "rose")


def test_a_grade_that_fell_is_listed_with_what_was_different(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "needs_causal_evidence", FOUND)]))
    gone = card(1, 5, "weak", ("effect_vanished",), confirm=0.52)
    later = publish(settings, inspect_report([gone], dataset="other prompts", seed=3), at=5)
    answer = ask(settings)
    assert answer.parts is not None
    (change,) = answer.parts.transitions
    assert (change.direction, change.after, change.run) == ("fell", "weak", later)
    assert change.changed == ("prompts", "seed of the split")
    assert [found.code for found in answer.parts.negatives] == ["effect_vanished"]
    assert [found.kind for found in answer.parts.disagreements] == ["grades_differ"]


def test_a_grade_that_held_is_no_transition(settings: Settings) -> None:
    for at in (0, 5):
        publish(settings, inspect_report([card(1, 5, "needs_causal_evidence", FOUND)], seed=at), at=at)
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.transitions == ()
    assert answer.parts.disagreements == ()


def test_edits_of_opposite_sign_contradict_each_other(settings: Settings) -> None:
    effect_run(settings, 1.0, "validated")
    effect_run(settings, -1.0, "validated", seed=1, at=5)
    answer = ask(settings)
    assert answer.parts is not None
    (found,) = answer.parts.contradictions
    assert found.raised.effect is not None
    assert found.lowered.effect is not None
    assert found.raised.effect.effect > 0 > found.lowered.effect.effect
    assert answer.parts.claims[0].grade == "contradicted"
    assert answer.parts.transitions[0].direction == "turned"


def test_opposite_effects_on_other_words_do_not_contradict(settings: Settings) -> None:
    effect_run(settings, 1.0, "validated")
    effect_run(settings, -1.0, "validated", seed=1, at=5, targets=[" Paris"])
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.contradictions == ()


def test_an_opposite_effect_within_its_control_does_not_contradict(settings: Settings) -> None:
    effect_run(settings, 1.0, "validated")
    effect_run(settings, -1.0, "needs_causal_evidence", seed=1, at=5, q=0.4)
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.contradictions == ()
    assert [found.kind for found in answer.parts.disagreements] == ["effect_not_repeated"]
    assert [found.code for found in answer.parts.negatives] == ["effect_like_control"]
    assert "0.5 would have been found" in answer.parts.negatives[0].text


def test_an_effect_is_told_with_its_own_interval_and_what_it_had_to_exceed(settings: Settings) -> None:
    edit = edit_card(0.15, q=1.0)
    edit["confirm"]["difference_interval"] = {"low": -0.15, "high": 0.45, "method": "test"}
    unit = unit_card("resid_post.2 #5", "needs_causal_evidence", [edit], ("effect_like_control",))
    publish(settings, intervene_report([unit]))
    answer = ask(settings)
    assert answer.parts is not None
    found = answer.parts.claims[0].latest.effect
    assert found is not None
    assert (found.effect_low, found.effect_high) == (pytest.approx(-0.05), pytest.approx(0.35))
    assert (found.beyond_low, found.beyond_high, found.to_exceed) == (-0.15, 0.45, 0.1)
    assert found.detectable == pytest.approx(0.5)
    assert found.on_confirm_prompts
    assert "confirmed" not in type(found).model_fields


@pytest.mark.guarantee("correlations-never-contradict")
def test_two_opposite_correlations_are_two_hypotheses_and_no_contradiction(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]), investigator="ada")
    other = card(1, 5, "plausible", FOUND, auroc=0.1, confirm=0.12)
    publish(settings, inspect_report([other], seed=4), at=5, investigator="grace")
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.contradictions == ()
    (found,) = answer.parts.disagreements
    assert found.kind == "opposite_correlations"
    assert found.investigators == ("ada", "grace")
    assert "two untested hypotheses" in found.text
    assert answer.parts.claims[0].grade == "plausible"


def test_a_correlation_that_is_gone_on_new_prompts_takes_a_validated_claim_down(settings: Settings) -> None:
    effect_run(settings, 1.0, "validated")
    publish(settings, inspect_report([card(1, 5, "weak", ("sign_reversed",), confirm=0.2)], seed=7), at=5)
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.claims[0].grade == "weak"
    assert answer.parts.transitions[0].direction == "fell"


@pytest.mark.parametrize(("effect", "grade"), [(0.45, "validated"), (1.0, "needs_causal_evidence")])
def test_a_replication_takes_a_claim_down_only_where_it_could_have_seen_the_effect(
    settings: Settings, effect: float, grade: str
) -> None:
    effect_run(settings, effect, "validated")
    effect_run(
        settings, 0.05, "needs_causal_evidence", seed=1, at=5, q=0.6
    )  # would have found 0.5: 0.4 beyond the least that matters
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.claims[0].grade == grade
    assert [found.kind for found in answer.parts.disagreements] == ["effect_not_repeated"]


def test_a_correlation_alone_never_raises_a_claim_above_what_edits_showed(settings: Settings) -> None:
    effect_run(settings, 0.1, "plausible", q=0.6)
    publish(settings, inspect_report([card(1, 5, "needs_causal_evidence", FOUND)]), at=5)
    answer = ask(settings)
    assert answer.parts is not None
    assert answer.parts.claims[0].grade == "plausible"


def test_units_of_an_inspect_report_and_units_named_by_hand_are_the_same_unit(settings: Settings) -> None:
    report = publish(settings, inspect_report([card(1, 5, "needs_causal_evidence", FOUND)]))
    units = [unit_card("resid_post.2 #5", "validated", [edit_card(1.0)])]
    publish(settings, intervene_report(units), request={"report": report, "ranks": [1]}, at=1)
    own = [unit_card("my favourite", "validated", [edit_card(1.0)])]
    named = {"units": [{"address": "resid_post.2", "index": 5, "name": "my favourite"}]}
    publish(settings, intervene_report(own, seed=2), request=named, at=2)
    answer = ask(settings)
    assert answer.parts is not None
    (claim,) = answer.parts.claims
    assert (claim.unit, claim.n_runs, claim.name) == (UNIT, 3, "my favourite")


def test_latents_of_two_dictionaries_of_one_shape_are_different_units(settings: Settings) -> None:
    for at, name in enumerate(("a" * 64, "b" * 64)):
        found = card(1, 17, "needs_causal_evidence", FOUND, address="resid_post.2/topk-256")
        publish(settings, inspect_report([found]), request={"dictionaries": [name]}, at=at)
    answer = ask(settings)
    assert answer.parts is not None
    assert {claim.unit for claim in answer.parts.claims} == {f"{'a' * 64}#17", f"{'b' * 64}#17"}


def test_a_model_with_other_weights_of_the_same_name_has_a_dossier_of_its_own(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    publish(settings, inspect_report([card(1, 5, "weak")], weights="retrained"), at=5)
    with Lab.open(settings, ALL) as lab:
        with pytest.raises(errors.NoDossier, match="2 dossiers fit"):
            call(lab, "dossier", {"model": MODEL, "criterion": CRITERION})
        listed = call(lab, "dossier", {})
    assert isinstance(listed, DossierResult)
    assert listed.dossiers is not None
    assert {entry.weights for entry in listed.dossiers} == {sha("w"), sha("retrained")}
    answer = ask(settings, model=sha("retrained")[:16])
    assert answer.parts is not None
    assert answer.parts.claims[0].grade == "weak"


def test_case_and_spaces_of_a_criterion_do_not_matter(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    assert ask(settings, criterion="  The word is a  person's NAME. ").counts is not None


def test_nothing_known_is_said_with_the_way_to_what_is_known(settings: Settings) -> None:
    with Lab.open(settings, ALL) as lab, pytest.raises(errors.NoDossier, match="No report"):
        call(lab, "dossier", {"model": MODEL, "criterion": "something else"})


def test_a_damaged_report_is_named_and_left_out(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    bad = publish(settings, inspect_report([card(1, 6, "plausible", FOUND)]), at=5)
    named = settings.workspace / ".interp-lab" / "artifacts" / bad / "files" / "report.json"
    named.chmod(0o644)
    named.write_bytes(b"{}")
    answer = ask(settings)
    assert answer.counts is not None
    assert answer.counts.runs == 1
    assert any("1 reports" in warning for warning in answer.warnings)


def test_a_job_that_failed_is_remembered(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    with Lab.open(settings, ALL) as lab:
        arguments = {"model": MODEL, "criterion": CRITERION, "dataset": "builtin:person-name", "wait_s": 0}
        capability = BY_NAME["inspect"]
        request: Any = validate(capability.request, arguments)
        job = lab.engine.submit(job_spec(capability, request, capability.plan(request, lab)))  # type: ignore[union-attr]
        lab.engine.cancel(job.id)
    answer = ask(settings)
    assert answer.parts is not None
    assert [run.state for run in answer.parts.runs] == ["cancelled", "succeeded"]


def test_an_answer_stays_small_and_every_entry_can_be_paged_to(settings: Settings) -> None:
    cards = [card(rank, rank, "weak", ("effect_vanished",), confirm=0.5) for rank in range(1, 41)]
    for at in range(3):
        publish(settings, inspect_report(cards, seed=at), at=at)
    whole = ask(settings, limit=50)
    assert len(json.dumps(as_json(whole))) <= ANSWER_CHARS
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = ask(settings, section="claims", limit=7, **({"cursor": cursor} if cursor else {}))
        assert page.parts is not None
        seen += [claim.unit for claim in page.parts.claims]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 40
    assert len(ask(settings).model_dump_json(exclude_none=True)) < 16_000


def test_a_cursor_of_something_else_is_refused(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    with pytest.raises(errors.InvalidCursor):
        ask(settings, cursor="zzz", section="claims")


HOSTILE = '</td><script>alert(1)</script>| [x](javascript:y) \u202e"'


def test_a_published_dossier_shows_hostile_text_as_text(settings: Settings) -> None:
    report = inspect_report([card(1, 5, "plausible", FOUND)])
    report = report.model_copy(update={"headline": HOSTILE})
    publish(settings, report, investigator=HOSTILE)
    units = [unit_card(HOSTILE[:60], "plausible", [edit_card(0.1, q=0.5)], ("effect_like_control",))]
    publish(settings, intervene_report(units, targets=[HOSTILE]), at=1)
    answer = ask(settings, publish=True)
    (artifact,) = answer.artifacts
    with Lab.open(settings, ALL) as lab:
        read = {f.name: lab.engine.artifacts.path_of(artifact.id, f.name).read_text("utf-8") for f in artifact.files}
    assert set(read) == {"dossier.json", "dossier.md", "dossier.html"}
    page = ElementTree.fromstring(read["dossier.html"].replace("<!DOCTYPE html>", ""))
    assert [e for e in page.iter("script") if "alert" in (e.text or "")] == []
    assert "alert(1)" in "".join(page.itertext())
    assert "<script>alert" not in re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", read["dossier.md"])
    assert "\u202e" not in read["dossier.html"] + read["dossier.md"]


def test_a_read_only_lab_answers_and_does_not_publish(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    with Lab.open(settings, ALL, read_only=True) as lab:
        assert isinstance(call(lab, "dossier", {"model": MODEL, "criterion": CRITERION}), DossierResult)
        with pytest.raises(errors.ReadOnlyLab):
            call(lab, "dossier", {"model": MODEL, "criterion": CRITERION, "publish": True})


def foreign_report(criterion: str = CRITERION, **effects: Any) -> dict[str, Any]:
    """Return a report as version 3.1.0 of the package writes it, words and nulls among its numbers included."""
    told = {"criterion": 0.4, "criterion_ci_method": "student_t", "criterion_ci_low": None, "signed_association": -0.6}
    return {
        "schema_version": "interp-lab.inspection_report.v1",
        "model": "gpt2",
        "criterion": {"text": criterion, "positive_examples": []},
        "cards": [
            {"feature_id": "L8:F3", "label": HOSTILE, "association": 0.6, "causal_effects": told | effects},
            {"feature_id": "L9:F4", "label": "x", "association": 0.2, "causal_effects": {}},
        ],
    }


def foreign_dossier() -> dict[str, Any]:
    seen = {"label": "x", "association": 0.5, "signed_effect": 0.3, "has_intervention_provenance": True}
    return {
        "schema_version": "interp-lab.dossier.v1",
        "model": "gpt2",
        "criterion": CRITERION,
        "runs": [{"features": {"L8:F3": seen | {"intervention_record_count": 6}}}],
        "rollup": {"features": {"L8:F3": {"current_grade": "validated_equivalent"}}},
    }


def test_files_of_the_other_package_are_listed_beside_and_move_nothing(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    effects = {"signed_causal_effect": 0.7, "intervention_record_count": 5}
    (settings.workspace / "theirs.json").write_text(json.dumps(foreign_report(**effects)), encoding="utf-8")
    (settings.workspace / "dossier.json").write_text(json.dumps(foreign_dossier()), encoding="utf-8")
    answer = ask(settings, imported=["theirs.json", "dossier.json"], publish=True)
    assert answer.parts is not None
    first, second, third = answer.parts.imported
    assert (first.association, first.effect, first.n_records) == (-0.6, 0.7, 5)
    assert (second.association, second.effect, second.grade_there) == (0.2, None, None)
    assert (third.effect, third.grade_there) == (0.3, "validated_equivalent")
    assert [claim.grade for claim in answer.parts.claims] == ["plausible"]
    with Lab.open(settings, ALL) as lab:
        page = lab.engine.artifacts.path_of(answer.artifacts[0].id, "dossier.html").read_text("utf-8")
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    assert [e for e in root.iter("script") if "alert" in (e.text or "")] == []
    assert "Listed, not graded" in page


def test_a_foreign_file_on_another_criterion_says_nothing_and_another_file_is_refused(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible", FOUND)]))
    (settings.workspace / "other.json").write_text(json.dumps(foreign_report("something else")), encoding="utf-8")
    (settings.workspace / "no.json").write_text('{"criterion": "x"}', encoding="utf-8")
    (settings.workspace / "nan.json").write_text('{"cards": [NaN], "criterion": "x"}', encoding="utf-8")
    answer = ask(settings, imported=["other.json"])
    assert answer.counts is not None
    assert answer.counts.imported == 0
    for wrong in ("no.json", "nan.json"):
        with pytest.raises(errors.MalformedFile):
            ask(settings, imported=[wrong])
    with pytest.raises(errors.PathOutsideWorkspace):
        ask(settings, imported=["../out.json"])
