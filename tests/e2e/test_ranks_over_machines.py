"""Dictionaries trained by ranks on two nodes of a real cluster, one of which is lost: the bytes of one machine.

Slurm's commands as scripts have the same test beside that of ranks on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp_lab.engine import precision
from interp_lab.settings import Settings
from interp_lab.workflows.training import ranks
from tests.contract.clusters import ray_cluster
from tests.contract.slurm_cluster import slurm_cluster
from tests.e2e.two_machines import trained_on_two
from tests.unit.workflows.training import gated_ranks
from tests.unit.workflows.training.conftest import make_store
from tests.unit.workflows.training.test_training_in_ranks import ASKED, trained

__all__ = ["make_store"]


@pytest.fixture(autouse=True)
def _one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute here as the workers do there."""
    monkeypatch.setattr(precision, "probe_matmul", gated_ranks.one_way)
    monkeypatch.setattr(ranks, "_MODULE", gated_ranks.__name__)


def same_as_here(there: Path, folder: Path) -> bool:
    trained(folder / "here", Settings(workspace=folder), ASKED)
    (here,) = (folder / "here").glob("dictionary-*/sae_weights.safetensors")
    return here.read_bytes() == there.read_bytes()


@pytest.mark.slurm
def test_ranks_on_two_nodes_of_slurm_one_of_which_is_lost_give_the_bytes_of_one_machine(
    tmp_path: Path, make_store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store()
    with slurm_cluster(nodes=2) as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        there = trained_on_two(tmp_path, ASKED, launcher="slurm")
    assert same_as_here(there, tmp_path)


@pytest.mark.ray
def test_ranks_on_two_nodes_of_ray_one_of_which_is_lost_give_the_bytes_of_one_machine(
    tmp_path: Path, make_store: Callable[..., Any]
) -> None:
    make_store()
    with ray_cluster() as cluster:
        there = trained_on_two(tmp_path, ASKED, launcher="ray", ray_address=cluster.address)
    assert same_as_here(there, tmp_path)
