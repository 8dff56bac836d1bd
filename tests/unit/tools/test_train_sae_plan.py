"""What train_sae says before it starts: the cost, a time only from measurements, refusals with a way out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.errors import DoesNotFit, InvalidRequest, NotAStore
from interp_lab.models.rates import Rate, record_rate
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.training.cost import memory, refuse_unfit
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
    assert TRAIN_SAE.processes(request) == 2


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
