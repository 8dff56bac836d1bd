"""A store of codes with planted latents and their twins, its dictionary, and both as plain arrays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from interp_lab.contracts.features import (
    SearchFeaturesRequest,
    SearchFeaturesResult,
    ShowFeatureRequest,
    ShowFeatureResult,
)
from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, MetricField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.search_features import search_features
from interp_lab.workflows.show_feature import show_feature

BOS, KILO = "<bos>", " kilo"
WORDS = [BOS, KILO, *(f" w{i}" for i in range(18))]
ADDRESS, COLUMN = "resid_post.1", "resid_post.1/sae"
D_MODEL, N_LATENTS, N_PROMPTS = 16, 30, 90
PLANTED, TWIN, AT_BOS, DEAD, DENSE, SPORTS, SPORTS_TWIN, PART_OF_PLANTED, NEAR_PLANTED = range(9)


@dataclass(frozen=True)
class Planted:
    """What was written, row by row."""

    folder: Path
    prompt: np.ndarray
    position: np.ndarray
    token: np.ndarray
    codes: np.ndarray
    dense: np.ndarray
    loss: np.ndarray
    group: np.ndarray
    sports: np.ndarray
    mood: np.ndarray
    """'' where the label is absent."""
    decoder: np.ndarray
    encoder: np.ndarray

    @property
    def settings(self) -> Settings:
        return Settings(workspace=self.folder.parent)

    def show(self, unit: int, **more: Any) -> ShowFeatureResult:
        request = ShowFeatureRequest.model_validate({"unit": unit, "store": "store", "dictionary": "sae", **more})
        return show_feature(request, settings=self.settings, publish=lambda result, _: result)

    def search(self, by: dict[str, Any], **more: Any) -> SearchFeaturesResult:
        request = SearchFeaturesRequest.model_validate({"by": by, "stores": ["store"], **more})
        return search_features(request, settings=self.settings)


def rows_of(result: SearchFeaturesResult) -> list[dict[str, Any]]:
    names = [header.name for header in result.table.headers]
    return [dict(zip(names, row, strict=True)) for row in result.table.rows]


def unit_of(row: dict[str, Any]) -> int:
    return int(row["feature"].rpartition("#")[2])


def write_dictionary(folder: Path, encoder: np.ndarray, decoder: np.ndarray, **cfg: Any) -> str:
    """Write a dictionary in the SAELens layout and return the hash under which stores know it."""
    folder.mkdir(parents=True)
    tensors = {
        "W_enc": np.ascontiguousarray(encoder, dtype=np.float32),
        "W_dec": np.ascontiguousarray(decoder, dtype=np.float32),
        "b_enc": np.linspace(-1, 1, decoder.shape[0], dtype=np.float32),
        "b_dec": np.zeros(decoder.shape[1], dtype=np.float32),
    }
    save_file(tensors, folder / "sae_weights.safetensors")
    about = {
        "architecture": "standard",
        "d_in": encoder.shape[0],
        "d_sae": decoder.shape[0],
        "metadata": {"hook_name": "blocks.1.hook_resid_post"},
    }
    (folder / "cfg.json").write_text(json.dumps(about | cfg))
    parts = [hashlib.sha256((folder / name).read_bytes()).digest() for name in ("cfg.json", "sae_weights.safetensors")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def make_planted(workspace: Path, *, seed: int = 0, shard_rows: int = 333) -> Planted:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, 20, N_PROMPTS)
    prompt = np.repeat(np.arange(N_PROMPTS, dtype=np.int32), lengths)
    position = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
    n = prompt.size
    group = np.sort(rng.integers(0, 60, N_PROMPTS)).astype(np.int32)
    sports_prompt = rng.random(N_PROMPTS) < 0.4
    mood_prompt = np.array([["", "calm", "angry"][i] for i in rng.integers(0, 3, N_PROMPTS)])
    token = np.array([WORDS[i] for i in rng.integers(1, len(WORDS), n)])
    token[position == 0] = BOS
    codes = _codes(rng, token, position, sports_prompt[prompt])
    dense = rng.normal(size=(n, D_MODEL)).astype(np.float32)
    loss = (rng.normal(size=n) + 0.5 * codes[:, DENSE]).astype(np.float32)
    decoder = rng.normal(size=(N_LATENTS, D_MODEL)).astype(np.float32)
    decoder[NEAR_PLANTED] = 1.5 * decoder[PLANTED] + 0.1 * rng.normal(size=D_MODEL)
    encoder = (decoder + 0.3 * rng.normal(size=decoder.shape)).T.astype(np.float32)
    dictionary_id = write_dictionary(workspace / "sae", encoder, decoder)
    header = StoreHeader(
        columns=(
            DenseColumn(address=Address.parse(ADDRESS), width=D_MODEL, dtype="float32"),
            CodeColumn(
                address=Address.parse(ADDRESS),
                dictionary="sae",
                dictionary_id=dictionary_id,
                width=N_LATENTS,
                dtype="float32",
            ),
        ),
        labels=(LabelField(name="sports", type="boolean"), LabelField(name="mood", type="category")),
        metrics=(MetricField(name="loss", unit="nats"),),
    )
    with StoreWriter(workspace / "store", header, shard_rows=shard_rows) as writer:
        rows = {
            "prompt": prompt,
            "position": position,
            "token": token.tolist(),
            "special": position == 0,
            "metric:loss": loss,
        }
        writer.add(RowBlock(rows=rows, columns={ADDRESS: dense, COLUMN: codes}))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N_PROMPTS)],
                "text": [f"text {i}" for i in range(N_PROMPTS)],
                "group": group,
                "label:sports": sports_prompt.tolist(),
                "label:mood": [mood or None for mood in mood_prompt.tolist()],
            }
        )
    return Planted(
        folder=workspace / "store",
        prompt=prompt,
        position=position,
        token=token,
        codes=codes,
        dense=dense,
        loss=loss,
        group=group[prompt],
        sports=sports_prompt[prompt],
        mood=mood_prompt[prompt],
        decoder=decoder,
        encoder=encoder,
    )


def _codes(rng: np.random.Generator, token: np.ndarray, position: np.ndarray, sports: np.ndarray) -> np.ndarray:
    n = token.size
    strength = rng.gamma(2.0, 1.0, (n, N_LATENTS)).astype(np.float32) + 0.1
    fires = rng.random((n, N_LATENTS)) < 0.06
    fires[:, PLANTED] = (token == KILO) & (rng.random(n) < 0.95)
    fires[:, TWIN] = rng.permutation(fires[:, PLANTED])
    fires[:, AT_BOS] = position == 0
    fires[:, DEAD] = False
    fires[:, DENSE] = rng.random(n) < 0.5
    fires[:, SPORTS] = rng.random(n) < np.where(sports, 0.35, 0.02)
    fires[:, SPORTS_TWIN] = rng.permutation(fires[:, SPORTS])
    fires[:, PART_OF_PLANTED] = fires[:, PLANTED] & (rng.random(n) < 0.6)
    return np.where(fires, strength, 0).astype(np.float32)
