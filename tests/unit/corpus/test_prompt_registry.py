"""Prompt sets by name: workspace before the operator's folders before the box, and a broken file hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from interp_lab.contracts.build_prompts import BuildPromptsRequest
from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.corpus import prompt_registry
from interp_lab.corpus.catalogue import list_builtin_datasets
from interp_lab.corpus.corpora import corpus_stamp, open_corpus
from interp_lab.corpus.prompt_registry import SetEntry, list_registry
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import InvalidPrompts, InvalidRequest, LabError, MalformedFile, UnknownDataset
from interp_lab.settings import Settings
from interp_lab.workflows.build_prompts import build_prompts
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab

PROMPTS: TypeAdapter[Any] = TypeAdapter(PromptArgument)
CORPUS: TypeAdapter[Any] = TypeAdapter(CorpusArgument)


def preset(word: str = "please", **more: Any) -> str:
    """A preset as the interp-lab package of PyPI writes it."""
    value = {
        "name": "polite",
        "label": "Politeness",
        "criterion": f"the speaker says {word}",
        "positive_prompts": [f"{word} hand me the {thing}" for thing in ("cup", "key", "map")],
        "negative_prompts": [f"hand me that {thing} now" for thing in ("cup", "key", "map")],
        "target_token_hints": [" please"],
        "recommended_next_actions": [],
        "defaults": {"workflow": "discovery", "layers": "all"},
    }
    return json.dumps(value | more)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("workspace/prompts", "first", "second"):
        (tmp_path / name).mkdir(parents=True)
    return Settings(workspace=tmp_path / "workspace", prompt_dirs=(tmp_path / "first", tmp_path / "second"))


def opened(argument: str, settings: Settings) -> PromptSet:
    return open_prompts(PROMPTS.validate_python(argument), settings)


def own(settings: Settings) -> list[SetEntry]:
    return [entry for entry in list_registry(settings) if entry.origin != "builtin"]


def test_the_workspace_comes_before_the_operators_folders_and_those_before_the_box(settings: Settings) -> None:
    first, second = settings.prompt_dirs
    (second / "question.json").write_text(preset("second"))
    assert opened("set:question", settings).name == "user:question"
    (first / "question.json").write_text(preset("first"))
    assert opened("set:question", settings).texts()[0].startswith("first")
    (settings.workspace / "prompts" / "question.json").write_text(preset("own"))
    found = opened("set:question", settings)
    assert (found.name, found.texts()[0]) == ("workspace:question", "own hand me the cup")
    assert opened("user:question", settings).texts()[0].startswith("first")
    assert opened("builtin:question", settings).name == "builtin:question"
    assert opened("set:negation", settings).name == "builtin:negation"


def test_a_list_shows_where_each_set_lies_and_which_ones_are_hidden(settings: Settings) -> None:
    for folder in (settings.workspace / "prompts", *settings.prompt_dirs):
        (folder / "question.json").write_text(preset())
    mine, users, lost = own(settings)
    assert [(e.origin, e.argument, e.n_prompts, e.caution) for e in (mine, users)] == [
        ("workspace", "workspace:question", 6, ""),
        ("user", "user:question", 6, "set:question means that of the workspace"),
    ]
    assert lost.argument == ""
    assert "before this one" in lost.problem
    boxed = {entry.name: entry for entry in list_registry(settings) if entry.origin == "builtin"}
    assert set(boxed) == set(list_builtin_datasets())
    assert boxed["question"].caution == "set:question means that of the workspace"
    assert boxed["negation"].caution == ""


def test_sets_that_are_as_they_were_are_not_read_for_every_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings.workspace / "prompts" / "mine.json"
    file.write_text(preset())
    (settings.prompt_dirs[0] / "mine.json").write_text(preset())
    read: list[str] = []

    def counted(folder: Any, name: str) -> int:
        read.append(f"{folder.origin}:{name}")
        return count(folder, name)

    count = prompt_registry._count  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(prompt_registry, "_count", counted)
    before = own(settings)
    assert own(settings) == before
    assert read == ["workspace:mine", "user:mine"]
    file.write_text(preset(positive_prompts=["please"]))
    assert [(entry.n_prompts, entry.caution) for entry in own(settings)] == [
        (4, ""), (6, "set:mine means that of the workspace")
    ]  # fmt: skip
    file.unlink()
    assert [(entry.argument, entry.caution) for entry in own(settings)] == [("user:mine", "")]


def test_a_preset_of_another_tool_is_a_dataset_with_its_criterion(settings: Settings) -> None:
    (settings.prompt_dirs[0] / "polite_ones.json").write_text(preset())
    found = opened("user:polite_ones", settings)
    assert [prompt.score for prompt in found.prompts] == [1.0] * 3 + [0.0] * 3
    assert own(settings)[0].criterion == "the speaker says please"


def test_rows_count_and_the_preset_beside_them_describes(settings: Settings) -> None:
    folder = settings.prompt_dirs[0]
    rows = [{"text": "a", "score": 1, "group": "g"}, {"text": "b", "score": 0}]
    (folder / "pair.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "pair.json").write_text(json.dumps({"criterion": "is an a", "pooling": "last"}))
    (entry,) = own(settings)
    assert (entry.criterion, entry.pooling, entry.n_prompts) == ("is an a", "last", 2)
    assert opened("set:pair", settings).prompts[0].group == "g"


BROKEN = {
    "not_json.json": "{",
    "no_lists.json": json.dumps({"criterion": "x"}),
    "no_criterion.json": preset(criterion=" "),
    "a_number.json": preset(positive_prompts=["x", 7]),
    "an_array.json": "[]",
    "no_score.jsonl": '{"text": "a"}\n{"text": "b"}\n',
    "a name.json": preset(),
    "deep.json": "[" * 200 + "]" * 200,
}


@pytest.mark.parametrize("file", BROKEN)
def test_a_broken_file_is_named_with_the_reason_and_hides_no_other(settings: Settings, file: str) -> None:
    folder = settings.prompt_dirs[0]
    (folder / file).write_text(BROKEN[file])
    (folder / "polite.json").write_text(preset())
    entries = {entry.name: entry for entry in own(settings)}
    assert entries["polite"].problem == ""
    broken = entries[Path(file).stem]
    assert broken.problem
    if broken.argument:
        with pytest.raises((MalformedFile, InvalidPrompts)):
            opened(broken.argument, settings)


def test_a_broken_set_is_refused_and_never_replaced_by_one_of_a_later_folder(settings: Settings) -> None:
    (settings.workspace / "prompts" / "question.json").write_text("{")
    with pytest.raises(MalformedFile, match="workspace:question"):
        opened("set:question", settings)


def test_rows_are_usable_when_only_their_preset_is_broken(settings: Settings) -> None:
    folder = settings.prompt_dirs[0]
    (folder / "pair.jsonl").write_text('{"text": "a", "score": 1}\n{"text": "b", "score": 0}\n')
    (folder / "pair.json").write_text("{")
    (entry,) = own(settings)
    assert (entry.problem, entry.n_prompts) == ("", 2)
    assert "not JSON" in entry.caution
    assert len(opened("set:pair", settings).prompts) == 2


def test_a_folder_that_is_not_there_is_named_and_the_others_answer(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "polite.json").write_text(preset())
    settings = Settings(workspace=tmp_path, prompt_dirs=(tmp_path / "gone", tmp_path / "there"))
    gone, there = own(settings)
    assert "not there" in gone.problem
    assert str(tmp_path) not in gone.problem  # where the operator keeps sets is not for an agent
    assert there.name == "polite"
    assert len(opened("set:polite", settings).prompts) == 6


def test_a_link_that_leaves_its_folder_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(preset())
    for folder in (settings.workspace / "prompts", settings.prompt_dirs[0]):
        (folder / "secret.json").symlink_to(tmp_path / "secret.json")
    assert all("outside" in entry.problem or "before" in entry.problem for entry in own(settings))
    for argument in ("workspace:secret", "user:secret"):
        with pytest.raises(LabError, match="outside"):
            opened(argument, settings)


@pytest.mark.parametrize("name", ["../secret", "a/b", "", ".hidden", "x" * 101, "a\0b"])
def test_no_name_leads_out_of_a_folder(settings: Settings, name: str) -> None:
    with pytest.raises(ValidationError):
        PROMPTS.validate_python(f"set:{name}")
    source = {"kind": "preset", "path": f"user:{name}"}
    request = BuildPromptsRequest.model_validate({"name": "mine", "criterion": "says it", "source": source})
    with pytest.raises(InvalidRequest):
        build_prompts(request, settings)


def test_an_unknown_name_is_answered_with_the_names_that_there_are(settings: Settings) -> None:
    (settings.prompt_dirs[0] / "polite.json").write_text(preset())
    with pytest.raises(UnknownDataset, match=r"user:polite, builtin:date"):
        opened("set:impolite", settings)
    with pytest.raises(UnknownDataset, match="in workspace; there are: none"):
        opened("workspace:polite", settings)


@pytest.mark.parametrize("adapter", [PROMPTS, CORPUS], ids=["prompts", "corpus"])
@pytest.mark.parametrize("text", ["set:a-b_c.1", "user:polite", "workspace:polite", "builtin:question"])
def test_a_name_survives_being_written_into_a_next_action(adapter: TypeAdapter[Any], text: str) -> None:
    assert adapter.dump_python(adapter.validate_python(text), mode="json") == text


def test_a_harvest_reads_a_named_set_and_records_whose_it_was(settings: Settings) -> None:
    (settings.prompt_dirs[0] / "polite.json").write_text(preset())
    source = CORPUS.validate_python("set:polite")
    before = corpus_stamp(source, settings)
    corpus = open_corpus(source, settings)
    assert (corpus.name, len(corpus.documents)) == ("user:polite", 6)
    (settings.workspace / "prompts" / "polite.json").write_text(preset("kindly"))
    assert open_corpus(source, settings).name == "workspace:polite"
    assert corpus_stamp(source, settings) != before


def test_a_set_is_built_from_a_preset_by_its_name(settings: Settings) -> None:
    things = [f"hand me {thing}" for thing in ("cups", "keys", "maps", "pens", "jars", "hats", "bags", "coats")]
    value = preset(positive_prompts=[f"please {t}" for t in things], negative_prompts=[f"now {t}" for t in things])
    (settings.prompt_dirs[1] / "polite.json").write_text(value)
    source = {"kind": "preset", "path": "user:polite"}
    request = BuildPromptsRequest.model_validate({"name": "mine", "criterion": "says please", "source": source})
    built = build_prompts(request, settings)
    assert opened("workspace:mine", settings).sha256 == built.prompts.sha256
    assert sorted(built.prompts.texts()) == sorted(json.loads(value)["positive_prompts"] + [f"now {t}" for t in things])


def test_the_overview_lists_every_origin_and_names_what_is_broken(settings: Settings) -> None:
    (settings.prompt_dirs[0] / "polite.json").write_text(preset())
    (settings.prompt_dirs[0] / "torn.json").write_text("{")
    with Lab.open(settings) as lab:
        result = call(lab, "lab_overview", {"sections": ["datasets"]})
    assert {entry.origin for entry in result.datasets} == {"builtin", "user"}
    assert any("torn" in warning and "not JSON" in warning for warning in result.warnings)
    listed = {entry.name: entry for entry in result.datasets if not entry.problem}
    assert listed["polite"].argument == "user:polite"


def test_an_unlistable_folder_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    settings = Settings(workspace=tmp_path, prompt_dirs=(tmp_path / "file",))
    with pytest.raises(UnknownDataset):
        opened("user:polite", settings)
    assert own(settings)[0].problem
