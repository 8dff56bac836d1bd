"""A small store of sparse sums of planted directions, and a run in a folder of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.store import DenseColumn, StoredDataset, StoredModel, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter

WIDTH, N_PLANTED, N_PROMPTS, LENGTH = 16, 24, 60, 50

MakeStore = Callable[..., Path]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Write a store of planted directions into the workspace `tmp_path` and return its folder."""

    def make(
        name: str = "store", *, addresses: tuple[str, ...] = ("resid_post.0", "resid_post.1"), groups: int = N_PROMPTS,
        random: bool = False, width: int = WIDTH,
    ) -> Path:  # fmt: skip
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((N_PLANTED, width))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        n_rows = N_PROMPTS * LENGTH
        codes = (rng.random((n_rows, N_PLANTED)) < 0.08) * rng.uniform(1, 3, (n_rows, N_PLANTED))
        base = rng.standard_normal((n_rows, width)) if random else codes @ directions
        base = base + 0.01 * rng.standard_normal(base.shape)
        turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
        values = {a: (base if i == 0 else base @ turn).astype(np.float32) for i, a in enumerate(addresses)}
        position = np.tile(np.arange(LENGTH, dtype=np.int32), N_PROMPTS)
        rows: dict[str, Any] = {
            "prompt": np.repeat(np.arange(N_PROMPTS, dtype=np.int32), LENGTH),
            "position": position,
            "token": [f"t{p}" for p in position],
            "special": position == 0,
        }
        for value in values.values():
            value[position == 0] *= 100
        header = StoreHeader(
            columns=tuple(DenseColumn(address=Address.parse(a), width=width, dtype="float32") for a in addresses),
            model=StoredModel(id="tiny"),
            dataset=StoredDataset(name="planted"),
        )
        folder = tmp_path / name
        with StoreWriter(folder, header, shard_rows=1024) as writer:
            writer.add(RowBlock(rows, values))
            writer.finish(
                {
                    "id": [f"p{i}" for i in range(N_PROMPTS)],
                    "text": [f"text {i}" for i in range(N_PROMPTS)],
                    "group": np.arange(N_PROMPTS, dtype=np.int32) % groups,
                }
            )
        return folder

    return make


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of the workspace of the test."""
    return Settings(workspace=tmp_path)
