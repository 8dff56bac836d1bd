"""What can be wrong with a dictionary as it lies on disk, or with where it is put to use."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class InvalidDictionary(RequestError):
    """The folder does not hold a dictionary that can be loaded."""

    code = "invalid_dictionary"
    default_remedy = (
        "Give a dictionary artifact, or a folder in a known format: SAELens (cfg.json, sae_weights.safetensors), "
        "sparsify, dictionary_learning, Gemma Scope, or interp-lab.sae.v1 JSON."
    )


class UnsupportedDictionary(RequestError):
    """The dictionary is of a kind that cannot be computed here without changing what it says."""

    code = "unsupported_dictionary"
    default_remedy = "Use a ReLU, gated, TopK, BatchTopK, JumpReLU or Matryoshka dictionary."


class DictionaryMismatch(RequestError):
    """The dictionary does not fit the activations that it should read."""

    code = "dictionary_mismatch"
    default_remedy = "Use the dictionary on the model and at the address that it was trained on."
