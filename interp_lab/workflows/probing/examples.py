"""Examples of a probe: which rows of a store make one example, what its target is, and its activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.probe import ProbePooling, TrainProbeRequest
from interp_lab.errors import PromptNotPoolable, TooFewGroups
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.workflows.probing.labels import as_target, raw_target
from interp_lab.workflows.querying.view import StoreView

MAX_ELEMENTS = 2**28
"""Numbers of one column that are held at once: 1 GiB as float32."""
_CHUNK_ELEMENTS = 2**22

Activations = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a probe learns from, without the activations."""

    prompts: Ints
    """Prompt of each example."""
    groups: Ints
    """Independent group of each example."""
    target: Target
    rows: Ints
    """Rows of the store that count, ascending."""
    owner: Ints
    """Example that each of `rows` belongs to."""
    pooling: ProbePooling
    left_out: int
    """Candidates without a usable target, or beyond the limit."""

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(self.prompts.size)

    def take(self, kept: Ints) -> Examples:
        """Return only these examples, ascending."""
        place = np.full(self.n, -1, dtype=np.intp)
        place[kept] = np.arange(kept.size)
        own = place[self.owner]
        return replace(
            self,
            prompts=self.prompts[kept],
            groups=self.groups[kept],
            target=self.target.take(kept),
            rows=self.rows[own >= 0],
            owner=own[own >= 0],
            left_out=self.left_out + self.n - kept.size,
        )


def open_examples(view: StoreView, request: TrainProbeRequest, keys: Sequence[str]) -> Examples:
    """Return the examples of a request, at most as many as it asks for and memory allows.

    Raises:
        UnknownField, LabelsUnusable, InvalidRequest: the target is not there or cannot be predicted.
        PromptNotPoolable: no prompt has a row of the kind that pooling needs.
        TooFewGroups: hardly any example is left.
    """
    kept = _kept_rows(view, request.pooling)
    rows, prompts, owner = _rows_of_examples(view, kept, request.pooling)
    raw = raw_target(view, request, prompts=prompts, rows=rows, owner=owner)
    usable, target = as_target(raw, request, view.prompt_group[prompts])
    everything = Examples(
        prompts=prompts,
        groups=view.prompt_group[prompts],
        target=Target(target.task, np.zeros(prompts.size), target.classes),
        rows=rows,
        owner=owner,
        pooling=request.pooling,
        left_out=0,
    )
    examples = replace(everything.take(usable), target=target)
    if np.unique(examples.groups).size < 2:
        raise TooFewGroups(f"{examples.n} examples with a value of {request.target}, from fewer than two groups.")
    widest = max(view.column(key).width for key in keys)
    limit = min(request.max_examples, max(50, MAX_ELEMENTS // widest))
    if examples.n <= limit:
        return examples
    drawn = np.random.default_rng(request.seed).choice(examples.n, size=limit, replace=False)
    return examples.take(np.sort(drawn).astype(np.intp))


def activations(view: StoreView, key: str, examples: Examples) -> Activations:
    """Return the activations of every example at one column `(n_examples, width)`."""
    out = np.zeros((examples.n, view.column(key).width), dtype=np.float32)
    if examples.pooling == "max":
        out -= np.inf
    counts = np.bincount(examples.owner, minlength=examples.n)
    for rows, block in _blocks(view, key, examples.rows):
        owner = examples.owner[rows]
        order = np.argsort(owner, kind="stable")
        names, starts = np.unique(owner[order], return_index=True)
        if examples.pooling == "max":
            out[names] = np.maximum(out[names], np.maximum.reduceat(block[order], starts, axis=0))
        else:
            out[names] += np.add.reduceat(block[order], starts, axis=0)
    if examples.pooling != "max":
        out /= counts[:, None]
    return out


def _blocks(view: StoreView, key: str, rows: Ints) -> Iterator[tuple[slice, Activations]]:
    """Yield runs of `rows`, as a slice of it, with their activations."""
    size = max(1, _CHUNK_ELEMENTS // view.column(key).width)
    for start in range(0, rows.size, size):
        part = slice(start, min(start + size, rows.size))
        yield part, _read(view, key, rows[part])


def _read(view: StoreView, key: str, rows: Ints) -> Activations:
    column = view.column(key)
    if column.kind == "dense":
        return view.store.dense(key).take(rows)
    out = np.zeros((rows.size, column.width), dtype=np.float32)
    reader = view.store.codes(key)
    for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(rows) != 1) + 1):
        block = reader.row_block(int(rows[run[0]]), int(rows[run[-1]]) + 1)
        out[np.repeat(run, np.diff(block.indptr)), block.latents] = block.values
    return out


def _kept_rows(view: StoreView, pooling: ProbePooling) -> Ints:
    mark = _flags(view, "span") if pooling == "span" else ~_flags(view, "special")
    kept = np.flatnonzero(mark).astype(np.intp)
    if not kept.size:
        raise PromptNotPoolable(f"Pooling '{pooling}' finds no row in this store.")
    return kept


def _flags(view: StoreView, name: str) -> NDArray[np.bool_]:
    column: Any = view.field(name)
    flags: NDArray[np.bool_] = column.to_numpy().astype(np.bool_)
    return flags


def _rows_of_examples(view: StoreView, kept: Ints, pooling: ProbePooling) -> tuple[Ints, Ints, Ints]:
    """Return the rows that count, the prompt of every example, and which example each row belongs to."""
    prompt_of = view.row_prompt[kept].astype(np.intp)
    if pooling == "none":
        return kept, prompt_of, np.arange(kept.size, dtype=np.intp)
    if pooling == "last":
        order = np.lexsort((view.position[kept], prompt_of))
        ends = np.append(np.flatnonzero(np.diff(prompt_of[order])), order.size - 1)
        kept = np.sort(kept[order[ends]])
        prompt_of = view.row_prompt[kept].astype(np.intp)
    prompts, owner = np.unique(prompt_of, return_inverse=True)
    return kept, prompts.astype(np.intp), owner.ravel().astype(np.intp)


def texts_of(view: StoreView, examples: Examples) -> list[str]:
    """Return the text of each example's prompt, empty where it has none."""
    column: Any = view.prompts.column("text")
    texts: list[str] = [text or "" for text in column.to_pylist()]
    return [texts[prompt] for prompt in examples.prompts]


def positions_of(view: StoreView, examples: Examples) -> Floats:
    """Return the position of each example that is one row."""
    return view.position[examples.rows].astype(np.float64)
