"""Building a prompt set: what is read, what is dropped, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.build_prompts import BuildPromptsRequest, Candidate
from interp_lab.contracts.prompts import PromptFile
from interp_lab.corpus.advice import rows_to_add, rows_to_drop
from interp_lab.corpus.assembly import assemble, scored
from interp_lab.corpus.generation import NEEDED_GROUPS, Asked
from interp_lab.corpus.prompt_registry import list_registry
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import (
    InvalidPrompts,
    InvalidRequest,
    LabError,
    MalformedFile,
    OneSidedPrompts,
    PathOutsideWorkspace,
    PromptSetExists,
    UnknownGenerationRequest,
)
from interp_lab.settings import Settings
from interp_lab.workflows.build_prompts import Built, ask_for_texts, build_prompts
from interp_lab_tools.audit_prompts import inspect_action
from interp_lab_tools.build_prompts import BUILD_PROMPTS
from interp_lab_tools.lab import Lab

THINGS = ["cup", "book", "lamp", "pen", "key", "map", "box", "jar", "hat", "bag", "coat", "door"]
POSITIVE = [f"Could you please hand me the {x}?" for x in THINGS]
NEGATIVE = [f"You have to hand me that {x} now!" for x in THINGS]


def build(workspace: Path, source: dict[str, Any], **more: Any) -> Built:
    request = {"name": "polite", "criterion": "the speaker asks politely", "source": source} | more
    return build_prompts(BuildPromptsRequest.model_validate(request), Settings(workspace=workspace))


def texts(**more: Any) -> dict[str, Any]:
    return {"kind": "texts", "positives": POSITIVE, "negatives": NEGATIVE} | more


def row(text: str, label: str = "positive", **more: Any) -> Candidate:
    return Candidate.model_validate({"text": text, "label": label} | more)


def test_a_set_built_from_texts_can_be_opened_as_a_dataset_and_is_listed(tmp_path: Path) -> None:
    built = build(tmp_path, texts())
    opened = open_prompts(PromptFile(path=built.path), Settings(workspace=tmp_path))
    assert opened.sha256 == built.prompts.sha256
    assert sorted(opened.texts()) == sorted(POSITIVE + NEGATIVE)
    assert opened.positive(0.5) == tuple(text in POSITIVE for text in opened.texts())
    listed = next(list_registry(Settings(workspace=tmp_path)))
    assert (listed.name, listed.argument, listed.n_prompts) == ("polite", "workspace:polite", 24)


@pytest.mark.parametrize("marked", [24, 23])
def test_the_inspection_that_is_offered_reads_at_spans_where_every_prompt_has_one(tmp_path: Path, marked: int) -> None:
    labelled = [(text, "positive") for text in POSITIVE] + [(text, "negative") for text in NEGATIVE]
    rows = [
        {"text": text, "label": label} | ({"spans": [{"start": 0, "end": 2}]} if place < marked else {})
        for place, (text, label) in enumerate(labelled)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    built = build(tmp_path, {"kind": "table", "path": "rows.jsonl"})
    (action,) = inspect_action("politeness", built.path, built.audit.model_copy(update={"usability": "usable"}))
    assert action.arguments.get("pooling") == ("span" if marked == 24 else None)


def test_the_preset_beside_a_set_can_be_built_from_again(tmp_path: Path) -> None:
    first = build(tmp_path, texts())
    again = build(tmp_path, {"kind": "preset", "path": "prompts/polite.json"}, name="again")
    assert sorted(again.prompts.texts()) == sorted(first.prompts.texts())


def test_a_text_given_twice_stays_once_and_a_text_with_both_labels_not_at_all() -> None:
    given_rows = [row("one two"), row("ONE  two"), row("three"), row("three", "negative"), row("four", "negative")]
    found = assemble(given_rows, balance=False)
    assert [r.text for r in found.kept] == ["one two", "four"]
    assert sorted(d.reason for d in found.dropped) == ["duplicate", "label_conflict", "label_conflict"]


def test_only_conflicting_texts_are_no_set() -> None:
    with pytest.raises(OneSidedPrompts, match="no positives"):
        assemble([row("a"), row("a", "negative"), row("b", "negative")], balance=True)


def test_balance_keeps_partners_and_then_the_nearest_lengths() -> None:
    rows = [
        row("p" * 30, pair="x"),
        row("q" * 10),
        row("n" * 70, "negative", pair="x"),
        row("m" * 11, "negative"),
        row("k" * 90, "negative"),
    ]
    kept = {r.text[0] for r in assemble(rows, balance=True).kept}
    assert kept == {"p", "q", "n", "m"}
    assert len(assemble(rows, balance=False).kept) == 5


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_balance_leaves_as_many_of_each_label_and_all_of_the_smaller_side(a: list[int], b: list[int]) -> None:
    rows = [row(f"a{chr(97 + i)} " + "p" * n) for i, n in enumerate(a)]
    rows += [row(f"b{chr(97 + i)} " + "q" * n, "negative") for i, n in enumerate(b)]
    kept = assemble(rows, balance=True).kept
    sides = [sum(r.label == side for r in kept) for side in ("positive", "negative")]
    assert sides == [min(len(a), len(b))] * 2


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=4, max_size=60))
def test_the_rows_asked_for_level_every_bin_to_within_one_row(rows: list[tuple[int, bool]]) -> None:
    values, labels = np.array([float(v) for v, _ in rows]), [side for _, side in rows]
    wanted = list(rows_to_add("length", values, labels))
    if np.ptp(values) == 0:
        assert not wanted  # a property that is the same everywhere is no shortcut
        return
    missing = sum(w.n if w.side == "positive" else -w.n for w in wanted)
    left = (sum(labels) + missing) - (len(labels) - sum(labels))
    assert abs(left) <= 4
    assert all(w.n >= 2 and w.low <= w.high for w in wanted)


def test_rows_to_drop_are_those_beyond_the_reach_of_the_other_label_farthest_first() -> None:
    values = np.array([1.0, 5.0, 9.0, 2.0, 4.0, 6.0])
    assert rows_to_drop(values, [True, True, True, False, False, False]).tolist() == [2, 0]
    assert rows_to_drop(values[[1, 1, 1]], [True, False, True]).size == 0


def test_spans_pairs_and_labels_of_a_candidate_reach_the_row() -> None:
    candidate = row("please sit", pair="a", group="g", subtype="plain", spans=[{"start": 0, "end": 6}], labels={"x": 1})
    (prompt,) = scored([candidate])
    assert (prompt.pair, prompt.group, prompt.subtype, prompt.labels) == ("a", "g", "plain", {"x": 1})
    assert prompt.text[prompt.spans[0].start : prompt.spans[0].end] == "please"


@pytest.mark.parametrize(
    ("cut", "joined"),
    [("lines", "\n"), ("paragraphs", "\n\n"), ("delimiter", "\n---\n"), ("paragraphs", "\r\n \r\n")],
)
def test_text_files_are_cut_as_asked(tmp_path: Path, cut: str, joined: str) -> None:
    (tmp_path / "p.txt").write_bytes(joined.join(POSITIVE).encode())
    (tmp_path / "n.txt").write_bytes(joined.join(NEGATIVE).encode())
    built = build(tmp_path, {"kind": "files", "positives": "p.txt", "negatives": "n.txt", "cut": cut})
    assert sorted(built.prompts.texts()) == sorted(POSITIVE + NEGATIVE)


def test_a_csv_table_keeps_other_fields_as_labels_and_names_groups(tmp_path: Path) -> None:
    lines = ["text,label,scene,topic"]
    lines += [
        f'"{text}",{int(text in POSITIVE)},s{i % 4},{THINGS[i % 12]}' for i, text in enumerate(POSITIVE + NEGATIVE)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    built = build(tmp_path, {"kind": "table", "path": "t.csv", "group_field": "scene"})
    assert built.audit.n_positive == built.audit.n_negative == 12
    assert {p.group for p in built.prompts.prompts} == {"s0", "s1", "s2", "s3"}
    assert built.audit.power.n_groups <= 4  # near-duplicates join scenes
    loose = build(tmp_path, {"kind": "table", "path": "t.csv"}, name="loose")
    assert loose.audit.power.n_groups > 4
    assert {p.labels["scene"] for p in loose.prompts.prompts} == {"s0", "s1", "s2", "s3"}
    assert {p.labels["topic"] for p in built.prompts.prompts} == set(THINGS)


def test_a_chat_becomes_one_text_with_its_turns(tmp_path: Path) -> None:
    chats = [
        {"text": [{"role": "user", "content": t}, {"role": "assistant", "content": "Yes."}], "label": t in POSITIVE}
        for t in POSITIVE + NEGATIVE
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    built = build(tmp_path, {"kind": "table", "path": "c.jsonl"})
    assert f"User: {POSITIVE[0]}\n\nAssistant: Yes." in built.prompts.texts()


@pytest.mark.parametrize(
    ("content", "error", "named"),
    [
        ('{"text": "a", "label": "positive"}\n{"label": "negative"}', InvalidPrompts, "row 2"),
        ('{"text": "", "label": "positive"}', InvalidPrompts, "row 1"),
        ("[1]", InvalidPrompts, "row 1"),
        ('{"text": "a", "label": null}', InvalidPrompts, "a missing label is not a negative"),
        ("{", MalformedFile, "t.jsonl"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_written(
    tmp_path: Path, content: str, error: type[LabError], named: str
) -> None:
    (tmp_path / "t.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(error, match=named):
        build(tmp_path, {"kind": "table", "path": "t.jsonl"})
    assert not (tmp_path / "prompts").exists()


def test_a_file_outside_the_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathOutsideWorkspace):
        build(tmp_path, {"kind": "preset", "path": "../preset.json"})


def test_another_set_of_the_same_name_is_kept_unless_replace_is_said(tmp_path: Path) -> None:
    first = build(tmp_path, texts())
    before = (tmp_path / first.path).read_bytes()
    assert build(tmp_path, texts()).prompts.sha256 == first.prompts.sha256
    other = texts(positives=POSITIVE[:6], negatives=NEGATIVE[:6])
    with pytest.raises(PromptSetExists):
        build(tmp_path, other)
    assert (tmp_path / first.path).read_bytes() == before
    build(tmp_path, other, replace=True)
    assert (tmp_path / first.path).read_bytes() != before
    (kept,) = (tmp_path / "prompts" / "replaced").iterdir()
    assert kept.read_bytes() == before


def test_the_same_prompts_for_another_criterion_are_another_set(tmp_path: Path) -> None:
    build(tmp_path, texts())
    with pytest.raises(PromptSetExists, match="another criterion"):
        build(tmp_path, texts(), criterion="the speaker is rude")
    build(tmp_path, texts(), criterion="the speaker is rude", replace=True)
    assert [
        found.criterion for found in list_registry(Settings(workspace=tmp_path)) if found.origin == "workspace"
    ] == ["the speaker is rude"]


def asked(workspace: Path, **changed: Any) -> str:
    request = {"name": "polite", "criterion": "the speaker asks politely", "source": {"kind": "ask", "n_per_side": 12}}
    model = BuildPromptsRequest.model_validate(request | changed)
    return ask_for_texts(model, model.source, Settings(workspace=workspace)).request_id  # type: ignore[arg-type]


def answer(request_id: str) -> dict[str, Any]:
    rows = [{"text": t, "label": "positive" if t in POSITIVE else "negative"} for t in POSITIVE + NEGATIVE]
    return {"kind": "answer", "request_id": request_id, "candidates": rows}


def test_what_was_asked_is_found_again_by_the_answer_in_another_process(tmp_path: Path) -> None:
    request_id = asked(tmp_path)
    assert asked(tmp_path) == request_id
    built = build(tmp_path, answer(request_id))
    assert built.audit.n_prompts == 24


def test_an_answer_to_nothing_or_to_another_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownGenerationRequest):
        build(tmp_path, answer("0" * 16))
    request_id = asked(tmp_path)
    with pytest.raises(InvalidRequest, match="asks politely"):
        build(tmp_path, answer(request_id), criterion="the speaker is rude")
    file = tmp_path / "prompts" / "requests" / f"{request_id}.json"
    file.write_text(file.read_text(encoding="utf-8").replace("politely", "loudly"), encoding="utf-8")
    with pytest.raises(MalformedFile):
        build(tmp_path, answer(request_id))


def test_the_row_schema_that_is_handed_out_is_the_one_that_candidates_are_checked_by() -> None:
    import jsonschema

    schema = Asked(name="polite", criterion="the speaker asks politely", n_per_side=9).request().row
    jsonschema.validate({"text": "a", "label": "positive"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"text": "a", "label": "maybe"}, schema)


@pytest.mark.parametrize(("n_per_side", "n_groups"), [(12, 12), (24, 24), (60, 24), (200, 50)])
def test_no_more_groups_are_asked_for_than_can_have_both_labels(n_per_side: int, n_groups: int) -> None:
    wanted = Asked(name="polite", criterion="the speaker asks politely", n_per_side=n_per_side).request()
    assert wanted.n_groups == n_groups
    assert any(f"{NEEDED_GROUPS} independent groups" in rule for rule in wanted.rules)


@pytest.mark.parametrize(("n_per_side", "told"), [(NEEDED_GROUPS - 1, True), (NEEDED_GROUPS, False)])
def test_a_question_for_too_few_texts_says_how_many_a_grade_needs(tmp_path: Path, n_per_side: int, told: bool) -> None:
    source = {"kind": "ask", "n_per_side": n_per_side}
    request = BuildPromptsRequest.model_validate({"name": "p", "criterion": "it is polite", "source": source})
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        said = BUILD_PROMPTS.handler(request, lab)
    assert any(f"{NEEDED_GROUPS} independent groups" in warning for warning in said.warnings) is told


def test_texts_that_differ_in_a_number_alone_are_kept_and_share_a_group() -> None:
    rows = [row(f"The label reads {n}.", label) for n, label in ((9, "positive"), (38, "negative"), (38, "negative"))]
    made = assemble(rows, balance=False)
    assert [kept.text for kept in made.kept] == ["The label reads 9.", "The label reads 38."]
    assert [dropped.reason for dropped in made.dropped] == ["duplicate"]
