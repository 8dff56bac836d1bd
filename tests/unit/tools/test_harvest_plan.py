"""What a dry run of harvest says: counted where files tell, measured where a run has been, left out otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.models import ModelRef
from interp_lab.errors import DoesNotFit, HookPointUnavailable, InvalidDocuments, LabError
from interp_lab.models.facts import read_facts
from interp_lab.models.rates import Rate, known_rate, macs_per_token, record_rate
from interp_lab.models.reference import fingerprint
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import deepest, device_key
from interp_lab.workflows.harvesting.probe import measure
from interp_lab_tools import harvest as tool
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

REQUEST: dict[str, Any] = {"model": "tiny", "dataset": "corpus.jsonl", "addresses": ["resid_post.1", "mlp_act.0"]}


@pytest.fixture
def settings(tiny_models: Callable[[str], Path], tmp_path: Path) -> Settings:
    shutil.copytree(tiny_models("gpt2"), tmp_path / "tiny")
    rows = [{"text": "the cat sat on the mat"}, {"text": "the dog ran"}] * 10
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0)


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are made without the process that measures, except where a test says what it answers."""
    monkeypatch.setattr(tool, "answer_of", lambda *_, **__: None)


def plan(settings: Settings, **changes: Any) -> dict[str, Any]:
    with Lab.open(settings) as lab:
        view = dispatch(lab, "harvest", {**REQUEST, **changes, "dry_run": True})
    assert isinstance(view, JobView)
    assert view.plan is not None
    return {**view.plan, "summary": view.summary}


def n_tokens(settings: Settings) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(settings.workspace / "tiny" / "tokenizer.json"))
    return 10 * sum(len(tokenizer.encode(text).ids) for text in ("the cat sat on the mat", "the dog ran"))


def test_tokens_are_counted_with_the_tokenizer_of_the_model(settings: Settings) -> None:
    found = plan(settings)
    assert (found["n_documents"], found["n_tokens"], found["tokens_source"]) == (20, n_tokens(settings), "counted")
    assert found["scalars_per_token"] == 32 + 128
    assert found["bytes"] >= found["n_tokens"] * 2 * (32 + 128)


def test_a_corpus_too_long_to_count_is_extrapolated_and_said_so(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(tool, "COUNTED_CHARACTERS", 100)
    found = plan(settings)
    assert found["tokens_source"] == "extrapolated"
    assert found["n_tokens"] == pytest.approx(n_tokens(settings), rel=0.2)
    assert "about" in found["summary"]


def test_generated_text_counts_as_an_upper_bound(settings: Settings) -> None:
    found = plan(settings, generate={"max_new_tokens": 7})
    assert (found["n_tokens"], found["tokens_source"]) == (n_tokens(settings) + 20 * 7, "upper_bound")


def test_before_the_first_run_a_dry_run_measures_the_model_in_a_process_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Rate] = []

    def answer_of(module: str, given: bytes, _: Settings, **__: Any) -> bytes:
        assert module == "interp_lab.workflows.harvesting.probe"
        rate = measure(HarvestRequest.model_validate_json(given), settings)
        assert rate is not None
        measured.append(rate)
        return rate.model_copy(update={"macs_per_s": 500.0}).model_dump_json().encode()

    monkeypatch.setattr(tool, "answer_of", answer_of)
    found = plan(settings)
    macs = macs_per_token(read_facts(settings.workspace / "tiny"), 1)
    assert macs is not None
    assert found["seconds"] == pytest.approx(n_tokens(settings) * macs / 500.0, abs=0.1)
    assert "a probe of this model here" in found["seconds_source"]
    (rate,) = measured
    assert rate.n_tokens >= 512
    kept = known_rate(WorkspacePaths.of(settings).root, fingerprint(ModelRef(id="tiny"), settings), rate.device)
    assert kept == rate


def test_where_the_model_cannot_be_measured_there_is_a_bound_that_was(settings: Settings) -> None:
    found = plan(settings)
    assert "seconds" not in found
    assert found["seconds_at_least"] >= 0
    assert "matrix products" in found["seconds_source"]


