# pyright: standard
"""Latents of a crosscoder that look to belong to one model, each checked for the artefacts that make them look so."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.diff_models import LatentOwner
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.harvest import token_values
from interp_lab.errors import DictionaryMismatch
from interp_lab.methods.latent_scaling import decoder_share, latent_scaling, owner_of, side_of
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.named_folders import dictionary_folder

_MAX_TOKENS = 20_000
_SHOWN = 100


class Exclusive(NamedTuple):
    """What the crosscoder shows."""

    latents: tuple[LatentOwner, ...]
    n_active: int
    """Latents that fire on these prompts."""
    n_found: int
    """Those of them that look exclusive, the ones not listed too."""
    n_artefacts: int
    """Those of them that an artefact explains."""


def exclusive_latents(name: str, base: Inputs, changed: Inputs, settings: Settings) -> Exclusive:
    """Return the latents that look exclusive, those that no artefact explains first.

    Raises:
        DictionaryMismatch: It is no crosscoder of one address of two models, base first.
        InvalidDictionary, UnknownArtifact, ArtifactCorrupt, InvalidPath: It cannot be read.
    """
    crosscoder = load_dictionary(dictionary_folder(name, settings))
    address = _address(name, crosscoder, base, changed)
    rows = [_rows(inputs, address) for inputs in (base, changed)]
    codes = crosscoder.encode(torch.from_numpy(np.concatenate(rows, axis=1))).numpy()
    return judge_latents(crosscoder, codes, rows[0], rows[1])


def judge_latents(
    crosscoder: Dictionary, codes: NDArray[np.float32], base: NDArray[np.float32], changed: NDArray[np.float32]
) -> Exclusive:
    """Return the same from codes `(n_tokens, n_latents)` and activations of both models `(n_tokens, d_model)`."""
    width = crosscoder.config.sections[0]
    decoder, bias = crosscoder.W_dec.float().numpy(), crosscoder.b_dec.float().numpy()
    sides = {
        "base": side_of(codes, base, decoder[:, :width], bias[:width]),
        "changed": side_of(codes, changed, decoder[:, width:], bias[width:]),
    }
    norms = crosscoder.config.section_norms or (1.0, 1.0)  # lengths compare in units of each model's activations
    share = decoder_share(sides["base"].decoder / norms[0], sides["changed"].decoder / norms[1])
    active = np.flatnonzero((codes > 0).any(0))
    found: list[LatentOwner] = []
    for latent in active:
        owner = owner_of(float(share[latent]))
        if owner not in ("base", "changed"):
            continue
        other = "changed" if owner == "base" else "base"
        scaling = latent_scaling(codes, int(latent), sides[owner], sides[other])
        found.append(
            LatentOwner(
                index=int(latent),
                owner=owner,
                share=round(float(share[latent]), 4),
                error_ratio=round(scaling.error, 4),
                reconstruction_ratio=round(scaling.reconstruction, 4),
                artefact=scaling.artefact,
            )
        )
    found.sort(key=lambda each: (each.artefact is not None, each.error_ratio + each.reconstruction_ratio))
    n_artefacts = sum(each.artefact is not None for each in found)
    return Exclusive(tuple(found[:_SHOWN]), len(active), len(found), n_artefacts)


def _address(name: str, crosscoder: Dictionary, base: Inputs, changed: Inputs) -> Address:
    config = crosscoder.config
    width = base.loaded.facts.d_model
    places = set(config.addresses_in)
    if config.kind != "crosscoder" or config.sections != (width, width) or len(places) != 1:
        raise DictionaryMismatch(
            f"{name[:80]} is not a crosscoder of one address of two models that are {width} wide.",
            remedy="Train it on the activations of base and changed model side by side, base first.",
        )
    models = (base.loaded.source.id, changed.loaded.source.id)
    if config.models and models[0] != models[1] and config.models == models[::-1]:
        raise DictionaryMismatch(
            f"{name[:80]} was trained with {models[1]} first; here {models[0]} is the base.",
            remedy="Swap base and changed, or train it with the store of the base first.",
        )
    address = Address.parse(places.pop())
    base.loaded.facts.check(address)
    return address


def _rows(inputs: Inputs, address: Address) -> NDArray[np.float32]:
    width = inputs.loaded.facts.width(address) or inputs.loaded.facts.d_model
    found: dict[int, NDArray[np.float32]] = {}
    for row in token_values(inputs.loaded, inputs.tokens, {address: range(width)}):
        found[row.prompt] = row.values[address]
    text = [np.asarray(prompt.special) == 0 for prompt in inputs.tokens]
    return np.concatenate([found[i][text[i]] for i in range(len(inputs.tokens))])[:_MAX_TOKENS]
