"""After a refusal: the same call put right, or the call that shows what there is; never one that is refused too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.base import Contract
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.errors import LabError, WrongArtifact, all_errors
from interp_lab.settings import Settings
from interp_lab_tools.as_reported import as_reported
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.handles import of_kind
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.lab import Lab
from interp_lab_tools.mending import CALLS, mending
from interp_lab_tools.repair import repaired

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
NAMES: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "criterion": "the word is a person's name",
    "dataset": "builtin:person-name",
}
CODES = [error.code for error in all_errors()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with Lab.open(Settings(workspace=folder, cpu_slots=1, gpu_slots=0, ballast_bytes=0), ALL) as opened:
        yield opened


def after(lab: Lab, tool: str, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Call what is refused, and return the calls that are offered instead."""
    with pytest.raises(LabError) as refused:
        call(lab, tool, arguments)
    code = refused.value.code
    return [(each.tool, dict(each.arguments)) for each in mending(code, tool, arguments, lab, error=refused.value)]


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_leads_to_a_call_that_can_be_made(lab: Lab, code: str) -> None:
    calls = mending(code, "register_hypothesis", dict(BY_NAME["register_hypothesis"].example), lab)
    assert 1 <= len(calls) <= 2
    for each in calls:
        BY_NAME[each.tool].request.model_validate(each.arguments)
        assert each.cost


@pytest.mark.parametrize(
    ("source", "kind"),
    [({"method": "probe"}, "contrast"), ({"dictionary": "sae", "index": 3}, "latent"), ({"path": "v.gguf"}, "file"),
     ({"no_such_field": 1}, None)],
)  # fmt: skip
def test_a_record_without_its_kind_is_given_the_only_one_that_fits(source: dict[str, Any], kind: str | None) -> None:
    mended = repaired(BY_NAME["make_steering_vector"].request, NAMES | {"source": source})
    assert (None if mended is None else mended.arguments["source"]) == (kind and source | {"kind": kind})


@pytest.mark.parametrize(("name", "scorer"), [("length", {"name": "length"}), ("lexicon", None)])
def test_a_scorer_said_by_its_name_is_mended_where_a_name_is_enough(name: str, scorer: Any) -> None:
    said: dict[str, Any] = {"units": [{"address": "resid_post.2", "index": 5}], "metric": "score", "scorer": name}
    mended = repaired(BY_NAME["intervene"].request, NAMES | said)
    assert (None if mended is None else mended.arguments["scorer"]) == scorer


def test_the_rows_are_keyed_by_codes_that_there_are() -> None:
    assert set(CALLS) <= set(CODES)


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda error: error.code)
def test_a_remedy_that_says_which_tool_to_call_is_the_first_call_that_is_offered(
    lab: Lab, error: type[LabError]
) -> None:
    said = re.search(rf"[Cc]all ({'|'.join(BY_NAME)})\b", error.default_remedy)
    arguments = {"artifact_id": "0" * 64, "name": "x", "store": "s", "latent": 1, **NAMES}
    if said and error.code in CALLS:
        known = {name: value for name, value in arguments.items() if name in BY_NAME[said[1]].request.model_fields}
        assert said[1] in [each.tool for each in mending(error.code, said[1], known, lab)]


def test_near_names_near_words_and_a_list_of_one_are_put_right(lab: Lab) -> None:
    wrong = {"modle": NAMES["model"], "criterion": NAMES["criterion"], "dataset": NAMES["dataset"]}
    assert after(lab, "inspect", wrong) == [("inspect", NAMES)]
    assert after(lab, "inspect", NAMES | {"pooling": "spam"}) == [("inspect", NAMES | {"pooling": "span"})]
    assert after(lab, "inspect", NAMES | {"pooling": "SPAN"}) == [("inspect", NAMES | {"pooling": "span"})]
    plan = {"parameters": "70B", "device": "H100"}
    assert after(lab, "plan_scale", plan) == [("plan_scale", plan | {"device": "h100-sxm"})]
    one = NAMES | {"addresses": "resid_post.2"}
    assert after(lab, "inspect", one) == [("inspect", NAMES | {"addresses": ["resid_post.2"]})]
    assert after(lab, "inspect", NAMES | {"wait_s": 600}) == [("inspect", NAMES | {"wait_s": 45})]


