"""A store with everything in it that a format could lose: two prompts, codes, marks, metrics, labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, MetricField, StoredModel, StoreHeader
from interp_lab.points import Address
from interp_lab.store.blocks import RowBlock
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.store.writer import StoreWriter

DENSE, CODES = "resid_post.1", "resid_post.1/small"
WIDTH, LATENTS = 5, 7


def make_store(
    folder: Path, *, lengths: tuple[int, ...] = (3, 4), scored: bool = True, seed: int = 0
) -> ActivationStore:
    """Return a store of prompts of those lengths, the first row of each special."""
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    codes = np.where(rng.random((n, LATENTS)) < 0.4, rng.normal(size=(n, LATENTS)), 0)
    codes[:, -1] = 0  # a latent that never fires
    header = StoreHeader(
        model=StoredModel(id="tiny"),
        columns=(
            DenseColumn(address=Address("resid_post", 1), width=WIDTH, dtype="float32"),
            CodeColumn(address=Address("resid_post", 1), dictionary="small", width=LATENTS, dtype="float32"),
        ),
        labels=(
            LabelField(name="topic", type="string"),
            LabelField(name="even", type="boolean", scope="row"),
        ),
        metrics=(MetricField(name="loss", unit="nats"),),
    )
    position = [p for length in lengths for p in range(length)]
    rows = {
        "prompt": [p for p, length in enumerate(lengths) for _ in range(length)],
        "position": position,
        "token_id": rng.integers(0, 99, n).astype(np.int32),
        "token": [f' "t{p}", \n é' for p in position],
        "special": [p == 0 for p in position],
        "metric:loss": rng.random(n).astype(np.float32),
        "label:even": [p % 2 == 0 for p in position],
    }
    columns = {DENSE: rng.normal(size=(n, WIDTH)).astype(np.float32), CODES: codes.astype(np.float32)}
    with StoreWriter(folder, header, shard_rows=4) as writer:
        writer.add(RowBlock(rows, columns))
        writer.finish(
            {
                "id": [f"p{number}" for number in range(len(lengths))],
                "text": [f'text, "{number}"\nof it' for number in range(len(lengths))],
                "group": range(len(lengths)),
                "score": [float(number) if scored else None for number in range(len(lengths))],
                "label:topic": [("sea", "sky")[number % 2] for number in range(len(lengths))],
            }
        )
    return open_store(folder)


def dense(store: ActivationStore, key: str = DENSE) -> np.ndarray:
    """Return every value of a dense column."""
    return store.dense(key).slice(0, store.n_rows)


def codes(store: ActivationStore, key: str = CODES) -> np.ndarray:
    """Return every value of a column of codes, zeros too."""
    return store.codes(key).units(range(store.codes(key).width))
