"""Control vectors as llama.cpp and repeng read them: GGUF with one tensor `direction.N` per layer.

Layer N is the output of block N, counted from 0, which is `resid_post.N` here. llama.cpp reads none for layer 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import MalformedFile, PackageMissing

ARCHITECTURE: Final = "controlvector"
_PREFIX = "direction."

Vectors = Mapping[int, NDArray[np.float32]]


def write_control_vector(path: Path, vectors: Vectors, *, model_type: str, facts: Mapping[str, str]) -> None:
    """Write vectors by layer; `facts` become string fields `interp_lab.NAME`.

    Raises:
        PackageMissing: The extra 'gguf' is not installed.
    """
    gguf = _library()
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_string(f"{ARCHITECTURE}.model_hint", model_type)
    writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(vectors))
    for name, value in facts.items():
        writer.add_string(f"interp_lab.{name}", value)
    for layer, vector in sorted(vectors.items()):
        writer.add_tensor(f"{_PREFIX}{layer}", np.ascontiguousarray(vector, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_control_vector(path: Path) -> dict[int, NDArray[np.float32]]:
    """Return the vectors of a control vector file by layer.

    Raises:
        MalformedFile: It is not one.
        PackageMissing: The extra 'gguf' is not installed.
    """
    gguf = _library()
    try:
        reader: Any = gguf.GGUFReader(path)
        found = {
            int(tensor.name.removeprefix(_PREFIX)): np.array(tensor.data, dtype=np.float32)
            for tensor in reader.tensors
            if tensor.name.startswith(_PREFIX)
        }
        field = reader.get_field("general.architecture")
        named = str(field.contents()) if field is not None else ""
    except (ValueError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise MalformedFile(f"{path.name} is not a GGUF file that can be read.") from error
    if named != ARCHITECTURE or not found:
        raise MalformedFile(f"{path.name} is a GGUF file of architecture {named[:40]!r}, not a control vector.")
    if any(vector.ndim != 1 or not np.isfinite(vector).all() for vector in found.values()):
        raise MalformedFile(f"{path.name} holds a direction that is not a finite vector.")
    return found


def _library() -> Any:
    try:
        return importlib.import_module("gguf")
    except ImportError as error:
        raise PackageMissing(
            "GGUF files need the package gguf, which is not installed.",
            remedy="Install the extra: pip install 'interp-lab-mcp[gguf]'.",
        ) from error