def test_what_could_mean_anything_is_not_guessed() -> None:
    assert repaired(InspectRequest, NAMES | {"pooling": "qqq"}) is None
    assert repaired(InspectRequest, {"criterion": "x"}) is None, "a model is never made up"
    assert repaired(InspectRequest, NAMES | {"seed": -1}) is None, "what is asked is never moved to a bound"
    assert repaired(InspectRequest, NAMES) is None


def test_a_name_without_its_prefix_or_with_a_slip_is_offered_whole(lab: Lab) -> None:
    assert after(lab, "inspect", NAMES | {"model": "pocket-llama"}) == [("inspect", NAMES)]
    assert after(lab, "inspect", NAMES | {"dataset": "person-name"}) == [("inspect", NAMES)]
    assert after(lab, "inspect", NAMES | {"dataset": "builtin:persons-name"}) == [("inspect", NAMES)]
    far = after(lab, "inspect", NAMES | {"dataset": "builtin:zzzz"})
    assert far == [("lab_overview", {"sections": ["datasets"]})]


def test_a_tool_with_a_slip_in_its_name_is_offered_by_its_right_one(lab: Lab) -> None:
    assert after(lab, "inspct", NAMES) == [("inspect", NAMES)]
    assert after(lab, "qqqq", NAMES) == [("lab_overview", {"sections": ["capabilities"]})]


def test_handles_that_name_nothing_lead_to_the_list_of_what_there_is(lab: Lab) -> None:
    assert after(lab, "job_wait", {"job_id": "0" * 32, "wait_s": 0}) == [("job_list", {})]
    assert after(lab, "artifact_read", {"artifact_id": "0" * 64}) == [("artifact_list", {})]
    core = Lab(settings=lab.settings, engine=lab.engine)
    assert after(core, "job_wait", {"job_id": "0" * 32, "wait_s": 0}) == [("lab_overview", {"sections": ["jobs"]})]


def test_a_layer_that_is_not_there_leads_to_all_layers_and_a_device_to_the_cpu(lab: Lab) -> None:
    assert after(lab, "inspect", NAMES | {"addresses": ["resid_post.99"]}) == [("inspect", NAMES)]
    offered = after(lab, "inspect", NAMES | {"model": {"id": NAMES["model"], "device": "cuda:7"}})
    assert offered == [("inspect", NAMES | {"model": {"id": NAMES["model"], "device": "cpu"}})]


def test_words_of_other_software_and_short_forms_of_units_kinds_and_places_are_understood(lab: Lab) -> None:
    waited = {"job_id": "0" * 32}
    found = repaired(BY_NAME["job_wait"].request, waited | {"timeout_s": 5})
    assert found is not None
    assert found.arguments == waited | {"wait_s": 5}
    slip = after(lab, "inspect", NAMES | {"addresses": ["resid_pots.2"]})
    assert slip == [("inspect", NAMES | {"addresses": ["resid_post.2"]})]
    (edit,) = after(lab, "intervene", NAMES | {"units": ["resid_post.2#5"]})
    assert edit == ("intervene", NAMES | {"units": [{"address": "resid_post.2", "index": 5}]})
    streamed = {"source": {"kind": "steam", "model": NAMES["model"], "dataset": NAMES["dataset"]}}
    places = {"addresses": ["resid_post.2"], "widths": [64], "sparsities": [4]}
    ((_, trained),) = after(lab, "train_sae", streamed | places)
    assert trained["source"]["kind"] == "stream"
    ((_, asked),) = after(lab, "query_activations", {"store": "acts", "query": "overveiw"})
    assert asked["query"] == "overview"


def test_the_one_field_that_a_record_lacks_takes_the_value_of_the_one_that_it_should_not_have() -> None:
    latent = {"store": "acts", "unit": 3}
    said = {"step": {"kind": "submit", "latent": latent, "text": "names of people"}}
    found = repaired(BY_NAME["explain_latent"].request, said)
    assert found is not None
    assert found.arguments == {"step": {"kind": "submit", "latent": latent, "explanation": "names of people"}}
    assert found.said == "text as explanation"
    two = {"step": {"kind": "submit", "latent": latent, "text": "names", "words": "people"}}
    assert repaired(BY_NAME["explain_latent"].request, two) is None, "either could be meant"


