"""The page of a running training: drawn at most every few seconds, and for the last time when the training ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.errors import DiskFull
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.workflows.training.live import EVERY_S, LivePage

REQUEST = TrainSaeRequest.model_validate({"source": "store", "training": {"total_tokens": 1000, "batch_tokens": 100}})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_page_follows_the_measurements_and_ends_with_the_training(tmp_path: Path) -> None:
    run, clock, page = LocalRun(tmp_path), Clock(), tmp_path / "live.html"
    with LivePage(REQUEST, run, clock=clock) as live:
        live.take([{"step": 1.0, "tokens": 100.0, "fvu": 0.9}])
        run.record(2, {"tokens": 200.0, "fvu": 0.8})
        assert "200 of 1,000" in page.read_text()
        run.record(3, {"tokens": 300.0, "fvu": 0.7})
        assert "200 of 1,000" in page.read_text()  # too early for another page
        clock.now += EVERY_S
        run.record(4, {"tokens": 400.0, "fvu": 0.6})
        assert "400 of 1,000" in page.read_text()
    assert "finished" in page.read_text()
    assert page.read_text().count("<polyline") == 1
    run.record(5, {"tokens": 500.0})
    assert "500 of 1,000" not in page.read_text()


def test_the_title_says_which_model_is_trained_on_and_where(tmp_path: Path) -> None:
    source = {"kind": "stream", "model": "builtin:pocket-llama", "dataset": "builtin:question"}
    streamed = TrainSaeRequest.model_validate({"source": source, "addresses": ["resid_post.2"]})
    with LivePage(streamed, LocalRun(tmp_path)):
        pass
    title = "topk sae of builtin:pocket-llama at resid_post.2"
    assert f"<h1>{title}</h1>" in (tmp_path / "live.html").read_text()
    with LivePage(REQUEST, LocalRun(tmp_path)) as live:
        live.name(("builtin:pocket-gpt2", None), ["mlp_out.1", "mlp_out.1"])
    assert "<h1>topk sae of builtin:pocket-gpt2 at mlp_out.1</h1>" in (tmp_path / "live.html").read_text()
    with LivePage(REQUEST, LocalRun(tmp_path)):
        pass
    assert "<h1>topk sae</h1>" in (tmp_path / "live.html").read_text()


def test_a_training_that_breaks_off_leaves_a_page_that_says_why(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    with pytest.raises(OSError, match="gone"), LivePage(REQUEST, run):
        raise OSError("gone")
    assert "stopped (OSError)" in (tmp_path / "live.html").read_text()


class Full(LocalRun):
    """A run on a disk that takes no page any more."""

    def show(self, page: str) -> None:
        del page
        raise DiskFull


def test_a_page_that_cannot_be_written_neither_ends_a_training_nor_hides_how_it_ended(tmp_path: Path) -> None:
    run = Full(tmp_path)

    def interrupted() -> None:
        with LivePage(REQUEST, run):
            run.record(1, {"tokens": 100.0, "fvu": 0.9})
            raise InterruptedJob

    with pytest.raises(InterruptedJob):
        interrupted()
