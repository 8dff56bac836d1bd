"""A small activation store with everything a query can meet, and the same data as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interp_lab.contracts.query import QueryRequest, QueryResult
from interp_lab.contracts.store import (
    CodeColumn,
    DenseColumn,
    LabelField,
    MetricField,
    StoredDataset,
    StoredModel,
    StoreHeader,
)
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.query_activations import query_activations

WORDS = [" the", " cat", " dog", " ran", " sat", "."]
TOPICS = ["animals", "sports", "weather"]
DENSE, CODES = "resid_post.1", "resid_post.1/sae"
N_PROMPTS, N_GROUPS, WIDTH, N_LATENTS = 60, 40, 6, 9
DEAD, TWO_SIDED = 8, 0


@dataclass(frozen=True)
class Plain:
    """What was written, row by row."""

    folder: Path
    prompt: np.ndarray
    position: np.ndarray
    token: np.ndarray
    generated: np.ndarray
    dense: np.ndarray
    codes: np.ndarray
    loss: np.ndarray
    reward: np.ndarray
    part: np.ndarray
    group: np.ndarray
    topic: np.ndarray
    happy: np.ndarray

    def ask(self, query: Any, **more: Any) -> QueryResult:
        return ask(self.folder, query, **more)


def ask(folder: Path, query: Any, **more: Any) -> QueryResult:
    settings = Settings(workspace=folder.parent)
    request = QueryRequest.model_validate({"store": folder.name, "query": query, **more})
    return query_activations(request, settings=settings, publish=lambda result, _: result)


def rows_of(result: QueryResult) -> list[dict[str, Any]]:
    names = [header.name for header in result.table.headers]
    return [dict(zip(names, row, strict=True)) for row in result.table.rows]


def header(**changes: Any) -> StoreHeader:
    fields: dict[str, Any] = {
        "title": "a small store",
        "model": StoredModel(id="tiny"),
        "dataset": StoredDataset(name="words", sha256="a" * 64),
        "columns": (
            DenseColumn(address=Address.parse(DENSE), width=WIDTH, dtype="float32"),
            CodeColumn(address=Address.parse(DENSE), dictionary="sae", width=N_LATENTS, dtype="float32"),
        ),
        "labels": (
            LabelField(name="topic", type="category"),
            LabelField(name="happy", type="boolean"),
            LabelField(name="part", type="string", scope="row"),
        ),
        "metrics": (
            MetricField(name="loss", unit="nats"),
            MetricField(name="reward"),
            MetricField(name="flat"),
        ),
    }
    return StoreHeader(**{**fields, **changes})


def make_store(folder: Path, *, seed: int = 0, shard_rows: int = 97, shift: float = 0.0, **changes: Any) -> Plain:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 12, N_PROMPTS)
    prompt = np.repeat(np.arange(N_PROMPTS, dtype=np.int32), lengths)
    position = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
    n = prompt.size
    group = np.sort(rng.integers(0, N_GROUPS, N_PROMPTS)).astype(np.int32)
    rng.shuffle(group)
    topic = np.array([TOPICS[i % 3] for i in range(N_PROMPTS)])
    happy = rng.random(N_PROMPTS) < 0.4
    token = np.array([WORDS[i] for i in rng.integers(0, len(WORDS), n)])
    dense = rng.normal(size=(n, WIDTH)).astype(np.float32) + shift
    dense[:, 1] += (topic[prompt] == "sports") * 1.5
    dense[:, 2] += rng.normal(size=group.max() + 1)[group[prompt]] * 1.5
    codes = np.maximum(rng.normal(size=(n, N_LATENTS)).round(1) - np.linspace(-0.5, 2, N_LATENTS), 0).astype(np.float32)
    codes[:, 3] += happy[prompt] * 0.7 * (rng.random(n) < 0.5)
    codes[:, DEAD] = 0
    loss = (np.abs(rng.normal(size=n)) + 0.6 * dense[:, 0]).astype(np.float32)
    reward = (rng.normal(size=n) - 0.7 * codes[:, 0]).astype(np.float32)
    reward[rng.random(n) < 0.1] = np.nan
    part = np.where(rng.random(n) < 0.3, "verb", "noun")
    with StoreWriter(folder, header(**changes), shard_rows=shard_rows) as writer:
        rows = {
            "prompt": prompt,
            "position": position,
            "token": token.tolist(),
            "token_id": [WORDS.index(word) for word in token],
            "generated": position > 5,
            "metric:loss": loss,
            "metric:reward": reward,
            "metric:flat": np.ones(n, dtype=np.float32),
            "label:part": part.tolist(),
        }
        writer.add(RowBlock(rows=rows, columns={DENSE: dense, CODES: codes}))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N_PROMPTS)],
                "text": ["x" * 60, *(f"text number {i}" for i in range(1, N_PROMPTS))],
                "group": group,
                "label:topic": topic.tolist(),
                "label:happy": happy.tolist(),
            }
        )
    return Plain(
        folder=folder,
        prompt=prompt,
        position=position,
        token=token,
        generated=position > 5,
        dense=dense,
        codes=codes,
        loss=loss,
        reward=reward,
        part=part,
        group=group[prompt],
        topic=topic[prompt],
        happy=happy[prompt],
    )
