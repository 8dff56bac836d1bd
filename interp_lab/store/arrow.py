"""pyarrow, imported when a table is first needed: a server that only lists stores never pays for it.

It has no type information, so everything behind this door is `Any`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from interp_lab.errors import StoreCorrupt

Table = Any
"""A `pyarrow.Table`."""
Schema = Any
"""A `pyarrow.Schema`."""


def arrow() -> Any:
    """Return the module `pyarrow`."""
    import pyarrow as module  # lazy: 130 ms and 50 MB that a server's start does not need  # pyright: ignore
    import pyarrow.compute  # lazy: as above; pyarrow alone does not bring it  # pyright: ignore

    return module


def write_table(path: Path, table: Table) -> None:
    """Write a Parquet file whose bytes follow from the table alone."""
    from pyarrow import parquet  # lazy: see arrow  # pyright: ignore

    parquet.write_table(table, path, compression="zstd", row_group_size=1 << 20)  # pyright: ignore


@contextmanager
def table_writer(path: Path, schema: Schema) -> Generator[Callable[[Table], None]]:
    """Yield what adds the rows of a table to a Parquet file; one table gives the bytes that `write_table` gives."""
    from pyarrow import parquet  # lazy: see arrow  # pyright: ignore

    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:  # pyright: ignore
        yield lambda table: writer.write_table(table, row_group_size=1 << 20)  # pyright: ignore


def read_table(path: Path, columns: list[str] | None = None) -> Table:
    """Return the table of a Parquet file, or only some of its columns.

    Raises:
        StoreCorrupt: It cannot be read, or has not those columns.
    """
    from pyarrow import parquet  # lazy: see arrow  # pyright: ignore

    try:
        table = cast(Table, parquet.read_table(path, columns=columns, memory_map=True))  # pyright: ignore
    except (OSError, arrow().ArrowException) as error:
        raise StoreCorrupt(f"{path.name!r} cannot be read as a table: {str(error)[:200]}") from error
    if columns is not None and table.column_names != columns:
        raise StoreCorrupt(f"{path.name!r} lacks one of the columns {', '.join(columns)[:200]}.")
    return table
