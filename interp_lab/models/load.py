# pyright: standard
"""A model in memory, ready to be read: weights checked, evaluation mode, one lock, and where it came from.

Only safetensors weights, only files that are already on this machine, no progress bars on any stream.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from interp_lab.errors import DeviceUnavailable, IncompleteWeights, InvalidModel
from interp_lab.models.blocks import find_blocks
from interp_lab.models.facts import ModelFacts, facts_of
from interp_lab.models.families import Family, PairPart
from interp_lab.models.preflight import needs_remote_code, preflight
from interp_lab.models.quantised import round_weights
from interp_lab.models.resolve import ModelSource

DtypeName = Literal["auto", "float32", "bfloat16", "float16", "int8"]

_IDENTITY_SUFFIXES = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors"})
_loading = threading.Lock()


class FileHash(NamedTuple):
    """One file of a model directory and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in memory and everything that a result must say about it."""

    model: PreTrainedModel = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    facts: ModelFacts
    source: ModelSource
    blocks: tuple[nn.Module, ...] = field(repr=False)
    device: torch.device
    dtype: torch.dtype
    files: tuple[FileHash, ...]
    """Hashes of the files it was made from; empty for a hub model, whose commit says the same."""
    accepts: frozenset[str] = field(repr=False)
    """Names of the inputs that its forward pass takes."""
    is_rounded: bool = False
    """Whether the weights of the blocks' linear layers were rounded to 8 bits; products are in `dtype` still."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Held by whoever has hooks on the model or runs it."""

    @property
    def number_format(self) -> str:
        """Number format it runs in, and that of its linear weights where these were rounded."""
        plain = str(self.dtype).removeprefix("torch.")
        return f"int8 weights, {plain}" if self.is_rounded else plain

    @property
    def version(self) -> str | None:
        """What tells these weights from others of its id: commit or hash of the files, and whether it was rounded."""
        read = self.source.commit or digest_of(self.files)
        return f"{read} int8" if self.is_rounded else read

    @property
    def family(self) -> Family:
        """The family row that its blocks follow."""
        return self.facts.family


def load_model(
    source: ModelSource,
    *,
    dtype: DtypeName = "auto",
    device: str = "auto",
    allow_remote_code: bool = False,
    part: PairPart = "encoder",
) -> LoadedModel:
    """Return the model of `source` in evaluation mode on `device`.

    Of an encoder-decoder only its encoder is kept, as a model of its own; for its decoder the whole is.
    `dtype="auto"` keeps the checkpoint's format on an accelerator and is float32 on a CPU; `"int8"` loads like that and
    rounds the weights of the blocks' linear layers, see `round_weights`.

    Raises:
        InvalidModel: The directory lacks something, or transformers cannot build the model from it.
        UnsafeWeights: The weights are only there as pickle.
        CorruptWeights: A weight file does not fit its header.
        RemoteCodeNotAllowed: The model needs its own code.
        IncompleteWeights: The checkpoint lacks weights.
        DeviceUnavailable: There is no such device here.
        UnsupportedModel: The blocks cannot be found.
    """
    facts = preflight(source.directory, allow_remote_code=allow_remote_code, part=part)
    place = pick_device(device)
    trusted = allow_remote_code and needs_remote_code(source.directory)
    with loading_quietly():
        tokenizer = load_tokenizer(source.directory, trusted=trusted)
        model = _load_weights(source.directory, facts, _pick_dtype(dtype, place), trusted=trusted)
    facts = facts_of(model.config.to_dict() | {"architectures": [type(model).__name__]}, facts.weights, part=part)
    if facts.family.part == "encoder":
        model = model.get_encoder()
    blocks = find_blocks(model, facts.n_layers)
    if dtype == "int8":
        round_weights(model, blocks, source.id)
    nn.Module.to(model.eval().requires_grad_(requires_grad=False), place)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        facts=facts,
        source=source,
        blocks=blocks,
        device=place,
        dtype=model.dtype,
        files=() if source.kind == "hub" else hash_files(source.directory, facts.weights.files),
        accepts=frozenset(inspect.signature(model.forward).parameters),
        is_rounded=dtype == "int8",
    )


def pick_device(name: str) -> torch.device:
    """Return the device of that name; `auto` takes an accelerator when there is one.

    Raises:
        DeviceUnavailable: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    device = torch.device(name)
    n_devices = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.mps.is_available())}
    if (device.index or 0) >= n_devices.get(device.type, 0):
        raise DeviceUnavailable(f"There is no device {name} on this machine.")
    return device


def _pick_dtype(name: DtypeName, device: torch.device) -> torch.dtype | str:
    if name in ("auto", "int8"):
        return torch.float32 if device.type == "cpu" else "auto"
    return getattr(torch, name)


def load_tokenizer(directory: Path, *, trusted: bool) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model directory.

    Raises:
        InvalidModel: transformers cannot build it.
    """
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=trusted)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidModel(f"transformers cannot build the tokenizer of {directory.name}: {_first(error)}") from error


def _load_weights(directory: Path, facts: ModelFacts, dtype: torch.dtype | str, *, trusted: bool) -> PreTrainedModel:
    try:
        loaded: Any = _auto_class(facts).from_pretrained(
            directory,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trusted,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InvalidModel(f"transformers cannot build the model of {directory.name}: {_first(error)}") from error
    model, info = loaded
    missing = sorted(key for key in info["missing_keys"] if "pooler." not in key)
    if missing:
        raise IncompleteWeights(f"{directory.name} lacks {len(missing)} weights, among them {', '.join(missing[:3])}.")
    return model


def _auto_class(facts: ModelFacts) -> type[Any]:
    if facts.family.part != "whole":
        return AutoModelForSeq2SeqLM
    if facts.architecture.endswith("ForMaskedLM"):
        return AutoModelForMaskedLM
    return AutoModel if facts.family.kind == "encoder" else AutoModelForCausalLM


def hash_files(directory: Path, weights: tuple[str, ...]) -> tuple[FileHash, ...]:
    """Return the hashes of the weight files and of every small file that a model is made from."""
    small = {path.name for path in directory.iterdir() if path.is_file() and path.suffix in _IDENTITY_SUFFIXES}
    names = sorted({name for name in small if not name.endswith(".safetensors")} | set(weights))
    return tuple(FileHash(name, _sha256(directory / name)) for name in names)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def digest_of(files: tuple[FileHash, ...]) -> str | None:
    """Return one hash over the names and contents of a model's files; None for a hub model, which has a commit."""
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.sha256}\n".encode())
    return digest.hexdigest()


@contextmanager
def loading_quietly() -> Iterator[None]:
    """Let one model be loaded at a time, and transformers say nothing; its own settings come back afterwards."""
    with _loading, _quiet():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers while it loads; its own settings come back afterwards."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
