"""How sparse codes lie in files: row-major shards, and latent-major parts sorted by value.

A shard holds `offsets (n_rows + 1)`, `latents` and `values`; a part holds `offsets (n_latents + 1)`, `rows` counted
from the part's first row, and `values`, descending within a latent and by row where values are equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import CodeColumn
from interp_lab.errors import StoreCorrupt
from interp_lab.store.number_formats import FORMATS, Raw
from interp_lab.store.tensor_file import Array, Layout, MappedTensors, map_tensors
from interp_lab.store.wide_integers import joined, layout


class CodeShard:
    """One mapped row-major file."""

    def __init__(self, path: Path, column: CodeColumn, n_rows: int) -> None:
        """Map the file.

        Raises:
            StoreCorrupt: It is missing, damaged or not of this column.
        """
        mapped = map_tensors(path)
        n_active = _length(mapped, "values")
        offsets: Layout = (_offset_tag(n_active), (n_rows + 1,))
        values: Layout = (FORMATS[column.dtype].tag, (n_active,))
        self._arrays = mapped.require(
            {"offsets": offsets, "values": values, **layout("latents", n_active, column.width)}
        )
        self.offsets: Array = self._arrays["offsets"]
        """Entries before each row, `(n_rows + 1,)`."""
        self.n_active = n_active
        _require_offsets(path, self.offsets, n_active)

    def latents(self, entries: slice | NDArray[np.int64]) -> NDArray[np.int32]:
        """Return which latents some entries are of: a slice, or entries by their places."""
        return joined(self._arrays, "latents", entries, np.int32)

    def raw_values(self, entries: slice) -> Raw:
        """Return the values of some entries as stored."""
        return self._arrays["values"][entries]


class PostingsFile:
    """One mapped latent-major file."""

    def __init__(self, path: Path, column: CodeColumn, n_rows: int) -> None:
        """Map the file; see `CodeShard` for errors."""
        mapped = map_tensors(path)
        n_active = _length(mapped, "values")
        self._arrays = mapped.require(postings_layout(column, n_rows, n_active))
        self.offsets: NDArray[np.int64] = self._arrays["offsets"]
        """Entries before each latent, `(n_latents + 1,)`."""
        _require_offsets(path, self.offsets, n_active)

    def rows(self, entries: slice) -> NDArray[np.int64]:
        """Return the rows of some entries, counted from the part's first."""
        return joined(self._arrays, "rows", entries, np.int64)

    def raw_values(self, entries: slice) -> Raw:
        """Return the values of some entries as stored."""
        return self._arrays["values"][entries]


def postings_layout(column: CodeColumn, n_rows: int, n_active: int) -> dict[str, Layout]:
    """Return the tensors of a latent-major file over `n_rows` rows."""
    values: Layout = (FORMATS[column.dtype].tag, (n_active,))
    return {"offsets": ("I64", (column.width + 1,)), "values": values, **layout("rows", n_active, n_rows)}


def narrow_offsets(offsets: NDArray[np.int64]) -> NDArray[Any]:
    """Return offsets in four bytes where they fit."""
    return offsets.astype(np.uint32) if _offset_tag(int(offsets[-1])) == "U32" else offsets


def _offset_tag(n_active: int) -> str:
    return "U32" if n_active < 2**32 else "I64"


def _length(mapped: MappedTensors, name: str) -> int:
    return mapped.layout.get(name, ("", (0,)))[1][0]


def _require_offsets(path: Path, offsets: Array, n_active: int) -> None:
    if offsets[0] != 0 or offsets[-1] != n_active:
        raise StoreCorrupt(f"The offsets in {path.name!r} do not span its {n_active} values.")
