"""A store as activation records (JSON Lines): every chosen unit in every record, zeros too.

The tool that reads them ignores a feature that a record lacks, so leaving out what is inactive would change what it
computes. What is said of a feature stands in the first record only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store_exchange import Pooling
from interp_lab.errors import ExportUnfit, RowOutOfRange
from interp_lab.points import HOOK_POINTS, Address
from interp_lab.store.blocks import CodeBlock
from interp_lab.store.interchange.features import feature_id, hidden_layer
from interp_lab.store.interchange.prompt_rows import PromptRun, prompt_runs
from interp_lab.store.interchange.record import token_text
from interp_lab.store.reader import ActivationStore
from interp_lab.store.tables import label_column

MAX_VALUES = 50_000_000
"""Numbers in one export: about 1 GB of text."""
_SOURCE = "interp-lab-mcp"
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """Chosen units of one column."""

    key: str
    units: NDArray[np.int64]
    ids: tuple[str, ...]


class Written(NamedTuple):
    """How much was written."""

    n_rows: int
    """Rows of the store that went in."""
    n_written: int
    """Records."""


def write_records(
    store: ActivationStore, file: BinaryIO, *, keys: Sequence[str], units: Sequence[int] = (), pooling: Pooling = "max"
) -> Written:
    """Write activation records and return how many; see `Pooling` for what one record is.

    Raises:
        UnknownColumn: The store has no such column.
        RowOutOfRange: A column has no such unit.
        ExportUnfit: A prompt has no score, two units have one name, or there are too many numbers.
    """
    chosen = tuple(_chosen(store, key, units) for key in keys)
    n_features = sum(len(features.ids) for features in chosen)
    n_records = store.n_rows if pooling == "token" else store.manifest.n_prompts
    if n_features * n_records > MAX_VALUES:
        raise ExportUnfit(
            f"{n_features} features in {n_records} records are more than {MAX_VALUES} numbers of text.",
            remedy="Name fewer columns or units, or pool the rows of a prompt.",
        )
    if len({name for features in chosen for name in features.ids}) < n_features:
        raise ExportUnfit("Two of these columns are one hidden state; export them one at a time.")
    said = {name: fact for features in chosen for name, fact in _facts(features)}
    written = Written(0, 0)
    for record, n_rows in _records(store, chosen, pooling):
        line = {**record, "feature_metadata": {} if written.n_written else said}
        file.write(json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        written = Written(written.n_rows + n_rows, written.n_written + 1)
    return written


def _chosen(store: ActivationStore, key: str, units: Sequence[int]) -> _Features:
    column = store.column(key)
    if units:
        if max(units) >= column.width:
            raise RowOutOfRange(f"{key!r} has units 0 to {column.width - 1}; {max(units)} was asked for.")
        wanted = np.array(sorted(set(units)), np.int64)
    elif column.kind == "codes":
        wanted = np.flatnonzero(store.codes(key).counts)
    else:
        wanted = np.arange(column.width)
    dictionary = column.dictionary if column.kind == "codes" else None
    return _Features(key, wanted, tuple(feature_id(column.address, dictionary, unit) for unit in wanted.tolist()))


def _facts(features: _Features) -> Iterator[tuple[str, dict[str, Any]]]:
    text, _, dictionary = features.key.partition("/")
    address = Address.parse(text)
    shared = {"address": text, "source": _SOURCE, "hook_name": _hook_name(address)}
    if dictionary:
        shared["dictionary"] = dictionary
    layer = hidden_layer(address)
    if layer is not None:
        shared |= {"layer": layer, "layer_convention": "hidden_state_index"}
    for name, unit in zip(features.ids, features.units.tolist(), strict=True):
        yield name, {**shared, "unit": unit, "label": f"unit {unit} of {features.key}"}


def _hook_name(address: Address) -> str:
    names = {point.name: point.transformer_lens for point in HOOK_POINTS}
    template = names.get(address.point)
    return str(address) if template is None else template.format(address.layer)


def _records(store: ActivationStore, chosen: Sequence[_Features], pooling: Pooling) -> Iterator[tuple[_Record, int]]:
    prompts = store.prompts().to_pylist()
    model = store.manifest.model.id if store.manifest.model else "unknown"
    labels = [label.name for label in store.manifest.labels if label.scope == "prompt"]
    for run in prompt_runs(store):
        prompt = prompts[run.prompt]
        if prompt["score"] is None:
            raise ExportUnfit(
                f"Prompt {prompt['id']!r} has no score, and every record needs one.",
                remedy="Harvest scored prompts, or use another format.",
            )
        shared: _Record = {"model": model, "criterion_score": prompt["score"]}
        said = {name: prompt[label_column(name)] for name in labels if prompt[label_column(name)] is not None}
        if said:
            shared["metadata"] = {"labels": said}
        of_run = _token_records if pooling == "token" else _prompt_record
        for record, n_rows in of_run(store, chosen, run, (prompt["id"], prompt["text"], pooling)):
            yield {**shared, **record}, n_rows


def _token_records(
    store: ActivationStore, chosen: Sequence[_Features], run: PromptRun, names: tuple[str, str, Pooling]
) -> Iterator[tuple[_Record, int]]:
    rows = store.rows(["position", "token"], start=run.start, stop=run.stop).to_pylist()
    whole = store.manifest.row == "record" and len(rows) == 1
    for row, values in zip(rows, _values(store, chosen, run), strict=True):
        position, token = row["position"], row["token"] or ""
        name, text = f"{names[0]}:tok{position}", token_text(names[1], position, token)
        prompt_id, text = names[:2] if whole else (name, text)
        yield {"prompt_id": prompt_id, "text": text, "features": _by_name(chosen, values)}, 1


def _prompt_record(
    store: ActivationStore, chosen: Sequence[_Features], run: PromptRun, names: tuple[str, str, Pooling]
) -> Iterator[tuple[_Record, int]]:
    special = store.rows(["special"], start=run.start, stop=run.stop).column("special").to_numpy()
    values = _values(store, chosen, run)[~special]
    if not len(values):
        raise ExportUnfit(f"Prompt {names[0]!r} has only special tokens; there is nothing to pool.")
    yield (
        {"prompt_id": names[0], "text": names[1], "features": _by_name(chosen, _pooled(values, names[2]))},
        len(values),
    )


def _pooled(values: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    if pooling == "last":
        return values[-1]
    return values.max(axis=0) if pooling == "max" else values.mean(axis=0)


def _values(store: ActivationStore, chosen: Sequence[_Features], run: PromptRun) -> NDArray[np.float32]:
    """Return the chosen units of all columns side by side, `(n, n_features)`."""
    parts: list[NDArray[np.float32]] = []
    for features in chosen:
        if store.column(features.key).kind == "dense":
            parts.append(store.dense(features.key).slice(run.start, run.stop)[:, features.units])
        else:
            block = store.codes(features.key).row_block(run.start, run.stop)
            parts.append(_some_units(block, features.units))
    return np.concatenate(parts, axis=1)


def _some_units(block: CodeBlock, units: NDArray[np.int64]) -> NDArray[np.float32]:
    out = np.zeros((len(block.indptr) - 1, len(units)), np.float32)
    rows = np.repeat(np.arange(len(out)), np.diff(block.indptr))
    places = np.minimum(np.searchsorted(units, block.latents), max(len(units) - 1, 0))
    wanted = units[places] == block.latents if len(units) else np.zeros(len(rows), bool)
    out[rows[wanted], places[wanted]] = block.values[wanted]
    return out


def _by_name(chosen: Sequence[_Features], values: NDArray[np.float32]) -> dict[str, float]:
    names = [name for features in chosen for name in features.ids]
    return dict(zip(names, values.tolist(), strict=True))
