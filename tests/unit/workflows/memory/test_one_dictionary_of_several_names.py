"""A dictionary is what its files hold: by its folder or by its artifact it is one, under one name it may be two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.contracts.hypotheses import RegisterHypothesisResult
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.corpus.sources import open_prompts
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.registered import earlier_looks_of
from interp_lab.workflows.intervening.sources import find_units
from interp_lab.workflows.memory.confirming import Intended, looks_before, refuse_other_run
from interp_lab.workflows.memory.contents import input_name, read_input
from interp_lab.workflows.memory.history import contents_of, read_history
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    DATASET,
    MODEL,
    Json,
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    publish_files,
    unit_card,
    workspace,
)

FILES = {"cfg.json": "{}", "sae_weights.safetensors": "weights"}
OTHER = FILES | {"sae_weights.safetensors": "other weights"}
LABEL = "resid_post.2/topk-8"
FOLDER = "saes/mine"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def write_folder(settings: Settings, name: str, files: Mapping[str, str]) -> str:
    folder = settings.workspace / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    return name


def inspected(settings: Settings, dictionary: str, *, at: int = 0, noted: bool = False, **request: Any) -> str:
    inputs = {input_name(dictionary, 0): read_input(dictionary, settings)} if noted else {}
    report = inspect_report([card(1, 5, "weak", address=LABEL)])
    return publish(settings, report, request={"dictionaries": [dictionary], **request}, at=at, inputs=inputs)


def edited(settings: Settings, dictionary: str, at: int = 0) -> str:
    name = f"{dictionary[:40]} #5"
    unit: Json = {"dictionary": dictionary, "index": 5}
    report = intervene_report([unit_card(name, "weak", [edit_card(0.1)])])
    return publish(settings, report, request={"units": [unit]}, at=at)


def ids(settings: Settings) -> list[set[str]]:
    runs = read_history(settings).runs
    by_id = {run.id: run for run in runs}
    return [set((coordinate_ids(run) or edited_ids(run, by_id.get)).values()) for run in runs]


def test_a_latent_is_one_unit_whether_its_dictionary_is_named_by_folder_or_artifact(settings: Settings) -> None:
    artifact = publish_files(settings, "dictionary", FILES)
    for at, name in enumerate((artifact, write_folder(settings, FOLDER, FILES), write_folder(settings, "copy", FILES))):
        inspected(settings, name, at=2 * at)
        edited(settings, name, 2 * at + 1)
    assert ids(settings) == [{f"{artifact}#5"}] * 6


def test_dictionaries_of_other_content_stay_two_whatever_they_are_called(settings: Settings) -> None:
    artifacts = [publish_files(settings, "dictionary", files) for files in (FILES, OTHER)]
    for at, name in enumerate(
        (*artifacts, write_folder(settings, "a/sae", FILES), write_folder(settings, "b/sae", OTHER))
    ):
        inspected(settings, name, at=at)
    first, second = ({f"{name}#5"} for name in artifacts)
    assert ids(settings) == [first, second, first, second]


def test_a_folder_that_held_another_dictionary_then_was_another_unit_then(settings: Settings) -> None:
    artifacts = [publish_files(settings, "dictionary", files) for files in (FILES, OTHER)]
    for at, files in enumerate((FILES, OTHER)):
        inspected(settings, write_folder(settings, FOLDER, files), at=at, noted=True)
    assert ids(settings) == [{f"{name}#5"} for name in artifacts]


def test_a_dictionary_that_is_gone_keeps_its_name_unless_the_run_noted_what_it_was(settings: Settings) -> None:
    artifact = publish_files(settings, "dictionary", FILES)
    write_folder(settings, FOLDER, FILES)
    for at, noted in enumerate((True, False)):
        inspected(settings, FOLDER, at=at, noted=noted)
    (settings.workspace / FOLDER / "cfg.json").unlink()
    assert ids(settings) == [{f"{artifact}#5"}, {f"{FOLDER}#5"}]


def test_the_other_name_of_a_dictionary_buys_no_fresh_look_and_costs_none(settings: Settings) -> None:
    artifact, folder = publish_files(settings, "dictionary", FILES), write_folder(settings, FOLDER, FILES)
    other = write_folder(settings, "other", OTHER)
    prompts = open_prompts(InterveneRequest.model_validate(run(folder)).dataset, settings)
    facts = {"sha256": prompts.sha256, "n_positive": sum(prompts.positive(0.5))}
    for at, pooling in enumerate(("max", "mean")):
        report = inspect_report([card(1, 5, "weak", address=LABEL)])
        report = report.model_copy(update={"dataset": report.dataset.model_copy(update=facts)})
        publish(settings, report, request={"dictionaries": [artifact], "pooling": pooling}, at=at)
    intended = Intended(
        InterveneRequest.model_validate(run(folder)).model, CRITERION, prompts.sha256,
        n_positive=sum(prompts.positive(0.5)), seed=0, metric="auroc", units=None,
    )  # fmt: skip
    for name, n in ((folder, 1), (artifact, 1), (other, 2)):
        asked: Json = {
            "model": MODEL, "criterion": CRITERION, "dataset": DATASET, "seed": 0, "pooling": "mean",
            "dictionaries": [name],
        }  # fmt: skip
        assert looks_before(intended, asked, settings, edits=False) == {f"{artifact}#5": n}


def run(dictionary: str, **changes: Any) -> Json:
    units = [{"dictionary": dictionary, "index": 5}]
    return {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "units": units} | changes


def looks(settings: Settings, dictionary: str) -> dict[str, int]:
    request = InterveneRequest.model_validate(run(dictionary, strengths=[3.0]))
    prompts = open_prompts(request.dataset, settings)
    return earlier_looks_of(request, prompts, find_units(request, prompts, settings), settings)


def test_edits_of_a_dictionary_are_looks_at_it_under_its_other_name(settings: Settings) -> None:
    artifact, folder = publish_files(settings, "dictionary", FILES), write_folder(settings, FOLDER, FILES)
    prompts = open_prompts(InterveneRequest.model_validate(run(folder)).dataset, settings)
    report = intervene_report([unit_card(f"{artifact[:40]} #5", "weak", [edit_card(0.1)])])
    facts = {"sha256": prompts.sha256, "n_positive": sum(prompts.positive(0.5))}
    report = report.model_copy(update={"dataset": report.dataset.model_copy(update=facts)})
    publish(settings, report, request={"units": run(artifact)["units"]})
    assert list(looks(settings, folder).values()) == [1]
    assert looks(settings, write_folder(settings, "other", OTHER)) == {}


def test_a_hypothesis_about_a_dictionary_is_tested_under_its_other_name_alone(settings: Settings) -> None:
    artifact, folder = publish_files(settings, "dictionary", FILES), write_folder(settings, FOLDER, FILES)
    other = write_folder(settings, "other", OTHER)
    said = {
        "model": MODEL, "criterion": CRITERION, "unit": run(folder)["units"][0], "direction": "raises",
        "metric": "logit_difference", "least_effect": 0.5, "dataset": DATASET,
    }  # fmt: skip
    with Lab.open(settings, frozenset(capability.toolset for capability in CAPABILITIES)) as lab:
        answer = call(lab, "register_hypothesis", said)
    assert isinstance(answer, RegisterHypothesisResult)
    for name in (artifact, folder):
        record = refuse_other_run(answer.hypothesis, intended_edit(settings, name), settings)
        assert record is not None
        assert record.unit == f"{artifact}#5"
    with pytest.raises(errors.HypothesisMismatch, match="unit"):
        refuse_other_run(answer.hypothesis, intended_edit(settings, other), settings)


def intended_edit(settings: Settings, dictionary: str) -> Intended:
    request = InterveneRequest.model_validate(run(dictionary))
    prompts = open_prompts(request.dataset, settings)
    return Intended(
        request.model, CRITERION, prompts.sha256, n_positive=sum(prompts.positive(0.5)), seed=0,
        metric="logit_difference", units={contents_of(settings).unit(f"{dictionary}#5")},
    )  # fmt: skip
