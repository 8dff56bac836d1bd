"""Every bad input to inspect is refused with its own code before any job exists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

POSITIVE = {"text": "the cat sat", "score": 1}
NEGATIVE = {"text": "the dog ran", "score": 0}
OTHERS = ({"text": "one more cat slept", "score": 1}, {"text": "it was raining there", "score": 0})


@pytest.fixture
def lab(tiny_models: Callable[[str], Path], tmp_path: Path) -> Iterator[Lab]:
    shutil.copytree(tiny_models("gpt2"), tmp_path / "tiny")
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened
        for job in opened.engine.list_jobs().items:
            opened.engine.cancel(job.id)


def ask(lab: Lab, **changes: Any) -> None:
    request = {"model": "tiny", "criterion": "about a cat", "dataset": inline(POSITIVE, NEGATIVE, *OTHERS), **changes}
    dispatch(lab, "inspect", {**request, "wait_s": 0})


def inline(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "prompts": list(rows)}


def lines(lab: Lab, name: str, *texts: str) -> str:
    (lab.settings.workspace / name).write_text("\n".join(texts), encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"dataset": inline(POSITIVE, {**POSITIVE, "text": "a cat"})}, errors.OneSidedPrompts),
        ({"dataset": inline(NEGATIVE, {**NEGATIVE, "text": "a dog"})}, errors.OneSidedPrompts),
        ({"dataset": inline({**POSITIVE, "id": "x"}, {**NEGATIVE, "id": "x"})}, errors.DuplicatePromptIds),
        ({"dataset": inline(POSITIVE, {"text": "b", "score": float("nan")})}, errors.InvalidRequest),
        ({"dataset": inline(POSITIVE, {"text": "  \n", "score": 0})}, errors.EmptyPrompt),
        ({"dataset": inline(POSITIVE, {"text": "cat " * 100, "score": 0})}, errors.PromptTooLong),
        ({"model": "missing/folder/name"}, errors.UnknownModel),
        ({"model": "some-org/not-here"}, errors.HubUnreachable),
        ({"addresses": ["resid_post.3"]}, errors.LayerOutOfRange),
        ({"addresses": ["resid_pots.0"]}, errors.InvalidRequest),
        ({"addresses": ["resid_post.0", "attn_probs.0"]}, errors.HookPointUnavailable),
        ({"dataset": "../outside.jsonl"}, errors.PathOutsideWorkspace),
        ({"dataset": "not-there.jsonl"}, errors.InvalidPath),
        ({"dataset": "builtin:not-there"}, errors.UnknownDataset),
        ({"pooling": "span"}, errors.InvalidPrompts),
        ({"dataset": inline(POSITIVE, NEGATIVE)}, errors.SplitImpossible),
    ],
)
def test_a_bad_request_is_refused_and_leaves_no_job(
    lab: Lab, changes: dict[str, Any], refusal: type[errors.LabError]
) -> None:
    with pytest.raises(refusal):
        ask(lab, **changes)
    assert lab.engine.list_jobs().items == ()


def test_the_valid_range_of_layers_is_part_of_the_refusal(lab: Lab) -> None:
    with pytest.raises(errors.LayerOutOfRange, match="0 to 2"):
        ask(lab, addresses=["resid_post.3"])


@pytest.mark.guarantee("no-code-from-weights")
def test_a_model_with_only_pickled_weights_is_refused_unread(lab: Lab) -> None:
    folder = lab.settings.workspace / "tiny"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(errors.UnsafeWeights):
        ask(lab)
    assert not (lab.settings.workspace / "pwned").exists()
    assert lab.engine.list_jobs().items == ()


@pytest.mark.parametrize("row", ['{"text": "b", "score": NaN}', '{"text": "b", "score": 1e999}', '{"text": "b"', "[]"])
def test_a_row_of_a_file_that_is_no_scored_prompt_is_refused(lab: Lab, row: str) -> None:
    name = lines(lab, "set.jsonl", json.dumps(POSITIVE), json.dumps(NEGATIVE), row)
    with pytest.raises((errors.MalformedFile, errors.InvalidPrompts)):
        ask(lab, dataset=name)
    assert lab.engine.list_jobs().items == ()


def test_the_same_request_with_the_file_mended_is_accepted(lab: Lab) -> None:
    name = lines(lab, "set.jsonl", *map(json.dumps, (POSITIVE, NEGATIVE, *OTHERS)))
    dispatch(lab, "inspect", {"model": "tiny", "criterion": "about a cat", "dataset": name, "dry_run": True})


def _submitted(lab: Lab, **changes: Any) -> str:
    from interp_lab_tools.dispatch import Pending

    request = {"model": "tiny", "criterion": "about a cat", "dataset": inline(POSITIVE, NEGATIVE, *OTHERS), **changes}
    pending = dispatch(lab, "inspect", {**request, "wait_s": 0})
    assert isinstance(pending, Pending)
    return pending.job_id


def test_the_same_words_about_a_changed_file_are_a_new_job(lab: Lab) -> None:
    name = lines(lab, "set.jsonl", *map(json.dumps, (POSITIVE, NEGATIVE, *OTHERS)))
    first = _submitted(lab, dataset=name)
    assert _submitted(lab, dataset=name) == first
    lines(lab, "set.jsonl", *map(json.dumps, (POSITIVE, {**NEGATIVE, "text": "the other dog ran"}, *OTHERS)))
    assert _submitted(lab, dataset=name) != first


def test_a_request_key_for_other_work_is_a_conflict_and_starts_nothing(lab: Lab) -> None:
    _submitted(lab, request_key="mine")
    with pytest.raises(errors.RequestKeyConflict):
        _submitted(lab, request_key="mine", criterion="about a dog")
    assert len(lab.engine.list_jobs().items) == 1


def test_a_plan_counts_independent_groups_and_warns_when_nothing_could_be_confirmed(lab: Lab) -> None:
    from interp_lab.contracts.jobs import JobView

    twice = {**POSITIVE, "text": "The cat  sat"}
    request = {"model": "tiny", "criterion": "about a cat", "dataset": inline(POSITIVE, twice, NEGATIVE, *OTHERS)}
    planned = dispatch(lab, "inspect", {**request, "dry_run": True})
    assert isinstance(planned, JobView)
    assert planned.plan is not None
    assert (planned.plan["n_prompts"], planned.plan["n_groups"]) == (5, 4)
    assert "2 independent groups" in planned.warnings[0]
