# pyright: standard
"""What is measured of a crosscoder only: every address by itself, and whose the latents of two models look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from interp_lab.contracts.crosscoder_figures import AddressRow, OwnersSection, Subject
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.methods.latent_scaling import decoder_share, owner_of
from interp_lab.workflows.evaluation import sections
from interp_lab.workflows.evaluation.measure import Measured
from interp_lab.workflows.training.plan import places_of_models


def address_rows(config: DictionaryConfig, measured: Mapping[Subject, Measured]) -> tuple[AddressRow, ...]:
    """Return how much comes back at every address; empty for a dictionary of one address."""
    places = places_of_models(config) if config.owners else config.addresses_in
    if len(places) != len(config.sections):
        places = tuple(f"section {number}" for number in range(1, len(config.sections) + 1))
    return tuple(
        sections.address(place, subject, found.parts[number])
        for number, place in enumerate(places)
        for subject, found in measured.items()
    )


def owners(dictionary: Dictionary, measured: Measured) -> OwnersSection | None:
    """Return whose the latents that fired look, for a crosscoder of one address of each of two models."""
    config = dictionary.config
    if config.owners != (0, 1):
        return None
    width, norms = config.sections[0], config.section_norms or (1.0, 1.0)
    rows = np.delete(dictionary.W_dec.double().cpu().numpy(), measured.sparsity.unfired, axis=0)
    shares = decoder_share(rows[:, :width] / norms[0], rows[:, width:] / norms[1])
    counts = Counter(owner_of(float(share)) for share in shares)
    first, second = places_of_models(config)
    return OwnersSection(
        first=first,
        second=second,
        n_first=counts["base"],
        n_shared=counts["shared"],
        n_between=counts["between"],
        n_second=counts["changed"],
    )
