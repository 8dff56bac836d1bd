"""Where a checkpoint keeps what turns the residual stream into logits: final norm and unembedding. Torch-free.

One row per family, as in `families`. Nothing is loaded: tensors are mapped and read where they are touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.mapped_matrix import MappedTensor, map_matrices
from interp_lab.errors import NoUnembedding
from interp_lab.models.facts import ModelFacts, read_facts
from interp_lab.models.weights import read_json

Norm = Literal["layer", "rms", "rms_plus_one"]


class _Row(NamedTuple):
    """Names of tensors by their ends; prefixes differ between exports of one model."""

    embedding: tuple[str, ...]
    norm_weight: tuple[str, ...]
    norm: Norm
    head: tuple[str, ...] = ("lm_head.weight",)


_LLAMA = _Row(("embed_tokens.weight",), ("model.norm.weight", "language_model.norm.weight"), "rms")
_GEMMA = _LLAMA._replace(norm="rms_plus_one")
_NEOX = _Row(("embed_in.weight",), ("gpt_neox.final_layer_norm.weight",), "layer", ("embed_out.weight",))
_OPT = _Row(("decoder.embed_tokens.weight",), ("decoder.final_layer_norm.weight",), "layer")
_FAMILIES: Mapping[str, _Row] = {
    "gpt2": _Row(("wte.weight",), ("ln_f.weight",), "layer"),
    "gpt_neox": _NEOX,
    "gpt_neox_sequential": _NEOX,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "phi": _Row(("embed_tokens.weight",), ("model.final_layernorm.weight",), "layer"),
    "phi3": _LLAMA,
    "opt": _OPT,
}
_NORMS: Mapping[Norm, str] = {
    "layer": "final LayerNorm: coordinates centred, gain",
    "rms": "final RMSNorm: gain",
    "rms_plus_one": "final RMSNorm: one plus gain",
}


@dataclass(frozen=True, slots=True, eq=False)
class Unembedding:
    """Final norm and unembedding of one model."""

    matrix: MappedTensor
    """`(n_vocab, d_model)`."""
    gain: NDArray[np.float32]
    """Of the final norm `(d_model,)`."""
    norm: Norm
    tied: bool
    """Whether the matrix is the embedding."""
    capped: bool
    """Whether logits are squashed afterwards, which keeps their order."""

    @property
    def n_vocab(self) -> int:
        """Rows of the matrix."""
        return self.matrix.shape[0]

    @property
    def centres(self) -> bool:
        """Whether the norm takes the mean over coordinates off."""
        return self.norm == "layer"

    def describe(self) -> str:
        """Return how a contribution is computed from it."""
        tied = " (the embedding)" if self.tied else ""
        cap = ", before the cap on logits" if self.capped else ""
        return f"{_NORMS[self.norm]}, not divided by the residual's size; unembedding{tied}; less the mean token{cap}"


def read_unembedding(directory: Path) -> Unembedding:
    """Return the unembedding of the model in a directory.

    Raises:
        NoUnembedding: Its family has none that is known, or the checkpoint does not have the tensors.
        LabError: as `read_facts`, if the directory does not hold a model.
    """
    facts = read_facts(directory)
    row = _FAMILIES.get(facts.family.name)
    if row is None:
        raise NoUnembedding(f"Where {facts.family.name} models keep final norm and unembedding is not known here.")
    tensors = dict(_tensors(directory, facts))
    norm, head = _one(tensors, row.norm_weight), _one(tensors, row.head)
    config = read_json(directory / "config.json")
    tied = head is None
    matrix = _one(tensors, row.embedding) if head is None else head
    if tied and not _tied(config, row):
        raise NoUnembedding("The checkpoint has no unembedding and does not say that it is the embedding.")
    if norm is None or matrix is None or norm.shape != (facts.d_model,):
        raise NoUnembedding("The checkpoint lacks the final norm or the unembedding under their usual names.")
    if len(matrix.shape) != 2 or matrix.shape[1] != facts.d_model:
        raise NoUnembedding(f"The unembedding has shape {list(matrix.shape)}; the residual stream has {facts.d_model}.")
    gain = norm.read() + (1.0 if row.norm == "rms_plus_one" else 0.0)
    capped = _text(config).get("final_logit_softcapping") is not None
    return Unembedding(matrix, gain.astype(np.float32), row.norm, tied=tied, capped=capped)


def _tensors(directory: Path, facts: ModelFacts) -> Iterator[tuple[str, MappedTensor]]:
    for name in facts.weights.files:
        yield from map_matrices(directory / name).items()


def _one(tensors: Mapping[str, MappedTensor], ends: tuple[str, ...]) -> MappedTensor | None:
    """Return the tensor of that name, or the only one whose name ends so."""
    for end in ends:
        found = [tensor for name, tensor in tensors.items() if name == end or name.endswith("." + end)]
        if len(found) == 1:
            return found[0]
    return None


def _tied(config: Mapping[str, Any], row: _Row) -> bool:
    told = _text(config).get("tie_word_embeddings", config.get("tie_word_embeddings"))
    # Configurations leave out what is the default, and these families' default differs.
    return bool(told) if told is not None else row is not _NEOX and row.norm != "rms"


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = config.get("text_config")
    return cast("Mapping[str, Any]", nested) if isinstance(nested, dict) else config
