# pyright: standard
"""A world as a folder: models, data and manifest in the open, the truth sealed in a file of its own.

`sealed/` is for scoring: whatever is being tested is given `open_part` only. Bytes depend on the world alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from interp_lab.artifacts.canonical import readable_json, sha256_hex
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.contracts.worlds import Truth, WorldKind, WorldManifest
from interp_lab.errors import ImpossibleWorld, InvalidWorld, SealBroken

VERSION = 1
"""Raised whenever the same kind, seed and dials would write other bytes."""

MANIFEST = "world.json"
DATASET = "prompts.jsonl"
ARRAYS = "activations.safetensors"
TRUTH = "sealed/truth.json"
TRUE_ARRAYS = "sealed/truth.safetensors"

Arrays = Mapping[str, NDArray[np.generic]]
_TRUTH: TypeAdapter[Truth] = TypeAdapter(Truth)


@dataclass(frozen=True)
class World:
    """A finished world in memory: its files in the open and its sealed ones, as bytes by relative path."""

    kind: WorldKind
    seed: int
    models: tuple[str, ...] = ()
    """Roles; the folder of a model has the name of its role."""
    open_files: dict[str, bytes] = field(default_factory=dict, repr=False)
    sealed_files: dict[str, bytes] = field(default_factory=dict, repr=False)

    def manifest(self) -> WorldManifest:
        """Return the manifest: hashes of everything, content of nothing."""
        return WorldManifest(
            kind=self.kind,
            seed=self.seed,
            version=VERSION,
            models={role: role for role in self.models},
            dataset=DATASET if DATASET in self.open_files else None,
            arrays=ARRAYS if ARRAYS in self.open_files else None,
            files=_hashes(self.open_files),
            sealed=_hashes(self.sealed_files),
        )

    @property
    def truth(self) -> Truth:
        """What is true in it."""
        return _TRUTH.validate_json(self.sealed_files[TRUTH])


def model_files(role: str, model: PreTrainedModel, tokenizer: Tokenizer) -> dict[str, bytes]:
    """Return a plain Hugging Face folder: configuration, float32 safetensors, tokenizer."""
    config = model.config.to_diff_dict() | {"architectures": [type(model).__name__], "dtype": "float32"}
    weights = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    special = dict(zip(("bos_token", "eos_token", "pad_token"), _special(tokenizer), strict=True))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", **special, "clean_up_tokenization_spaces": False}
    return {
        f"{role}/config.json": _json(config),
        f"{role}/model.safetensors": save_tensors(weights, metadata={"format": "pt"}),
        f"{role}/tokenizer.json": tokenizer.to_str(pretty=True).encode(),
        f"{role}/tokenizer_config.json": _json(about),
    }


def prompt_lines(prompts: Iterable[ScoredPrompt]) -> bytes:
    """Return scored prompts as JSON Lines."""
    return b"".join(prompt.model_dump_json(exclude_defaults=True).encode() + b"\n" for prompt in prompts)


def array_bytes(arrays: Arrays) -> bytes:
    """Return arrays as one safetensors file."""
    return save_arrays({name: np.ascontiguousarray(value) for name, value in arrays.items()})


def truth_bytes(truth: Truth) -> bytes:
    """Return a truth as JSON."""
    return readable_json(truth.model_dump(mode="json"))


def write_world(world: World, folder: Path) -> WorldManifest:
    """Write the world into a new or empty folder and return its manifest.

    Raises:
        ImpossibleWorld: The folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ImpossibleWorld(
            f"The folder {folder.name} is not empty.", remedy="Name a folder that does not exist yet."
        )
    manifest = world.manifest()
    for name, data in {
        **world.open_files,
        **world.sealed_files,
        MANIFEST: readable_json(manifest.model_dump()),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return manifest


def read_manifest(folder: Path) -> WorldManifest:
    """Return the manifest of a world's folder.

    Raises:
        InvalidWorld: There is none, or it is not one.
    """
    try:
        return WorldManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidWorld(f"{folder.name} has no manifest of a world.") from error


def open_truth(folder: Path) -> Truth:
    """Return the sealed truth, for scoring only, after comparing every file of the world with the manifest.

    Raises:
        InvalidWorld: The folder is not a world.
        SealBroken: A file is missing or not what was written.
    """
    return _TRUTH.validate_json(_unsealed(folder, TRUTH))


def open_true_arrays(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Return the sealed arrays of a sparse world, for scoring only; see `open_truth`."""
    return load_arrays(_unsealed(folder, TRUE_ARRAYS))


def _unsealed(folder: Path, wanted: str) -> bytes:
    manifest = read_manifest(folder)
    for name, expected in {**manifest.files, **manifest.sealed}.items():
        if _digest(folder / name) != expected:
            raise SealBroken(f"{name} is not what was written when the world was made.")
    if wanted not in manifest.sealed:
        raise InvalidWorld(f"A world of kind {manifest.kind} has no {wanted}.")
    return (folder / wanted).read_bytes()


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256_hex(files[name]) for name in sorted(files)}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _special(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The first three pieces are the beginning, the end and the padding, in every tokenizer that is used here."""
    return tuple(str(tokenizer.id_to_token(place)) for place in range(3))