def test_after_a_run_the_time_is_its_rate_scaled_by_the_arithmetic(settings: Settings) -> None:
    facts = read_facts(settings.workspace / "tiny")
    plan(settings)
    stamp = fingerprint(ModelRef(id="tiny"), settings)
    key = device_key("cpu", "float32", settings.threads_per_slot())
    now = datetime.now(UTC)
    rate = Rate(model="tiny", device=key, macs_per_s=1000.0, n_tokens=600, measured_at=now, job_id="0" * 32)
    root = WorkspacePaths.of(settings).root
    record_rate(root, stamp, rate)
    assert known_rate(root, stamp, key) == rate
    assert known_rate(root, "other files", key) is None
    found = plan(settings)
    macs = macs_per_token(facts, 1)
    assert macs is not None
    assert found["seconds"] == pytest.approx(n_tokens(settings) * macs / 1000.0, abs=0.1)
    assert "a run of this model here on 600 tokens" in found["seconds_source"]
    assert plan(settings, metrics=["loss"])["seconds"] > found["seconds"]


def test_the_time_on_an_accelerator_that_never_ran_is_unknown(settings: Settings) -> None:
    found = plan(settings, model={"id": "tiny", "device": "cuda"})
    assert not {"seconds", "seconds_at_least"} & found.keys()


def test_a_store_that_the_disk_cannot_hold_is_refused_before_it_starts(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("interp_lab.workflows.harvesting.cost.free_bytes", lambda _: settings.min_free_bytes + 9000)
    with pytest.raises(DoesNotFit) as refused:
        plan(settings)
    assert "max_documents" in refused.value.remedy


def test_a_model_that_the_memory_cannot_hold_is_refused(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("interp_lab_tools.harvest.peak_bytes", lambda _: 2**60)
    with pytest.raises(DoesNotFit, match="memory"):
        plan(settings)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"addresses": ["attn_probs.0"]}, HookPointUnavailable),
        ({"addresses": ["resid_post.9"]}, LabError),
        ({"dataset": {"kind": "jsonl", "path": "corpus.jsonl", "text_field": "body"}}, InvalidDocuments),
        ({"metrics": ["target_rank"]}, LabError),
        ({"targets": [" cat"]}, LabError),
    ],
)
def test_what_cannot_work_is_refused_while_the_caller_waits(settings: Settings, changes, error) -> None:
    with pytest.raises(error):
        plan(settings, **changes)


@pytest.mark.parametrize(
    ("addresses", "depth"),
    [
        (["embed"], -1),
        (["resid_pre.2"], 1),
        (["resid_post.1", "mlp_out.2"], 2),
        (["module:a.b"], 4),
        (["logits"], None),
    ],
)
def test_only_blocks_up_to_the_deepest_address_cost_anything(addresses: list[str], depth: int | None) -> None:
    assert deepest([Address.parse(text) for text in addresses], 5) == depth


def test_the_arithmetic_of_a_token_is_that_of_the_weight_matrices(settings: Settings) -> None:
    facts = read_facts(settings.workspace / "tiny")
    block = 4 * 32 * 32 + 2 * 32 * 128
    assert [macs_per_token(facts, depth) for depth in (-1, 0, 2, None)] == [0, block, 3 * block, 3 * block + 320 * 32]


def test_every_example_and_short_form_is_a_valid_request() -> None:
    request = HarvestRequest.model_validate(tool.HARVEST.example)
    again = HarvestRequest.model_validate(request.model_dump(mode="json", exclude_defaults=True))
    assert again == request


@pytest.mark.parametrize(("said", "seconds"), [(b"a library says hello\n%s\n", True), (b"%s\nno rate", False)])
def test_what_libraries_print_is_not_taken_for_the_measurement(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, said: bytes, seconds: bool
) -> None:
    rate = Rate(model="tiny", device="cpu", macs_per_s=500.0, n_tokens=600, measured_at=datetime.now(UTC))
    monkeypatch.setattr(tool, "answer_of", lambda *_, **__: said % rate.model_dump_json().encode())
    assert ("seconds" in plan(settings)) is seconds
