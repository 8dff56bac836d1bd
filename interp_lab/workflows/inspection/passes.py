# pyright: standard
"""The model's part of an inspection: pooled activations of every prompt, and token values of the prompts to be shown.

Pooled rows are written to the checkpoint as they come, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from interp_lab.engine.harvest import Harvested, harvest, token_values
from interp_lab.engine.lens import Site
from interp_lab.engine.precision import matmul_precision
from interp_lab.jobs.run import Run
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.tables import Pooled

SHARD_S = 20.0
"""Seconds of work that a crash may cost."""

Floats = NDArray[np.float32]


def pool_prompts(inputs: Inputs, run: Run, *, stage: str = "") -> Pooled:
    """Return the pooled activations of every prompt at every address; a run that reads twice names each `stage`.

    Raises:
        PromptNotPoolable, NonFiniteActivations, HookPointUnavailable: see `harvest`.
    """
    folder = run.checkpoint_dir / stage
    folder.mkdir(exist_ok=True)
    shards = _Shards(folder, len(inputs.prompts.prompts))
    left = shards.left()
    spans = [[(span.start, span.end) for span in inputs.prompts.prompts[i].spans] for i in left]
    with matmul_precision():
        batches = harvest(
            inputs.loaded,
            [inputs.tokens[i] for i in left],
            inputs.sites,
            pooling=inputs.request.pooling,
            spans=spans if inputs.request.pooling == "span" else None,
        )
        for batch in batches:
            shards.add(batch, [left[i] for i in batch.indices])
            run.progress(shards.n_done, shards.n_prompts, "reading activations", "prompts")
    shards.flush()
    return shards.assemble(inputs.sites)


def read_tokens(
    inputs: Inputs, prompts: Sequence[int], coordinates: Mapping[Site, Sequence[int]], run: Run
) -> dict[int, dict[Site, Floats]]:
    """Return the values `(pos, coordinate)` of the chosen coordinates on each of the chosen prompts."""
    found: dict[int, dict[Site, Floats]] = {}
    chosen = [inputs.tokens[i] for i in prompts]
    with matmul_precision():
        for row in token_values(inputs.loaded, chosen, coordinates):
            found[prompts[row.prompt]] = dict(row.values)
            run.progress(len(found), len(prompts), "reading top contexts", "prompts")
    return found


class _Shards:
    """Rows as they come, on disk in files that a later attempt reads back."""

    def __init__(self, folder: Path, n_prompts: int) -> None:
        self.n_prompts = n_prompts
        self._folder = folder
        self._rows: list[dict[str, NDArray[np.generic]]] = [dict(load_file(p)) for p in sorted(folder.glob("pooled-*"))]
        self._fresh: list[dict[str, NDArray[np.generic]]] = []
        self._written_at = time.monotonic()

    @property
    def n_done(self) -> int:
        """Prompts whose rows are there."""
        return sum(len(part["indices"]) for part in (*self._rows, *self._fresh))

    def left(self) -> list[int]:
        """Return the prompts whose rows are missing."""
        done = {int(i) for part in self._rows for i in part["indices"]}
        return [i for i in range(self.n_prompts) if i not in done]

    def add(self, batch: Harvested, indices: Sequence[int]) -> None:
        """Take the rows of some prompts, and write them once enough work has come together."""
        part: dict[str, NDArray[np.generic]] = {"indices": np.asarray(indices, dtype=np.int64)}
        part["n_tokens"] = np.asarray([batch.n_tokens], dtype=np.int64)
        for address, rows in batch.rows.items():
            part[f"rows:{address}"] = rows
            part[f"fired:{address}"] = batch.fired[address]
        self._fresh.append(part)
        if time.monotonic() - self._written_at > SHARD_S:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet; a shard is there whole or not at all."""
        for part in self._fresh:
            path = self._folder / f"pooled-{len(self._rows):06d}.safetensors"
            partial = path.with_name(f".{path.name}")
            save_file(part, partial)
            partial.replace(path)
            self._rows.append(part)
        self._fresh = []
        self._written_at = time.monotonic()

    def assemble(self, sites: Sequence[Site]) -> Pooled:
        """Return all rows in the order of the prompts."""
        order = np.argsort(np.concatenate([part["indices"] for part in self._rows]), kind="stable")
        n_tokens = sum(int(part["n_tokens"][0]) for part in self._rows)
        columns: dict[Site, slice] = {}
        values: list[Floats] = []
        fired: list[NDArray[np.float64]] = []
        start = 0
        for address in sites:
            block = np.concatenate([part[f"rows:{address}"] for part in self._rows])[order].astype(
                np.float32, copy=False
            )
            columns[address] = slice(start, start := start + block.shape[1])
            values.append(block)
            fired.append(np.sum([part[f"fired:{address}"] for part in self._rows], axis=0) / max(1, n_tokens))
        return Pooled(np.concatenate(values, axis=1), np.concatenate(fired), columns)
