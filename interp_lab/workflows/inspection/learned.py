# pyright: standard
"""Directions as things to rank: explore prompts teach them, in an order in which no prompt is scored by its own label.

The model reads the prompts twice: once for the activations that teach, once for the directions, whose value of a
prompt is pooled over its tokens like that of any coordinate. So intervene, which reads the same, sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.vector_hash import vector_hash
from interp_lab.artifacts.writer import ArtifactWriter
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, LearnedMethod
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.learned_directions import RECORD, TENSORS, LearnedDirection, LearnedDirections
from interp_lab.contracts.pooling import Pooling
from interp_lab.engine.lens import Lens, Site
from interp_lab.jobs.run import Run
from interp_lab.methods.taught_in_order import blocks_of, in_order
from interp_lab.points import Address
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.learning import learn
from interp_lab.workflows.inspection.listed import Listed
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.inspection.tables import Pooled

_DIGEST = 8
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Learned(Listed):
    """The directions of one method at one address."""

    method: LearnedMethod


class Taught(NamedTuple):
    """Directions of one criterion, ready to be ranked."""

    plan: Design
    """Prompts that only taught belong to neither half."""
    table: Pooled
    """Explore prompts by what earlier ones taught, the others by the directions that are kept."""
    shown: Pooled
    """Every prompt by the directions that are kept."""
    notes: tuple[str, ...]


class _Lenses(NamedTuple):
    kept: Learned
    earlier: Lens | None
    """Directions of each earlier block, one block after the other."""


def taught(inputs: Inputs, plan: Design, run: Run, *, number: int = 0) -> Taught:
    """Return the directions of a criterion, the `number`-th of the request, and the value of every prompt along them.

    Raises:
        TooFewGroups: too few prompt groups explore to learn from some and rank on others.
        PromptNotPoolable, NonFiniteActivations, HookPointUnavailable: see `harvest`.
    """
    assert isinstance(inputs.request.evidence, DirectionsEvidence)
    rows = plan.rows("explore")
    sample = plan.sample.take(rows)
    blocks = blocks_of(sample, seed=plan.split.seed)
    pooling = teaching_pooling(inputs.request.pooling)
    teaching = replace(inputs, request=inputs.request.model_copy(update={"pooling": pooling}))
    seen = pool_prompts(teaching, run, stage=f"teaching-{number}")
    run.progress(0, None, "learning directions")
    lenses = [
        _lenses(address, method, inputs, blocks=blocks, sample=sample, values=seen.values[rows, columns])
        for address, columns in seen.columns.items()
        for method in dict.fromkeys(inputs.request.evidence.methods)
    ]
    sites: list[Site] = [site for pair in lenses for site in pair if site is not None]
    values = pool_prompts(replace(inputs, sites=tuple(sites)), run, stage=f"learned-{number}")
    return Taught(
        _ranked_on(plan, rows[blocks == 0]),
        _table(lenses, values, rows=rows, blocks=blocks),
        _table(lenses, values),
        _notes(plan, n_only_taught=int((blocks == 0).sum()), pooling=inputs.request.pooling),
    )


def teaching_pooling(pooling: Pooling) -> Pooling:
    """Return how tokens are pooled for learning: largest values of single coordinates are no point of the model."""
    return "mean" if pooling == "max" else pooling


def write_directions(files: ArtifactWriter, report: InspectReport, sites: Mapping[Site, slice]) -> None:
    """Write the directions that a report ranks, and their record; nothing where it ranks none."""
    learned = [site for site in sites if isinstance(site, Learned)]
    if not learned:
        return
    rows = {site.key: np.ascontiguousarray(site.rows.numpy(), dtype=np.float32) for site in learned}
    save_file(rows, files.path(TENSORS))
    record = LearnedDirections(
        criterion=report.criterion,
        model=report.model.id,
        dataset=f"{report.dataset.name} sha256:{report.dataset.sha256}",
        seed=report.run.seed,
        taught_by=report.dataset.n_prompts - report.dataset.n_confirm,
        taught_pooling=teaching_pooling(report.pooling),
        directions=tuple(_record(site, index, row) for site in learned for index, row in enumerate(rows[site.key])),
    )
    files.write_json(RECORD, record.model_dump(mode="json"))


def _record(site: Learned, index: int, row: NDArray[np.float32]) -> LearnedDirection:
    return LearnedDirection(
        name=f"{site.key} #{index}",
        site=site.key,
        index=index,
        address=str(site.addresses[0]),
        method=site.method,
        width=row.size,
        direction_sha256=vector_hash(row),
    )


def _lenses(
    address: Site, method: LearnedMethod, inputs: Inputs, *, blocks: np.ndarray, sample: Sample, values: Floats
) -> _Lenses:
    assert isinstance(address, Address)
    evidence = inputs.request.evidence
    assert isinstance(evidence, DirectionsEvidence)
    found = learn(method, values, sample, blocks, n_components=evidence.n_components, seed=inputs.request.seed)
    key = f"{address}/{method}-{_recipe(inputs)}"
    words = method.replace("_", " ")
    numbers = [f" {i + 1}" for i in range(len(found.whole))] if len(found.whole) > 1 else [""]
    names = tuple(f"{words}{number} at {address}" for number in numbers)  # one each: exported files know rows by name
    rows = torch.tensor(found.whole, dtype=torch.float32)
    kept = Learned(key, (address,), _reads(rows), rows, names, method)
    if not found.earlier:
        return _Lenses(kept, None)
    before = torch.tensor(np.concatenate(found.earlier), dtype=torch.float32)
    return _Lenses(kept, Lens(f"{key}-earlier", (address,), _reads(before)))


def _reads(rows: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    turned = rows.T.contiguous()
    return lambda x: x.float() @ turned.to(x.device)


def _recipe(inputs: Inputs) -> str:
    """Name what directions follow from, so that the same question has the same names in every run."""
    asked = inputs.request
    told = {
        "model": inputs.provenance()["model"],
        "prompts": inputs.prompts.sha256,
        "positives": [int(each) for each in inputs.prompts.positive(asked.threshold)],
        "seed": asked.seed,
        "pooling": asked.pooling,
    }
    return sha256_hex(canonical_json(told))[:_DIGEST]


def _ranked_on(plan: Design, only_taught: np.ndarray) -> Design:
    parts = list(plan.split.parts)
    for row in only_taught:
        parts[int(row)] = "train"
    return replace(plan, split=replace(plan.split, parts=tuple(parts)))


def _table(
    lenses: Sequence[_Lenses], values: Pooled, *, rows: np.ndarray | None = None, blocks: np.ndarray | None = None
) -> Pooled:
    """Put the kept directions side by side, explore rows by what came before them if blocks are given."""
    columns: dict[Site, slice] = {}
    found: list[np.ndarray] = []
    density: list[np.ndarray] = []
    start = 0
    for kept, earlier in lenses:
        own = values.columns[kept]
        scores = values.values[:, own]
        if rows is not None and blocks is not None and earlier is not None:
            before = values.values[rows, values.columns[earlier]]
            steps = np.split(before, int(blocks.max()), axis=1)
            scores = scores.copy()
            scores[rows] = in_order(scores[rows], steps, blocks)
        columns[kept] = slice(start, start := start + scores.shape[1])
        found.append(scores)
        density.append(values.density[own])
    return Pooled(np.concatenate(found, axis=1), np.concatenate(density), columns)


def _notes(plan: Design, *, n_only_taught: int, pooling: Pooling) -> tuple[str, ...]:
    n = len(plan.split.rows("explore"))
    notes = [
        f"{n} prompts taught the directions. The ranking is over {n - n_only_taught} of them, each scored by what "
        "earlier ones alone taught, so it understates the directions that are kept, which all of them taught; "
        "held-out prompts score those."
    ]
    if teaching_pooling(pooling) != pooling:
        notes.append("They were learned from means over tokens; their values are pooled by max as everywhere.")
    return tuple(notes)
