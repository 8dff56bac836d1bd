"""Inspect on values that were recorded: stores and record files give what plain statistics of the same numbers give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, StoredModel, StoreHeader
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.errors import AbsentFeature, InvalidPrompts, LabelsUnusable, SeveralModels
from interp_lab.jobs.run import LocalRun
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.inspect import inspect
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.inspect_next import suggest
from interp_lab_tools.lab import Lab

N, TOKENS, WIDTH = 120, 3, 40
PLANTED = 7
WORDS = ["river", "stone", "cloud", "paper", "glass", "copper", "garden", "winter", "signal", "market", "engine"]


def _texts(n: int) -> list[str]:
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, 6)) + f" number {i}x" for i in range(n)]


def _codes(labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Token rows of sparse latents, of which one follows the label."""
    rng = np.random.default_rng(1)
    values = np.maximum(0, rng.normal(size=(N * TOKENS, WIDTH)) - 1.2).astype(np.float32)
    values[:, PLANTED] = np.maximum(0, np.repeat(labels, TOKENS) * 1.0 + rng.normal(0, 0.5, N * TOKENS))
    return values


def _store(
    folder: Path, *, dense: bool = False, special_first: bool = False, dictionary: str | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    labels = np.arange(N) % 2 == 0
    values = _codes(labels)
    address = Address.parse("resid_post.1")
    column = (
        DenseColumn(address=address, width=WIDTH)
        if dense
        else CodeColumn(address=address, dictionary="sae", dictionary_id=dictionary, width=WIDTH)
    )
    header = StoreHeader(
        model=StoredModel(id="m"), columns=(column,), labels=(LabelField(name="topic", type="string"),)
    )
    row, unit = np.nonzero(values)
    counts = np.bincount(row, minlength=N * TOKENS)
    codes = CodeBlock(np.concatenate([[0], np.cumsum(counts)]), unit.astype(np.int32), values[row, unit])
    rows: dict[str, Any] = {
        "prompt": np.repeat(np.arange(N), TOKENS),
        "position": np.tile(np.arange(TOKENS), N),
        "token": [f"t{i}" for i in range(N * TOKENS)],
        "special": [special_first and i % TOKENS == 0 for i in range(N * TOKENS)],
    }
    with StoreWriter(folder, header) as writer:
        writer.add(RowBlock(rows, {column.key: values if dense else codes}))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N)],
                "text": _texts(N),
                "group": list(range(N)),
                "score": [float(label) for label in labels],
                "label:topic": ["a" if i % 3 else "b" for i in range(N)],
            }
        )
    return values, labels


def _record_lines(values: NDArray[Any], labels: NDArray[Any], **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "model": "m",
            "prompt_id": f"p{i}",
            "text": text,
            "criterion_score": float(labels[i]),
            "features": [
                {"feature_id": f"L2:D{5 * unit}", "activation": float(values[i, unit])} for unit in range(WIDTH)
            ],
            **changes,
        }
        for i, text in enumerate(_texts(len(values)))
    ]


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _inspect(folder: Path, **asked: Any) -> tuple[InspectResult, InspectReport]:
    request = InspectRequest.model_validate({"model": "m", "criterion": "a planted thing", **asked})
    run = LocalRun(folder / "out")
    result = inspect(request, run, settings=Settings(workspace=folder), suggest=lambda r: suggest(request, r))
    return result, InspectReport.model_validate_json((run.written[-1] / "report.json").read_text())


@pytest.mark.parametrize(
    ("dense", "pooling"), [(False, "max"), (False, "mean"), (False, "last"), (True, "mean"), (True, "last")]
)
def test_a_store_is_ranked_as_its_pooled_numbers_are(tmp_path: Path, dense: bool, pooling: str) -> None:
    values, _ = _store(tmp_path / "store", dense=dense)
    _, report = _inspect(tmp_path, evidence="store:store", pooling=pooling)
    best = report.coordinates[0]
    assert (best.address, best.index) == ("resid_post.1" if dense else "resid_post.1/sae", PLANTED)
    by_prompt = values.reshape(N, TOKENS, WIDTH)[:, :, PLANTED]
    pooled = {"max": by_prompt.max(1), "mean": by_prompt.mean(1), "last": by_prompt[:, -1]}[pooling]
    for context in best.contexts:
        prompt = int(context.prompt_id[1:])
        assert context.pooled == pytest.approx(pooled[prompt], rel=0.01)
        assert [token.text for token in context.tokens] == [f"t{TOKENS * prompt + k}" for k in range(TOKENS)]
    assert best.grade == "needs_causal_evidence"
    assert report.n_tested == WIDTH


def test_codes_and_dense_columns_of_the_same_numbers_give_the_same_statistics(tmp_path: Path) -> None:
    _store(tmp_path / "codes")
    _store(tmp_path / "dense", dense=True)
    codes, dense = (_inspect(tmp_path, evidence=f"store:{kind}")[1] for kind in ("codes", "dense"))
    for one, other in zip(codes.coordinates[:3], dense.coordinates[:3], strict=True):
        assert one.index == other.index
        assert one.explore.auroc == other.explore.auroc
        assert one.confirm is not None
        assert other.confirm is not None
        assert one.confirm.auroc == other.confirm.auroc
        assert one.density == other.density


