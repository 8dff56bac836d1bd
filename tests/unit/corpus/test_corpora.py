from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.corpus.corpora import corpus_stamp, glance, open_corpus
from interp_lab.corpus.document import Document, Message
from interp_lab.corpus.grouping import group_documents, join_equal
from interp_lab.corpus.labels import label_fields, label_values
from interp_lab.errors import InvalidDocuments, InvalidPath, MalformedFile, PathOutsideWorkspace
from interp_lab.settings import Settings

ARGUMENT: TypeAdapter[Any] = TypeAdapter(CorpusArgument)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path)


def lines(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def documents(source: Any, settings: Settings) -> list[Document]:
    return list(open_corpus(ARGUMENT.validate_python(source), settings).documents)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("builtin:units", "builtin"),
        ("a/b.jsonl", "jsonl"),
        ("b.PARQUET", "parquet"),
        ("notes.txt", "text"),
        ("d", "text"),
    ],
)
def test_a_source_can_be_written_as_one_word_and_is_written_back_so(text: str, kind: str) -> None:
    source = ARGUMENT.validate_python(text)
    assert source.kind == kind
    assert ARGUMENT.dump_python(source, mode="json") == text


def test_an_option_that_matters_is_written_back() -> None:
    given = {"kind": "text", "path": "a.txt", "unit": "line"}
    assert ARGUMENT.dump_python(ARGUMENT.validate_python(given), mode="json", exclude_defaults=True)["unit"] == "line"


def test_a_kind_that_the_path_tells_may_be_left_out() -> None:
    assert ARGUMENT.validate_python({"path": "a.jsonl", "text_field": "body"}).kind == "jsonl"


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("paragraph", ["One.\nStill one.", "Two."]),
        ("line", ["One.", "Still one.", "Two."]),
        ("file", ["One.\nStill one.\n\n \nTwo.\n"]),
    ],
)
def test_a_text_file_is_cut_as_asked(settings: Settings, unit: str, texts: list[str]) -> None:
    (settings.workspace / "a.txt").write_text("One.\nStill one.\n\n \nTwo.\n")
    found = documents({"kind": "text", "path": "a.txt", "unit": unit}, settings)
    assert [document.text for document in found] == texts
    assert len({document.id for document in found}) == len(texts)


def test_parts_of_one_file_of_a_folder_belong_together(settings: Settings) -> None:
    (settings.workspace / "d").mkdir()
    for name in ("b.txt", "a.txt", "c.md"):
        (settings.workspace / "d" / name).write_text(f"{name} one\n\n{name} two")
    found = documents("d", settings)
    assert [(d.text, d.group) for d in found] == [
        ("a.txt one", "d/a.txt"),
        ("a.txt two", "d/a.txt"),
        ("b.txt one", "d/b.txt"),
        ("b.txt two", "d/b.txt"),
    ]


def test_labels_keep_their_names_and_types(settings: Settings) -> None:
    row = {"text": "hi", "mood": "glad", "stars": 4, "price": 1.5, "sold": True, "tags": ["x"], "none": None}
    name = lines(settings.workspace, [row, {"text": "ho", "mood": "sad"}])
    found = documents(name, settings)
    assert dict(found[0].labels) == {"mood": "glad", "stars": 4, "price": 1.5, "sold": True}
    assert [(field.name, field.type) for field in label_fields(found)] == [
        ("mood", "category"),
        ("stars", "integer"),
        ("price", "number"),
        ("sold", "boolean"),
    ]
    assert label_values(label_fields(found)[1], found) == [4, None]


def test_a_label_of_mixed_types_is_text() -> None:
    mixed = [Document(id="a", text="x", labels={"n": 3}), Document(id="b", text="x", labels={"n": "three"})]
    (field,) = label_fields(mixed)
    assert (field.type, label_values(field, mixed)) == ("category", ["3", "three"])


def test_a_label_with_many_texts_is_no_category() -> None:
    many = [Document(id=str(i), text="x", labels={"author": f"name {i}"}) for i in range(60)]
    assert label_fields(many)[0].type == "string"


