"""State dicts in torch's own file format, read as data: nothing in the file is ever executed or imported.

The archive's program is not run. Its opcodes are listed by `pickletools` and a small interpreter understands the few
of them that a flat dict of plain tensors needs; anything else refuses the file.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import CorruptWeights, FileTooLarge, UnsafeWeights

MAX_BYTES: Final = 64 * 2**30
MAX_PROGRAM_BYTES: Final = 2**20
MAX_TENSORS: Final = 1000
_MAX_DIMENSIONS: Final = 16
_ENCRYPTED: Final = 1

_STORAGES: Final[Mapping[str, str]] = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch BFloat16Storage": "<u2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch BoolStorage": "|b1",
}
_BF16: Final = "torch BFloat16Storage"
_REBUILD: Final = "torch._utils _rebuild_tensor_v2"
_PARAMETER: Final = "torch._utils _rebuild_parameter"
_ORDERED: Final = "collections OrderedDict"
_KNOWN: Final = frozenset({*_STORAGES, _REBUILD, _PARAMETER, _ORDERED})
_MARK: Final = object()


class _Name(NamedTuple):
    """A name that the program mentions; it is compared, never looked up."""

    text: str


@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str
    size: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a saved state dict by name; bfloat16 comes as float32, a number as a 0-d array.

    Raises:
        UnsafeWeights: The file does more than describe tensors, or is in the format before torch 1.6.
        CorruptWeights: It is cut off or does not describe its own data.
        FileTooLarge: It is larger than can be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise FileTooLarge(f"{path.name} has {path.stat().st_size} bytes; at most {MAX_BYTES} are read.")
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, path.name).tensors()
    except zipfile.BadZipFile as error:
        raise UnsafeWeights(f"{path.name} is cut off, or not in torch's zip format.") from error


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED for entry in archive.filelist):
            raise UnsafeWeights(f"{name} is compressed or encrypted, which torch never does.")
        programs = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        if len(programs) != 1:
            raise CorruptWeights(f"{name} holds {len(programs)} descriptions of tensors instead of one.")
        if programs[0].file_size > MAX_PROGRAM_BYTES:
            raise FileTooLarge(f"The description of {name} has {programs[0].file_size} bytes.")
        self._program = programs[0]
        self._root = programs[0].filename.removesuffix("data.pkl")

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return every tensor and number at the top level of the described dict."""
        described = _Program(self._archive.read(self._program), self._name).value()
        if not isinstance(described, dict):
            raise UnsafeWeights(f"{self._name} does not hold a dict of tensors.")
        entries = cast("dict[object, object]", described)
        if len(entries) > MAX_TENSORS:
            raise FileTooLarge(f"{self._name} holds {len(entries)} tensors; at most {MAX_TENSORS} are read.")
        self._check_byte_order()
        return {str(key): self._array(value) for key, value in entries.items() if value is not None}

    def _check_byte_order(self) -> None:
        entry = f"{self._root}byteorder"
        if entry in self._archive.namelist() and self._archive.read(entry) != b"little":
            raise CorruptWeights(f"{self._name} was written on a machine with another byte order.")

    def _array(self, value: object) -> NDArray[Any]:
        if isinstance(value, (bool, int, float)):
            return np.asarray(value, np.float64) if abs(value) >= 2**63 else np.asarray(value)
        if not isinstance(value, _Tensor):
            raise UnsafeWeights(f"{self._name} holds something that is neither a tensor nor a number.")
        data = self._storage(value.storage)
        if math.prod(value.shape) > data.size or len(value.shape) > _MAX_DIMENSIONS:
            raise CorruptWeights(f"A tensor of {self._name} claims more numbers than its data has.")
        reach = value.offset + sum((side - 1) * step for side, step in zip(value.shape, value.strides, strict=True))
        if min((value.offset, *value.shape, *value.strides)) < 0 or (math.prod(value.shape) and reach >= data.size):
            raise CorruptWeights(f"A tensor of {self._name} reaches beyond its data.")
        steps = tuple(step * data.itemsize for step in value.strides)
        view = np.lib.stride_tricks.as_strided(data[value.offset :], value.shape, steps, writeable=False)
        return np.array(view)

    def _storage(self, storage: _Storage) -> NDArray[Any]:
        dtype = np.dtype(_STORAGES[storage.kind])
        try:
            entry = self._archive.getinfo(f"{self._root}data/{storage.key}")
            if entry.file_size != storage.size * dtype.itemsize:
                raise CorruptWeights(f"{self._name} holds {entry.file_size} bytes where it promises {storage.size}.")
            data = np.frombuffer(self._archive.read(entry), dtype)
        except (KeyError, zipfile.BadZipFile) as error:
            raise CorruptWeights(f"{self._name} lacks the data of a tensor, or it is damaged.") from error
        return (data.astype(np.uint32) << 16).view(np.float32) if storage.kind == _BF16 else data


