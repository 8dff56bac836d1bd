"""Two processes that share every batch train the dictionary that one process trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.train_sae import train_sae


def _weights(output: Path) -> dict[str, torch.Tensor]:
    (folder,) = output.glob("dictionary-*")
    return load_file(folder / "sae_weights.safetensors")


def test_two_processes_train_the_dictionary_of_one(
    tmp_path: Path, make_store: Callable[..., Path], settings: Settings
) -> None:
    make_store()
    training = {"total_tokens": 2560, "batch_tokens": 256, "select": "fp32"}
    request = TrainSaeRequest.model_validate(
        {"source": "store", "addresses": ["resid_post.0"], "widths": [32], "sparsities": [3], "training": training}
    )
    (tmp_path / "request.json").write_text(request.model_dump_json())
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    module = ["-m", "interp_lab.workflows.train_together", str(tmp_path / "request.json")]
    folders = ["--workspace", str(tmp_path), "--output", str(tmp_path / "two")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "INTERP_LAB_WORKSPACE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *launch, *module, *folders],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with LocalRun(tmp_path / "one", workspace=tmp_path) as run:
        train_sae(request, run, settings=settings, suggest=lambda _rows: ())
    one, two = _weights(tmp_path / "one"), _weights(tmp_path / "two")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=2e-3)
    with LocalRun(tmp_path / "other", workspace=tmp_path) as run:
        reordered = request.model_copy(update={"seed": 1})
        train_sae(reordered, run, settings=settings, suggest=lambda _rows: ())
    assert not torch.allclose(_weights(tmp_path / "other")["W_enc"], one["W_enc"], atol=2e-4, rtol=2e-3)