def test_a_label_name_that_no_column_can_have_is_refused() -> None:
    with pytest.raises(InvalidDocuments, match="my label"):
        label_fields([Document(id="a", text="x", labels={"my label": 1})])


def test_rows_that_are_scored_prompts_keep_what_they_say(settings: Settings) -> None:
    row = {
        "id": "q",
        "text": "ten km",
        "score": 1,
        "pair": "7",
        "spans": [{"start": 4, "end": 6}],
        "labels": {"u": "km"},
    }
    (found,) = documents(lines(settings.workspace, [row]), settings)
    assert (found.id, found.score, found.pair, found.spans, dict(found.labels)) == (
        "q",
        1.0,
        "7",
        ((4, 6),),
        {"u": "km"},
    )


def test_pairs_spans_and_subtypes_need_no_score_and_pairs_are_one_group(settings: Settings) -> None:
    rows = [
        {"text": "The cat sat on a mat.", "pair": 7, "subtype": "x", "spans": [{"start": 0, "end": 3}]},
        {"text": "Something else was said there.", "pair": 7, "score": 4.5},
        {"text": "Nobody knew where it came from.", "labels": {"topic": "news"}},
    ]
    found = documents(lines(settings.workspace, rows), settings)
    assert [(d.pair, d.subtype, d.spans, d.score) for d in found] == [
        ("7", "x", ((0, 3),), None),
        ("7", None, (), 4.5),
        (None, None, (), None),
    ]
    assert dict(found[2].labels) == {"topic": "news"}
    assert group_documents(found, [d.text for d in found]).groups == [0, 0, 1]


def test_a_field_that_only_shares_a_name_is_a_label_and_hides_no_other(settings: Settings) -> None:
    row = {"text": "A long review.", "score": "five stars", "spans": "none", "pair": "p"}
    (found,) = documents(lines(settings.workspace, [row]), settings)
    assert (found.score, found.spans, found.pair) == (None, (), "p")
    assert dict(found.labels) == {"score": "five stars", "spans": "none"}


def test_a_text_longer_than_a_prompt_may_be_keeps_its_score(settings: Settings) -> None:
    (found,) = documents(lines(settings.workspace, [{"text": "word " * 50_000, "score": 1}]), settings)
    assert found.score == 1.0


def test_conversations_of_a_pair_are_one_group(settings: Settings) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"{word} {word}"}], "pair": "p"} for word in ("Hello", "Farewell")
    ]
    found = documents({"kind": "chat", "path": lines(settings.workspace, rows)}, settings)
    assert group_documents(found, ["one text", "quite another"]).groups == [0, 0]


def test_a_parquet_file_reads_as_the_same_documents(settings: Settings) -> None:
    rows = [{"body": f"text {i}", "author": "ab"[i % 2], "year": 1990 + i} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), settings.workspace / "t.parquet")
    options = {"text_field": "body", "group_field": "author", "label_fields": ["year"]}
    name = lines(settings.workspace, rows)
    from_parquet = documents({"kind": "parquet", "path": "t.parquet", **options}, settings)
    assert from_parquet == documents({"kind": "jsonl", "path": name, **options}, settings)
    assert [d.group for d in from_parquet] == ["a", "b", "a", "b", "a"]


def test_chats_are_messages_with_labels(settings: Settings) -> None:
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], "harm": False}
    (found,) = documents({"kind": "chat", "path": lines(settings.workspace, [row])}, settings)
    assert found.messages == (Message("user", "Hi"), Message("assistant", "Ho"))
    assert dict(found.labels) == {"harm": False}