class _Program:
    """The description of the tensors, understood one opcode at a time."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def value(self) -> object:
        """Return what is described."""
        try:
            for opcode, argument, _ in pickletools.genops(io.BytesIO(self._data)):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise CorruptWeights(f"The description of tensors in {self._name} makes no sense.") from error
        raise CorruptWeights(f"The description of tensors in {self._name} is cut off.")

    def _step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in {"GLOBAL", "STACK_GLOBAL"}:
            self._stack.append(self._named(argument if name == "GLOBAL" else " ".join(self._pop(2))))
        elif name in {"BINPUT", "LONG_BINPUT", "MEMOIZE"}:
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            self._stack.append(self._memo[argument])
        elif name not in {"PROTO", "FRAME"}:
            self._combine(name)

    def _combine(self, name: str) -> None:
        match name:
            case "TUPLE" | "LIST":
                self._stack.append(tuple(self._pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(tuple(self._pop(int(name[-1]))))
            case "SETITEM" | "SETITEMS":
                items = self._pop(2) if name == "SETITEM" else self._pop_to_mark()
                cast("dict[object, object]", self._stack[-1]).update(zip(items[::2], items[1::2], strict=True))
            case "BINPERSID":
                self._stack.append(self._persistent(self._stack.pop()))
            case "REDUCE":
                called, arguments = self._pop(2)
                self._stack.append(self._reduced(called, arguments))
            case "BUILD":  # attributes of the dict itself, such as its metadata: nothing is set
                self._stack.pop()
            case _:
                raise UnsafeWeights(f"{self._name} does more than describe tensors ({name}).")

    def _named(self, text: str) -> _Name:
        if text not in _KNOWN:
            raise UnsafeWeights(f"{self._name} asks for {text[:80]!r}, which no plain tensor needs.")
        return _Name(text)

    def _persistent(self, about: Any) -> _Storage:
        tag, kind, key, _, size = about
        if tag != "storage" or not isinstance(kind, _Name) or kind.text not in _STORAGES:
            raise UnsafeWeights(f"{self._name} refers to something other than the data of a tensor.")
        return _Storage(kind.text, str(int(key)), int(size))

    def _reduced(self, called: Any, arguments: Any) -> object:
        if called == _Name(_ORDERED) and not arguments:
            return {}
        if called == _Name(_PARAMETER):
            return arguments[0]
        if called == _Name(_REBUILD):
            storage, offset, shape, strides = arguments[:4]
            if isinstance(storage, _Storage) and len(shape) == len(strides):
                return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))
        raise UnsafeWeights(f"{self._name} calls something that no plain tensor needs.")

    def _pop(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) < count:
            raise CorruptWeights(f"The description of tensors in {self._name} makes no sense.")
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        place = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items


_VALUES: Final = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"}
)
_CONSTANTS: Final[Mapping[str, Callable[[], Any]]] = {
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "MARK": lambda: _MARK,
}