def test_an_id_that_was_cut_off_or_has_a_slip_is_offered_whole_and_a_file_by_its_near_name(lab: Lab) -> None:
    whole = call(lab, "gallery", {}).artifacts[0]
    slip = ("0" if whole.id[0] != "0" else "1") + whole.id[1:]
    for wrong in (whole.id[:10], slip):
        assert after(lab, "artifact_read", {"artifact_id": wrong}) == [("artifact_read", {"artifact_id": whole.id})]
    read = after(lab, "artifact_read", {"artifact_id": whole.id, "name": "galery.html"})
    assert read == [("artifact_read", {"artifact_id": whole.id, "name": "gallery.html"})]


def test_an_example_with_made_up_ids_is_no_call_that_works(lab: Lab) -> None:
    assert after(lab, "job_wait", {"job_id": 7}) == [("lab_overview", {"sections": ["jobs"]})]
    assert after(lab, "explain_latent", {}) == [("lab_overview", {"sections": ["stores"]})]
    assert after(lab, "attribution_graph", {}) == [("lab_overview", {"sections": ["models", "dictionaries"]})]
    example = dict(BY_NAME["inspect"].example)
    assert after(lab, "inspect", {"threshold": "high"}) == [("inspect", example)]


def test_an_example_of_a_tool_is_about_the_model_and_prompts_that_the_caller_named(lab: Lab) -> None:
    (works,) = after(lab, "inspect", NAMES | {"threshold": "high"})
    assert works == ("inspect", dict(BY_NAME["inspect"].example) | NAMES)
    (works,) = after(lab, "trace_paths", {**NAMES, "pooling": "last", "model": "builtin:pocket-gpt2"})
    assert works[1]["model"] == "builtin:pocket-gpt2"
    assert works[1]["sources"] == BY_NAME["trace_paths"].example["sources"]
    asked = {"base": "builtin:pocket-gpt2", "changed": "builtin:pocket-gpt2", "quantise": "int8_weights"}
    example = BY_NAME["diff_models"].example
    lacks = {name: example[name] for name in ("criterion", "dataset")}
    assert after(lab, "diff_models", asked) == [("diff_models", asked | lacks)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Lab]:
    """A workspace with a set of its own."""
    places = ("at home", "at sea", "in town", "on foot", "by train", "in court", "at work", "all day")
    sides = {side: [f"{word} wait {place}" for place in places] for side, word in SIDES.items()}
    written: dict[str, Any] = {"name": "polite", "criterion": "the speaker is polite", "source": {"kind": "texts"}}
    written["source"] |= sides
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0), ALL) as opened:
        call(opened, "build_prompts", written)
        yield opened


SIDES = {"positives": "please", "negatives": "simply"}


def test_a_set_of_the_workspace_is_found_by_its_bare_name_and_together_with_a_bare_model(own: Lab) -> None:
    assert after(own, "audit_prompts", {"dataset": "polite"}) == [("audit_prompts", {"dataset": "workspace:polite"})]
    both = after(own, "inspect", NAMES | {"dataset": "prompts/polit.jsonl", "model": "pocket-llama"})
    assert both == [("inspect", NAMES | {"dataset": "workspace:polite"})]


def test_prompts_without_spans_are_offered_whole(own: Lab) -> None:
    asked = NAMES | {"dataset": "workspace:polite"}
    assert after(own, "inspect", asked | {"pooling": "span"}) == [("inspect", asked)]


def test_a_set_without_a_name_is_offered_under_one_made_of_its_criterion(lab: Lab) -> None:
    asked = {"criterion": "The text asks for (medical) advice!", "source": {"kind": "ask"}}
    assert after(lab, "build_prompts", asked) == [("build_prompts", asked | {"name": "text-asks-for-medical-advice"})]


def test_an_artifact_of_another_kind_leads_to_what_makes_the_kind_that_is_wanted(lab: Lab) -> None:
    page = call(lab, "gallery", {}).artifacts[0].id
    assert after(lab, "intervene", NAMES | {"report": page, "ranks": [1]}) == [("inspect", NAMES)]
    assert after(lab, "feature_families", {"comparisons": [page]}) == [("artifact_list", {})]


