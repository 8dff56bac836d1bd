"""NumPy arrays read a run of rows at a time, from a .npy file or straight out of a .npz, and never unpickled."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from interp_lab.errors import MalformedFile

MAX_ARRAYS = 10_000
_MOST_DEFLATED = 1032
"""How many times smaller the compression of zip files can make anything."""


class ArrayStream:
    """One array whose rows are read once, in order."""

    def __init__(self, file: IO[bytes], n_bytes: int, *, where: str) -> None:
        """Read the header of a file of `n_bytes`.

        Raises:
            MalformedFile: Not a plain .npy of numbers in row-major order, or not all of it.
        """
        self._file = file
        self._where = where
        try:
            version = npy.read_magic(file)  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]  # pyright: ignore
            self.shape, fortran, self.dtype = read(file)  # pyright: ignore
        except (ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, SyntaxError) as error:
            raise MalformedFile(f"{where} is not a NumPy array: {str(error)[:120]}.") from error
        self.shape: tuple[int, ...]
        self.dtype: np.dtype[Any]
        if self.dtype.kind not in "fiu" or (fortran and len(self.shape) > 1):
            raise MalformedFile(
                f"{where} holds {self.dtype} {'by columns' if fortran else ''}; numbers by rows are read."
            )
        if math.prod(self.shape) * self.dtype.itemsize != n_bytes - file.tell():
            raise MalformedFile(f"{where} is cut off: it does not have the bytes of {self.shape} numbers.")

    def read(self, n_rows: int, *, row_shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the next rows, `(n_rows, *row_shape)`.

        Raises:
            MalformedFile: The file ends before.
        """
        n_bytes = n_rows * math.prod(row_shape) * self.dtype.itemsize
        try:
            data = self._file.read(n_bytes)
        except (EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise MalformedFile(f"{self._where} is damaged: {str(error)[:120]}.") from error
        if len(data) < n_bytes:
            raise MalformedFile(f"{self._where} is cut off: it promises {self.shape} numbers and ends before.")
        return np.frombuffer(data, self.dtype).reshape(n_rows, *row_shape)

    def read_whole(self) -> NDArray[Any]:
        """Return everything that is left; for small arrays."""
        return self.read(self.shape[0], row_shape=self.shape[1:]) if self.shape else self.read(1, row_shape=())


@contextmanager
def open_arrays(file: BinaryIO, *, where: str) -> Generator[dict[str, ArrayStream]]:
    """Open the arrays of a .npz by name, or the one of a .npy under the name ''.

    Raises:
        MalformedFile: Neither of them, or it holds anything but plain arrays.
    """
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start == b"\x93NUMPY":
        yield {"": ArrayStream(file, n_bytes, where=where)}
        return
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except zipfile.BadZipFile as error:
            raise MalformedFile(f"{where} is neither .npy nor .npz.") from error
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) > MAX_ARRAYS or not all(info.filename.endswith(".npy") for info in members.values()):
            raise MalformedFile(f"{where} holds other files than arrays, or more than {MAX_ARRAYS}.")
        yield {name: _member(archive, info, stack, where) for name, info in members.items()}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stack: ExitStack, where: str) -> ArrayStream:
    if info.file_size > _MOST_DEFLATED * (info.compress_size + 1):
        raise MalformedFile(f"{where}: {info.filename[:80]!r} promises more bytes than it can hold.")
    try:
        file = stack.enter_context(archive.open(info))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # a password is a RuntimeError
        raise MalformedFile(f"{where}: {info.filename[:80]!r} cannot be read: {str(error)[:80]}.") from error
    return ArrayStream(file, info.file_size, where=f"{where}, {info.filename[:80]}")
