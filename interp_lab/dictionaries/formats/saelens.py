# pyright: standard
"""Dictionaries in the SAELens layout: cfg.json and sae_weights.safetensors. What is saved is loaded bit for bit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.tensor_header import check_safetensors_header
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.layout import check_shapes
from interp_lab.dictionaries.formats.parts import Parts, read_object
from interp_lab.dictionaries.formats.saelens_config import read_cfg, write_cfg
from interp_lab.errors import CorruptWeights, InvalidDictionary, UnsupportedDictionary

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
_OLD_FACTOR = "scaling_factor"


def save_dictionary(dictionary: Dictionary, folder: Path) -> None:
    """Write a dictionary into an existing folder; a factor on its activations goes into its weights.

    Raises:
        InvalidDictionary: It lacks a tensor that the layout needs.
    """
    save_files(dictionary, dictionary.config, folder / CONFIG, folder / WEIGHTS)


def save_files(dictionary: Dictionary, facts: DictionaryConfig, config: Path, weights: Path) -> None:
    """Write a dictionary into two files; `facts` is its configuration with what else is known. See `save_dictionary`.

    Raises:
        InvalidDictionary: It lacks a tensor that the layout needs.
    """
    folded = fold_scale(replace(dictionary, config=facts))
    tensors = stored_tensors(folded)
    config.write_bytes(readable_json(write_cfg(folded.config)))
    save_file(tensors, weights)


def stored_tensors(dictionary: Dictionary) -> dict[str, Tensor]:
    """Return the tensors as they are stored, in the type of the configuration.

    Raises:
        InvalidDictionary: One that the layout needs is missing.
    """
    dtype = getattr(torch, dictionary.config.dtype)
    tensors = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in dictionary.tensors().items()}
    check_shapes(dictionary.config, {name: tuple(t.shape) for name, t in tensors.items()}, where="The dictionary")
    return tensors


def load_dictionary(folder: Path, *, device: str = "cpu") -> Dictionary:
    """Return the dictionary in a folder, with weights in the type in which they are stored.

    Raises:
        InvalidDictionary: A file or tensor is missing, of another shape, or not finite.
        UnsupportedDictionary: It is of a kind that cannot be computed here.
        MalformedFile, FileTooLarge, CorruptWeights: A file is not what it promises.
    """
    read = read_cfg(read_object(folder / CONFIG), source=folder.name)
    tensors = _load(folder / WEIGHTS)
    _drop_old_factor(tensors)
    where = f"{WEIGHTS} of {folder.name}"
    check_shapes(read.config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, where=where)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InvalidDictionary(f"{name} of {where} holds NaN or infinity.")
    dtype = str(tensors["W_dec"].dtype).removeprefix("torch.")
    config = read.config if dtype == read.config.dtype else read.config.model_copy(update={"dtype": dtype})
    dictionary = Dictionary(config, **{name: tensor.to(device) for name, tensor in tensors.items()})
    return fold_decoder_norm(dictionary) if read.rescaled else dictionary


def from_parts(parts: Parts) -> Dictionary:
    """Return the dictionary that was read from a foreign format."""
    return Dictionary(parts.config, **{name: torch.from_numpy(value) for name, value in parts.tensors.items()})


def content_hash(folder: Path) -> str:
    """Return one hash over the two files of a dictionary."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def fold_scale(dictionary: Dictionary) -> Dictionary:
    """Return the same function on raw activations, with the factor of its normalisation in its weights."""
    config = dictionary.config
    factor = config.scale if config.normalize == "expected_average_norm" else 1.0
    plain: DictionaryConfig = config.model_copy(
        update={"scale": 1.0, "normalize": "none" if config.normalize == "expected_average_norm" else config.normalize}
    )
    if factor == 1.0:
        return replace(dictionary, config=plain)
    return replace(
        dictionary,
        config=plain,
        W_enc=dictionary.W_enc * factor,
        W_dec=dictionary.W_dec / factor,
        b_dec=dictionary.b_dec / factor,
    )


def fold_decoder_norm(dictionary: Dictionary) -> Dictionary:
    """Return the same latents and reconstruction with decoder rows of length 1, for files that scale codes by them."""
    norms = dictionary.W_dec.norm(dim=1).clamp(min=1e-8)
    b_enc = None if dictionary.b_enc is None else dictionary.b_enc * norms
    return replace(dictionary, W_enc=dictionary.W_enc * norms, b_enc=b_enc, W_dec=dictionary.W_dec / norms[:, None])


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InvalidDictionary(f"{path.name} is absent from {path.parent.name}.")
    wrong = [entry.name for entry in check_safetensors_header(path) if entry.dtype not in {"F32", "F16", "BF16", "F64"}]
    if wrong:
        raise UnsupportedDictionary(f"{wrong[0][:60]!r} of {path.name} is not of a type that weights have.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CorruptWeights(f"{path.name} cannot be read: {type(error).__name__}.") from error
    return {name: tensor.float() if tensor.dtype is torch.float64 else tensor for name, tensor in tensors.items()}


def _drop_old_factor(tensors: dict[str, Tensor]) -> None:
    """Take out a factor per latent that old files carry, which is 1 unless the dictionary was fine-tuned."""
    factor = tensors.pop(_OLD_FACTOR, None)
    if factor is not None and not bool((factor == 1).all()):
        raise UnsupportedDictionary("It scales its codes by factors of their own, which no later version does.")