def test_blank_rows_are_left_out_and_counted(settings: Settings) -> None:
    name = lines(settings.workspace, [{"text": "a"}, {"text": "  "}, {"text": None}, {"text": "b"}])
    corpus = open_corpus(ARGUMENT.validate_python(name), settings)
    assert ([d.text for d in corpus.documents], corpus.n_blank) == (["a", "b"], 2)


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"body": "a"}], {}, "it has 'body'"),
        ([["a"]], {}, "not an object"),
        ([{"text": "a", "l": [1]}], {"label_fields": ["l"]}, "neither text nor"),
        ([{"text": "a", "id": "x"}, {"text": "b", "id": "x"}], {}, "Id used twice: 'x'"),
        ([{"text": " "}], {}, "holds no text"),
    ],
)
def test_rows_that_cannot_be_read_are_named(
    settings: Settings, rows: list[Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidDocuments, match=words):
        documents({"kind": "jsonl", "path": lines(settings.workspace, rows), **options}, settings)


@pytest.mark.parametrize("messages", ["hi", [{"role": "user"}], ["hi"]])
def test_messages_of_another_form_are_refused(settings: Settings, messages: Any) -> None:
    with pytest.raises(InvalidDocuments):
        documents({"kind": "chat", "path": lines(settings.workspace, [{"messages": messages}])}, settings)


def test_files_outside_missing_or_of_another_format_are_refused(settings: Settings) -> None:
    (settings.workspace / "x.parquet").write_bytes(b"no")
    (settings.workspace / "x.txt").write_bytes(b"\xff\xfe")
    (settings.workspace / "empty").mkdir()
    for source, error in [
        ("../secret.txt", PathOutsideWorkspace),
        ("none.jsonl", InvalidPath),
        ("x.parquet", MalformedFile),
        ("x.txt", MalformedFile),
        ("empty", InvalidDocuments),
    ]:
        with pytest.raises(error):
            documents(source, settings)


def test_a_glance_reads_only_the_beginning_and_says_how_much_that_is(settings: Settings) -> None:
    name = lines(settings.workspace, [{"text": "x" * 100} for _ in range(50)])
    seen = glance(ARGUMENT.validate_python(name), settings, max_characters=1000)
    assert len(seen.documents) == 10
    assert seen.share == pytest.approx(0.2)
    whole = glance(ARGUMENT.validate_python(name), settings, max_characters=10**6)
    assert (len(whole.documents), whole.share) == (50, 1.0)


def test_the_stamp_of_a_file_changes_with_it(settings: Settings) -> None:
    name = lines(settings.workspace, [{"text": "a"}])
    before = corpus_stamp(ARGUMENT.validate_python(name), settings)
    assert before == corpus_stamp(ARGUMENT.validate_python(name), settings)
    lines(settings.workspace, [{"text": "ab"}])
    assert before != corpus_stamp(ARGUMENT.validate_python(name), settings)


def test_near_duplicates_pairs_and_named_groups_are_one_group() -> None:
    texts = ["the cat sat on the mat today", "the cat sat on the mat todai", "a", "b", "quite another", "zzz yyy xxx"]
    marks = [{}, {}, {"pair": "p"}, {"pair": "p"}, {"group": "g"}, {"group": "g"}]
    found = group_documents(
        [Document(id=str(i), text=t, **m) for i, (t, m) in enumerate(zip(texts, marks, strict=True))], texts
    )
    assert found.groups == [0, 0, 1, 1, 2, 2]


def test_a_corpus_too_large_to_compare_still_joins_what_is_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_lab.corpus.grouping.NEAR_DUPLICATES_MAX", 1)
    texts = ["Room 1 is free", "room  2 is free", "other"]
    found = group_documents([Document(id=str(i), text=t) for i, t in enumerate(texts)], texts)
    assert found.groups == [0, 0, 1]
    assert "too much text" in found.rule


@given(st.lists(st.tuples(st.integers(0, 5) | st.none(), st.integers(0, 5) | st.none()), max_size=8))
def test_equal_values_join_and_nothing_else_does(rows: list[tuple[int | None, int | None]]) -> None:
    groups = join_equal([[a for a, _ in rows], [b for _, b in rows]])
    reach = [{i} for i in range(len(rows))]
    for _ in rows:
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                if any(x is not None and x == y for x, y in zip(a, b, strict=True)):
                    reach[i] |= reach[j]
    assert [[groups[i] == groups[j] for j in range(len(rows))] for i in range(len(rows))] == [
        [j in reach[i] for j in range(len(rows))] for i in range(len(rows))
    ]
