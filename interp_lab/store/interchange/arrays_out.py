"""A store as NumPy arrays: one array per dense column, three and a width per column of codes, and CSV tables."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from interp_lab.store.interchange.incoming import block_rows
from interp_lab.store.names import slug_of
from interp_lab.store.reader import ActivationStore
from interp_lab.store.tables import label_column, metric_column

ARCHIVE = "activations.npz"
ROWS = "rows.csv"
Place = Callable[[str], Path]
"""File name → where it may be written."""
_Open = Callable[[str], Any]
_Form = tuple[tuple[int, ...], str]
"""Shape and number format."""
_CHUNK_ROWS = 65_536
_LABEL = label_column("")


def write_arrays(store: ActivationStore, place: Place, *, keys: Sequence[str], archive: bool) -> None:
    """Write the columns, `prompt`, `position` and `token_id` as .npy files or into one .npz, and the rows as CSV.

    Raises:
        UnknownColumn: The store has no such column.
    """
    columns = [store.column(key) for key in keys]
    with _npz(place(ARCHIVE)) if archive else _files(place) as open_array:
        for column in columns:
            if column.kind == "dense":
                _write_dense(store, column.key, open_array)
            else:
                _write_codes(store, column.key, open_array)
        for name in ("prompt", "position", "token_id"):
            _write(open_array, name, ((store.n_rows,), "<i4"), _row_numbers(store, name))
    with place(ROWS).open("w", encoding="utf-8", newline="") as file:
        _write_rows(store, file)


def _write_dense(store: ActivationStore, key: str, open_array: _Open) -> None:
    reader = store.dense(key)
    blocks = (block for _, block in reader.chunks(block_rows([reader.width])))
    _write(open_array, key, ((store.n_rows, reader.width), "<f4"), blocks)


def _write_codes(store: ActivationStore, key: str, open_array: _Open) -> None:
    reader = store.codes(key)
    counts = [np.diff(block.indptr) for _, block in reader.chunks(_CHUNK_ROWS)]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype("<i8")
    _write(open_array, f"{key}.offsets", (offsets.shape, "<i8"), [offsets])
    blocks = reader.chunks(_CHUNK_ROWS)
    _write(open_array, f"{key}.latents", ((reader.n_active,), "<i4"), (block.latents for _, block in blocks))
    blocks = reader.chunks(_CHUNK_ROWS)
    _write(open_array, f"{key}.values", ((reader.n_active,), "<f4"), (block.values for _, block in blocks))
    _write(open_array, f"{key}.width", ((1,), "<i8"), [np.array([reader.width], "<i8")])


def _row_numbers(store: ActivationStore, name: str) -> Iterator[NDArray[Any]]:
    for start in range(0, store.n_rows, _CHUNK_ROWS):
        column = store.rows([name], start=start, stop=min(start + _CHUNK_ROWS, store.n_rows)).column(name)
        yield column.fill_null(-1).to_numpy()


def _write(open_array: _Open, name: str, form: _Form, blocks: Iterable[NDArray[Any]]) -> None:
    shape, dtype = form
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    with open_array(name) as file:
        npy.write_array_header_2_0(file, header)  # pyright: ignore[reportUnknownMemberType]
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)


@contextmanager
def _npz(path: Path) -> Any:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:

        def open_member(name: str) -> IO[bytes]:
            member = zipfile.ZipInfo(f"{name}.npy")  # always of 1980: the same store gives the same bytes
            return archive.open(member, "w", force_zip64=True)

        yield open_member


@contextmanager
def _files(place: Place) -> Any:
    def open_file(name: str) -> IO[bytes]:
        key, dot, part = name.rpartition(".")
        split = dot and part in ("offsets", "latents", "values", "width")
        return place(f"{slug_of(key)}.{part}.npy" if split else f"{slug_of(name)}.npy").open("wb")

    yield open_file


def _write_rows(store: ActivationStore, file: io.TextIOBase) -> None:
    """Write one line per row; a prompt's own columns are repeated on each of its rows."""
    prompts = store.prompts().to_pylist()
    of_rows = ["position", "token", "token_id", "special", "generated", "span"]
    of_rows += [metric_column(metric.name) for metric in store.manifest.metrics]
    of_rows += [label_column(label.name) for label in store.manifest.labels if label.scope == "row"]
    of_prompts = [label_column(label.name) for label in store.manifest.labels if label.scope == "prompt"]
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(_header([*of_rows, *of_prompts]))
    for start in range(0, store.n_rows, _CHUNK_ROWS):
        table = store.rows(["prompt", *of_rows], start=start, stop=min(start + _CHUNK_ROWS, store.n_rows))
        for row in table.to_pylist():
            prompt = prompts[row["prompt"]]
            said = [prompt["id"], prompt["text"], prompt["score"], prompt["group"]]
            lines.writerow(
                map(_cell, [*said, *(row[name] for name in of_rows), *(prompt[name] for name in of_prompts)])
            )


def _header(names: Sequence[str]) -> list[str]:
    """Return the names of the columns; a label keeps its prefix where another column has its name already."""
    shown = ["prompt", "text", "score", "group"]
    taken = {*shown, *(name for name in names if not name.startswith(_LABEL))}
    for name in names:
        if name.startswith(_LABEL):
            forms = (name.removeprefix(_LABEL), name, f"prompt {name}")
            name = next(form for form in forms if form not in taken)  # noqa: PLW2901
            taken.add(name)
        shown.append(name)
    return shown


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
