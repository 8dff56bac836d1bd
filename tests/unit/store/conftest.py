"""A small store that is written in a moment, and the arrays that went into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from interp_lab.contracts.store import CodeColumn, DenseColumn, StoreDtype, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter

KEY, CODES = "resid_post.2", "resid_post.2/sae"
WIDTH, N_LATENTS = 5, 30


class Given(NamedTuple):
    """What a test store is made of."""

    header: StoreHeader
    dense: Any
    """`(n_rows, WIDTH)`."""
    codes: Any
    """`(n_rows, N_LATENTS)` with zeros."""

    @property
    def n_rows(self) -> int:
        return len(self.dense)

    def block(self, start: int, stop: int) -> RowBlock:
        rows = np.arange(start, stop)
        columns = {KEY: self.dense[rows], CODES: self.codes[rows]}
        return RowBlock({"prompt": rows // 10, "position": rows % 10, "token_id": rows}, columns)

    @property
    def prompts(self) -> Mapping[str, list[Any]]:
        n = -(-self.n_rows // 10)
        return {"id": [f"p{i}" for i in range(n)], "text": ["text"] * n, "group": [i // 2 for i in range(n)]}

    def write(self, folder: Path, *, step: int = 64, shard_rows: int = 100) -> Path:
        """Write the whole store, `step` rows at a time, after what is in the folder already."""
        with StoreWriter(folder, self.header, shard_rows=shard_rows) as writer:
            for start in range(writer.finished_rows, self.n_rows, step):
                writer.add(self.block(start, min(start + step, self.n_rows)))
            writer.finish(self.prompts)
        return folder


@pytest.fixture
def given() -> Callable[..., Given]:
    """Return a maker of small stores."""

    def make(n_rows: int = 450, *, dtype: StoreDtype = "float32", seed: int = 0) -> Given:
        rng = np.random.default_rng(seed)
        values = rng.choice([0.25, 0.5, 1.0, -2.0, 3.5], (n_rows, N_LATENTS))
        codes = np.where(rng.random((n_rows, N_LATENTS)) < 0.2, values, 0).astype(np.float32)
        codes[:, 7] = 0
        columns = (
            DenseColumn(address=Address("resid_post", 2), width=WIDTH, dtype=dtype),
            CodeColumn(address=Address("resid_post", 2), dictionary="sae", width=N_LATENTS, dtype=dtype),
        )
        dense = rng.standard_normal((n_rows, WIDTH)).astype(np.float32)
        return Given(StoreHeader(columns=columns), dense, codes)

    return make


@pytest.fixture
def bytes_of() -> Callable[[Path], dict[str, bytes]]:
    """Return a reader of every file of a folder."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
