"""Tensors by name from a safetensors or an npz file, checked before anything is loaded and never deserialised."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.errors import CorruptWeights, FileTooLarge, InvalidDictionary

MAX_BYTES = 64 * 2**30
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, RuntimeError, MemoryError)
"""What reading a zip of arrays raises: a password is a RuntimeError, a shape without its numbers a MemoryError."""


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return every tensor of a safetensors file; bfloat16 comes as float32.

    Raises:
        InvalidDictionary: There is no such file.
        MalformedFile, FileTooLarge: Its header does not describe it.
        CorruptWeights: It cannot be read.
    """
    if not path.is_file():
        raise InvalidDictionary(f"{path.name} is absent from {path.parent.name}.")
    entries = {entry.name: entry for entry in check_safetensors_header(path)}
    brain = [name for name, entry in entries.items() if entry.dtype == "BF16"]
    try:
        opened: Any = safe_open(path, framework="np")
        with opened as file:
            found: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in entries if name not in brain}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CorruptWeights(f"{path.name} cannot be read: {type(error).__name__}.") from error
    data_start = path.stat().st_size - max((entry.end for entry in entries.values()), default=0)
    for name in brain:
        entry = entries[name]
        raw = np.fromfile(path, np.uint16, (entry.end - entry.start) // 2, offset=data_start + entry.start)
        found[name] = (raw.astype(np.uint32) << 16).view(np.float32).reshape(entry.shape)
    return found


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return every array of an npz file.

    Raises:
        InvalidDictionary: There is no such file.
        FileTooLarge: Unpacked it has more than 64 GiB.
        CorruptWeights: It is cut off, damaged, or holds objects instead of numbers.
    """
    if not path.is_file():
        raise InvalidDictionary(f"{path.name} is absent from {path.parent.name}.")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise FileTooLarge(f"{path.name} unpacks to {unpacked} bytes; at most {MAX_BYTES} are read.")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except _DAMAGED as error:
        raise CorruptWeights(f"{path.name} is cut off, damaged, or holds more than plain numbers.") from error
    if not all(isinstance(value, np.ndarray) for value in found.values()):
        raise CorruptWeights(f"{path.name} holds other files than arrays.")
    return found
