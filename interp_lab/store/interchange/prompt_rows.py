"""Runs of rows of a store that belong together: the rows of one prompt, or a window of as many rows as asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import ExportUnfit
from interp_lab.store.reader import ActivationStore


class PromptRun(NamedTuple):
    """Consecutive rows of one prompt."""

    prompt: int
    start: int
    stop: int


def prompt_runs(store: ActivationStore) -> Iterator[PromptRun]:
    """Yield the rows of every prompt, in order.

    Raises:
        ExportUnfit: The rows of a prompt do not stand together.
    """
    prompts = store.rows(["prompt"]).column("prompt").to_numpy()
    edges = np.flatnonzero(np.diff(prompts)) + 1
    starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(prompts)]
    if len(set(prompts[starts].tolist())) != len(starts):
        raise ExportUnfit("The rows of a prompt do not stand together in this store.")
    for start, stop in zip(starts, stops, strict=True):
        yield PromptRun(int(prompts[start]), start, stop)


def context_of(store: ActivationStore, context_size: int | None) -> int:
    """Return how many rows make one sequence: as asked for, or the common length of the prompts.

    Raises:
        ExportUnfit: Prompts differ in length and no size was given, or the store has fewer rows than one sequence.
    """
    lengths = {run.stop - run.start for run in prompt_runs(store)} if context_size is None else {context_size}
    if len(lengths) > 1:
        raise ExportUnfit(
            f"The prompts have {min(lengths)} to {max(lengths)} rows; the format needs sequences of one length.",
            remedy="Give context_size: rows are then cut into sequences of that length, in order, across prompts.",
        )
    size = lengths.pop()
    if size > store.n_rows:
        raise ExportUnfit(f"A sequence of {size} rows is longer than the store, which has {store.n_rows}.")
    return size


def token_ids(store: ActivationStore) -> NDArray[np.int64] | None:
    """Return the token id of every row, or None if a row has none."""
    column = store.rows(["token_id"]).column("token_id")
    return None if column.null_count else column.to_numpy().astype(np.int64)