def test_an_artifact_of_another_kind_leads_to_those_of_the_kind_that_is_wanted(lab: Lab) -> None:
    page = call(lab, "gallery", {}).artifacts[0].id
    wrong = WrongArtifact("no", artifact=page, kinds=("note",))
    for title in ("first", "second", "third"):
        publish(lab, "note", title)
    asked = {"left": page, "others": [{"right": page}], "name": "x"}
    latest, before = list(of_kind(asked, wrong, lab.engine))
    assert "third" in latest.said
    assert "second" in before.said
    other = latest.arguments["left"]
    assert other != page
    assert latest.arguments == {"left": other, "others": [{"right": other}], "name": "x"}
    assert list(of_kind(asked | {"criterion": "another"}, wrong, lab.engine)) == [], "of another question"
    without = [each.arguments["left"] for each in of_kind(asked | {"known": [other]}, wrong, lab.engine)]
    assert other not in without, "one that the call names already is not offered again"


def test_a_row_that_is_no_direction_leads_to_the_inspection_that_learns_some(lab: Lab) -> None:
    page = call(lab, "gallery", {}).artifacts[0].id
    asked = NAMES | {"source": {"kind": "report", "report": page, "rank": 1}}
    (offered,) = mending("invalid_request", "make_steering_vector", asked, lab)
    assert (offered.tool, offered.arguments) == ("inspect", NAMES | {"evidence": "directions"})


def test_prompts_beside_values_that_bring_their_own_lead_to_one_of_both(lab: Lab) -> None:
    assert after(lab, "inspect", NAMES | {"evidence": "store:" + "0" * 64}) == [("inspect", NAMES)]


def test_an_example_names_the_latest_of_what_the_workspace_has(tmp_path: Path) -> None:
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0), ALL) as opened:
        assert after(opened, "query_activations", {}) == [("lab_overview", {"sections": ["stores"]})]
        publish(opened, "activation_store", "first")
        latest = publish(opened, "activation_store", "second")
        assert after(opened, "query_activations", {}) == [("query_activations", {"store": latest, "query": "overview"})]


def test_a_report_under_other_terms_is_offered_with_its_own(lab: Lab) -> None:
    asked = InspectRequest.model_validate(NAMES | {"pooling": "span", "seed": 3})
    report = publish(lab, "inspect_report", "names", asked)
    given = {**NAMES, "report": report, "ranks": [1], "pooling": "last", "dry_run": True}
    (mended,) = as_reported("intervene", given, lab.settings)
    assert mended.arguments == {**given, "pooling": "span", "seed": 3}
    assert "pooling 'span', seed 3, as the report was asked" in mended.said
    plain = publish(lab, "inspect_report", "names", InspectRequest.model_validate(NAMES))
    (mended,) = as_reported("intervene", {**given, "report": plain}, lab.settings)
    assert mended.arguments["pooling"] == "max"
    assert list(as_reported("intervene", NAMES | {"report": plain}, lab.settings)) == []
    vector = NAMES | {"pooling": "last", "source": {"kind": "report", "report": plain, "rank": 1}}
    assert [m.arguments["pooling"] for m in as_reported("make_steering_vector", vector, lab.settings)] == ["max"]


@pytest.mark.parametrize("fault", [{"no_such_thing": 3}, {"seed": "no"}, {"interventions": [{"kind": "unheard of"}]}])
def test_a_call_that_names_a_report_and_has_another_fault_is_answered_like_any(lab: Lab, fault: dict[str, Any]) -> None:
    report = publish(lab, "inspect_report", "names")
    assert after(lab, "intervene", {**NAMES, "report": report, "ranks": [1], **fault})


def publish(lab: Lab, kind: str, title: str, asked: Contract | None = None) -> str:
    """Publish an artifact of a kind with nothing of it but where it comes from, and return its id."""
    origin = inline_origin("inspect", asked or InspectRequest.model_validate(NAMES), {})
    with lab.engine.inline.artifact(kind, title, origin) as writer:
        writer.write_text("note.txt", title)
    return writer.manifest.id


def test_an_audit_leads_to_the_inspection_that_the_set_was_built_for_with_the_pooling_it_names(own: Lab) -> None:
    offered = call(own, "audit_prompts", {"dataset": "prompts/polite.jsonl"}).agent_next_actions
    assert [each.arguments.get("criterion") for each in offered if each.tool == "inspect"] == ["the speaker is polite"]
    offered = call(own, "audit_prompts", {"dataset": "builtin:question"}).agent_next_actions
    assert offered[0].arguments["pooling"] == "last"