def test_special_tokens_of_a_store_do_not_count(tmp_path: Path) -> None:
    values, _ = _store(tmp_path / "store", special_first=True)
    _, report = _inspect(tmp_path, evidence="store:store")
    context = report.coordinates[0].contexts[0]
    prompt = int(context.prompt_id[1:])
    assert context.pooled == pytest.approx(values.reshape(N, TOKENS, WIDTH)[prompt, 1:, PLANTED].max(), rel=0.01)


def test_a_label_of_the_store_can_be_the_criterion(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    result, report = _inspect(tmp_path, evidence="store:store", label="topic=b")
    assert report.dataset.n_positive == N // 3
    assert result.n_significant == 0, "no latent follows the topic"
    with pytest.raises(LabelsUnusable, match="topic"):
        _inspect(tmp_path, evidence="store:store", label="colour")


def test_records_are_ranked_under_the_names_and_dimensions_that_they_have(tmp_path: Path) -> None:
    labels = np.arange(N) % 2 == 0
    values = _codes(labels)[::TOKENS]
    _write(tmp_path / "r.jsonl", _record_lines(values, labels))
    result, report = _inspect(tmp_path, evidence="records:r.jsonl")
    best = report.coordinates[0]
    assert (best.address, best.index, best.name) == ("resid_pre.2", 5 * PLANTED, f"L2:D{5 * PLANTED}")
    assert report.model.source is not None
    assert report.model.n_layers is None
    held = {c.prompt_id for c in best.contexts}
    assert held
    assert best.confirm is not None
    everything = roc_auc_score(labels, values[:, PLANTED])
    assert best.explore.auroc.interval is not None
    assert abs((best.explore.auroc.value + best.confirm.auroc.value) / 2 - everything) < 0.05
    assert result.best_handle == report.handles.comparison if report.handles else False


def test_records_of_tokens_are_pooled_to_their_prompts(tmp_path: Path) -> None:
    labels = np.arange(N) % 2 == 0
    values = _codes(labels)
    lines = []
    for i, text in enumerate(_texts(N)):
        for k in range(TOKENS):
            row = _record_lines(values[[i * TOKENS + k]], labels[[i]])[0]
            lines.append({**row, "prompt_id": f"p{i}:tok{k}", "text": f"{text} | token[{k}]='w{k}'"})
    _write(tmp_path / "tokens.jsonl", lines)
    _, report = _inspect(tmp_path, evidence="records:tokens.jsonl")
    assert report.dataset.n_prompts == N
    context = report.coordinates[0].contexts[0]
    assert [token.text for token in context.tokens] == ["w0", "w1", "w2"]


def test_what_cannot_be_ranked_honestly_is_refused_with_a_reason(tmp_path: Path) -> None:
    labels = np.arange(N) % 2 == 0
    lines = _record_lines(_codes(labels)[::TOKENS], labels)
    _write(tmp_path / "blank.jsonl", [{**line, "text": ""} for line in lines])
    with pytest.raises(InvalidPrompts, match="no text"):
        _inspect(tmp_path, evidence="records:blank.jsonl")
    _write(tmp_path / "other.jsonl", [{**line, "model": "n"} for line in lines])
    with pytest.raises(SeveralModels, match="'n'"):
        _inspect(tmp_path, evidence="records:other.jsonl")
    gap = {**lines[3], "features": lines[3]["features"][1:]}
    _write(tmp_path / "gap.jsonl", [*lines[:3], gap, *lines[4:]])
    with pytest.raises(AbsentFeature, match="line 4"):
        _inspect(tmp_path, evidence="records:gap.jsonl")
    zero = {"kind": "records", "path": "gap.jsonl", "absent": "zero"}
    _, report = _inspect(tmp_path, evidence=zero)
    assert any("left out" in caveat for caveat in report.caveats)


def test_noise_gives_no_coordinate_and_no_direction(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    labels = rng.random(N) < 0.5
    _write(tmp_path / "noise.jsonl", _record_lines(np.maximum(0, rng.normal(size=(N, WIDTH))), labels))
    result, report = _inspect(tmp_path, evidence="records:noise.jsonl")
    assert result.n_significant == 0
    assert report.handles is not None
    for way in report.handles.ways:
        assert way.confirm_interval is not None
        assert way.confirm_interval.low < 0.5 + 0.12


def test_a_criterion_spread_over_many_dimensions_is_read_better_by_a_direction(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(N) % 2 == 0
    values = rng.normal(size=(N, WIDTH)) + 0.55 * labels[:, None]
    _write(tmp_path / "spread.jsonl", _record_lines(values, labels))
    result, _ = _inspect(tmp_path, evidence="records:spread.jsonl")
    assert result.best_handle is not None
    assert result.best_handle.best == "other"
    assert "is not the best handle" in result.summary


def test_every_proposed_call_is_valid_and_says_why(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    result, _ = _inspect(tmp_path, evidence="store:store")
    assert result.agent_next_actions
    by_name = {capability.name: capability for capability in CAPABILITIES}
    for action in result.agent_next_actions:
        by_name[action.tool].request.model_validate(action.arguments)
        assert action.why


def test_the_plan_of_a_store_counts_without_reading_a_value(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    request = InspectRequest.model_validate({"model": "m", "criterion": "planted", "evidence": "store:store"})
    capability = next(c for c in CAPABILITIES if c.name == "inspect")
    assert isinstance(capability, JobCapability)
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0)) as lab:
        plan = capability.plan(request, lab)
        with pytest.raises(SeveralModels):
            capability.plan(request.model_copy(update={"model": request.model.model_copy(update={"id": "n"})}), lab)
    assert plan.details["n_coordinates"] == WIDTH
    assert plan.details["n_prompts"] == N
    assert plan.details["n_forward_passes"] == 0


def test_a_request_has_a_dataset_or_evidence_never_both_and_never_neither() -> None:
    asked = {"model": "m", "criterion": "planted"}
    for wrong in (
        {},
        {"dataset": "builtin:person-name", "evidence": "store:s"},
        {"evidence": "store:s", "addresses": ["resid_post.0"]},
    ):
        with pytest.raises(ValueError, match="evidence"):
            InspectRequest.model_validate({**asked, **wrong})
    assert InspectRequest.model_validate({**asked, "evidence": "store:s"}).model_dump(mode="json")["evidence"] == (
        "store:s"
    )


def test_a_probe_that_is_better_is_said_though_another_way_was_liked_best(tmp_path: Path) -> None:
    """Two halves of a criterion lie in two coordinates: what reads both is better, whatever explore liked best."""
    rng = np.random.default_rng(8)
    labels = np.arange(160) % 2 == 0
    half = np.arange(160) // 2 % 2 == 0
    values = rng.normal(size=(160, 6))
    values[:, 1] += 4.0 * (labels & half)
    values[:, 4] += 4.0 * (labels & ~half)
    lines = [
        {
            "model": "m",
            "prompt_id": f"p{i}",
            "text": text,
            "criterion_score": float(labels[i]),
            "features": {f"L2:D{unit}": float(values[i, unit]) for unit in range(6)},
        }
        for i, text in enumerate(_texts(160))
    ]
    _write(tmp_path / "file.jsonl", lines)
    _, report = _inspect(tmp_path, evidence="records:file.jsonl")
    assert report.handles is not None
    found = report.handles.comparison
    assert found.best == "other"
    assert found.interval is not None
    assert found.interval.low > 0
    assert found.interval.level > 0.98
    assert "so are" in found.text


def test_the_margin_over_other_labels_leaves_out_the_criterion_itself(tmp_path: Path) -> None:
    values, labels = _store(tmp_path / "store", dense=True)
    del values, labels
    _, report = _inspect(tmp_path, evidence="store:store", label="topic=a")
    card = report.coordinates[0]
    assert {row.label for row in card.specificity} >= {"topic=a", "topic=b"}
    assert card.specificity_margin is None
    _, scored = _inspect(tmp_path, evidence="store:store")
    best = scored.coordinates[0]
    own = abs((best.confirm or best.explore).auroc.value - 0.5)
    other = max(abs(row.auroc - 0.5) for row in best.specificity)
    assert best.specificity_margin == pytest.approx(own - other, abs=2e-4)
    assert best.specificity_margin > 0.2


@pytest.mark.parametrize("there", [True, False])
def test_latents_of_a_store_that_write_the_same_way_are_one_finding(tmp_path: Path, there: bool) -> None:
    _store(tmp_path / "store", dictionary="latents")
    twin = (PLANTED + 1) % WIDTH
    if there:
        decoder = torch.eye(WIDTH, 2 * WIDTH)
        decoder[twin] = decoder[PLANTED]
        config = DictionaryConfig(
            architecture="relu",
            d_in=2 * WIDTH,
            d_out=2 * WIDTH,
            n_latents=WIDTH,
            addresses_in=("resid_post.1",),
            dtype="float32",
        )
        made = Dictionary(config, decoder.T.contiguous(), decoder, torch.zeros(2 * WIDTH), b_enc=torch.zeros(WIDTH))
        (tmp_path / "latents").mkdir()
        save_dictionary(made, tmp_path / "latents")
    _, report = _inspect(tmp_path, evidence="store:store")
    assert report.handles is not None
    names = {f"resid_post.1/sae #{PLANTED}", f"resid_post.1/sae #{twin}"}
    found = [group for group in report.handles.alike if names == {group.leader, *(m.name for m in group.members)}]
    assert len(found) == there
    if there:
        assert found[0].members[0].decoder_cosine == 1.0
