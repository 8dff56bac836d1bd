# pyright: standard
"""What train_sae says before it starts: the cost, a time only from measurements, refusals with a way out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interp_lab.artifacts.checkpoints import Checkpoints
from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.errors import DoesNotFit, InvalidRequest, NotAStore
from interp_lab.models.rates import Rate, record_rate
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.training import cost
from interp_lab.workflows.training.cost import disk, memory, refuse_unfit, refuse_unfit_disk
from interp_lab.workflows.training.plan import planned
from interp_lab_tools.lab import Lab
from interp_lab_tools.train_sae import TRAIN_SAE

GIB = 2**30


def _store(folder: Path) -> None:
    header = StoreHeader(columns=(DenseColumn(address=Address.parse("resid_post.0"), width=8),))
    n_rows = 600
    rows = {"prompt": np.repeat(np.arange(60, dtype=np.int32), 10), "position": np.tile(np.arange(10), 60)}
    with StoreWriter(folder, header) as writer:
        writer.add(RowBlock(rows, {"resid_post.0": np.ones((n_rows, 8), dtype=np.float32)}))
        names = [str(i) for i in range(60)]
        writer.finish({"id": names, "text": names, "group": np.arange(60, dtype=np.int32)})


def _request(**facts: object) -> TrainSaeRequest:
    return TrainSaeRequest.model_validate({"source": "store", "addresses": ["resid_post.0"], **facts})


def test_the_plan_counts_and_gives_no_time_before_a_first_run(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        plan = TRAIN_SAE.plan(_request(widths=[16, 32], training={"total_tokens": 5400}), lab)
    assert plan.details["n_parameters"] == sum(2 * 8 * n + n + 8 for n in (16, 32))
    assert plan.details["epochs"] == 10.0
    assert plan.details["steps"] == 10  # a batch is never larger than the training tokens
    assert "seconds" not in plan.details
    assert "time unknown" in plan.summary
    assert not plan.warnings


def test_the_plan_takes_its_time_from_an_earlier_run(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    rate = Rate(
        model="train_sae topk", device="cpu", macs_per_s=8 * 32 * 100, n_tokens=20_000, measured_at=datetime.now(UTC)
    )
    with Lab.open(Settings(workspace=tmp_path, gpu_slots=0)) as lab:
        record_rate(tmp_path / ".interp-lab", "train_sae topk", rate)
        plan = TRAIN_SAE.plan(_request(training={"total_tokens": 5000}), lab)
    assert plan.details["seconds"] == pytest.approx(50)
    assert "20,000 tokens" in str(plan.details["seconds_source"])


def test_too_many_repeats_are_warned_about(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        (warning,) = TRAIN_SAE.plan(_request(), lab).warnings
    assert "1852 times" in warning


def test_ranks_say_what_is_different_and_are_refused_where_accelerators_are_too_few(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    request = _request(ranks=2, training={"total_tokens": 5000}, architecture="batchtopk")
    with Lab.open(Settings(workspace=tmp_path, gpu_slots=0)) as lab:
        rounded, within = TRAIN_SAE.plan(request, lab).warnings
    assert ("another order" in rounded, "within each process" in within) == (True, True)
    with Lab.open(Settings(workspace=tmp_path, gpu_slots=1)) as lab, pytest.raises(InvalidRequest, match="has 1"):
        TRAIN_SAE.plan(request, lab)
    assert (TRAIN_SAE.processes(request), TRAIN_SAE.nodes(request)) == (2, 1)


def test_several_machines_are_refused_where_jobs_run_on_this_one(tmp_path: Path) -> None:
    _store(tmp_path / "store")
    request = _request(ranks=4, nodes=2, training={"total_tokens": 5000})
    with Lab.open(Settings(workspace=tmp_path)) as lab, pytest.raises(InvalidRequest, match="2 nodes need a cluster"):
        TRAIN_SAE.plan(request, lab)
    with Lab.open(Settings(workspace=tmp_path, launcher="slurm", gpu_slots=1)) as lab:
        assert TRAIN_SAE.plan(request, lab).warnings
    assert (TRAIN_SAE.processes(request), TRAIN_SAE.nodes(request)) == (2, 2)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with Lab.open(Settings(workspace=tmp_path)) as lab, pytest.raises(NotAStore):
        TRAIN_SAE.plan(_request(), lab)


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    request = _request(widths=[2**22])
    dictionaries = planned(request, {"resid_post.0": 8192})
    with pytest.raises(DoesNotFit, match="latents would fit") as caught:
        refuse_unfit(dictionaries, 8 * GIB)
    n_latents = int(caught.value.remedy.split()[1].replace(",", ""))
    fits = planned(_request(widths=[n_latents]), {"resid_post.0": 8192})
    assert 7 * GIB < memory(fits).peak <= 8 * GIB
    refuse_unfit(fits, 8 * GIB)


@pytest.mark.parametrize(("kind", "optimiser"), [("sae", "adam"), ("sae", "signum"), ("transcoder", "adam")])
def test_the_disk_that_is_planned_is_what_two_checkpoints_and_a_third_take_and_the_dictionary(
    tmp_path: Path, kind: str, optimiser: str
) -> None:
    asked = {"kind": kind, "widths": [512], "training": {"optimiser": optimiser, "batch_tokens": 64}}
    targets = {"targets": ["resid_post.1"]} if kind == "transcoder" else {}
    dictionaries = planned(_request(**asked, **targets), {"resid_post.0": 64, "resid_post.1": 64})
    (one,) = dictionaries
    trainer = Trainer(one.config, one.training)
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    trainer.step(x, x if targets else None)
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        with checkpoints.save(step) as folder:
            save_file(trainer.state_dict(copy=False), folder / "trainer-0.safetensors")
    weights = sum(tensor.numel() for tensor in trainer.parameters.values()) * 4
    took = checkpoints.written() * 3 / 2 + weights
    assert disk(dictionaries) <= took <= 1.1 * disk(dictionaries)


def test_what_would_fill_the_disk_is_refused_before_work_starts_with_what_would_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionaries = planned(_request(seeds=[0, 1, 2], widths=[512]), {"resid_post.0": 64})
    monkeypatch.setattr(cost, "free_bytes", lambda near: disk(dictionaries[:2]))
    with pytest.raises(DoesNotFit, match="2 of these 3 dictionaries fit"):
        refuse_unfit_disk(dictionaries, tmp_path)
    refuse_unfit_disk(dictionaries[:2], tmp_path)
    with pytest.raises(DoesNotFit, match="About 511 latents would fit"):
        refuse_unfit_disk(dictionaries[:1], tmp_path, reserve=disk(dictionaries[:1]) + 1)
    refuse_unfit_disk(dictionaries, tmp_path, written=disk(dictionaries[2:]))

    _store(tmp_path / "store")
    monkeypatch.setattr(cost, "free_bytes", lambda near: 0)
    with Lab.open(Settings(workspace=tmp_path)) as lab, pytest.raises(DoesNotFit, match="are free for them"):
        TRAIN_SAE.plan(_request(training={"total_tokens": 5000}), lab)


def test_of_several_that_do_not_fit_together_the_number_that_does_is_named() -> None:
    request = _request(widths=[2**16], seeds=list(range(8)))
    dictionaries = planned(request, {"resid_post.0": 4096})
    with pytest.raises(DoesNotFit) as caught:
        refuse_unfit(dictionaries, 30 * GIB)
    together = int(caught.value.remedy.split()[0])
    refuse_unfit(dictionaries[:together], 30 * GIB)
    with pytest.raises(DoesNotFit):
        refuse_unfit(dictionaries[: together + 1], 30 * GIB)


def test_the_preset_fills_what_the_request_leaves_out_and_survives_the_wire() -> None:
    request = _request(preset="production", training={"learning_rate": 3e-4})
    assert (request.training.total_tokens, request.training.learning_rate) == (50_000_000, 3e-4)
    assert TrainSaeRequest.model_validate(request.model_dump(mode="json")) == request
    (one,) = planned(request, {"resid_post.0": 8})
    assert (one.config.n_latents, one.config.k) == (128, 32)
