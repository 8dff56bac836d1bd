# pyright: standard
"""Labelled prompts as a dictionary and its model see them: one mean activation and one mean code per prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.engine.harvest import gather, harvest
from interp_lab.engine.lens import Lens
from interp_lab.engine.precision import matmul_precision
from interp_lab.evidence.split import split_groups
from interp_lab.jobs.run import Run
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address
from interp_lab.settings import Settings

Floats = NDArray[np.float32]
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Criterion:
    """One labelled set of prompts, split once by group: explore prompts choose and train, confirm prompts score."""

    name: str
    positive: NDArray[np.bool_]
    groups: NDArray[np.int64]
    explore: Places
    confirm: Places
    activations: Floats
    """Means over tokens `(n_prompts, d_in)`."""
    codes: Floats
    """Means over tokens `(n_prompts, n_latents)`."""


def open_criteria(request: EvaluateSaeRequest, settings: Settings) -> tuple[PromptSet, ...]:
    """Return the prompts of every criterion; see `open_prompts` and `refuse_one_sided` for errors."""
    found = tuple(open_prompts(source, settings) for source in request.criteria)
    for prompts in found:
        refuse_one_sided(prompts, request.threshold)
    return found


def read_criteria(
    opened: Sequence[PromptSet],
    dictionary: Dictionary,
    loaded: LoadedModel,
    *,
    request: EvaluateSaeRequest,
    run: Run,
) -> list[Criterion]:
    """Return every criterion as the model and the dictionary see it.

    Raises:
        SplitImpossible: A criterion has too few groups of a label.
        PromptNotPoolable, NonFiniteActivations: see `harvest`.
    """
    addresses = tuple(Address.parse(key) for key in dictionary.config.addresses_in)
    lens = Lens("latents", addresses, dictionary.encode)
    found: list[Criterion] = []
    for number, prompts in enumerate(opened):
        run.progress(number, len(opened), f"reading {prompts.name}", "criteria")
        tokens = tokenize(loaded, dict(zip(prompts.ids(), prompts.texts(), strict=True)))
        with matmul_precision():
            rows = gather(harvest(loaded, tokens, (*addresses, lens), pooling="mean"), len(tokens))
        labels = prompts.positive(request.threshold)
        groups = prompt_groups(prompts)
        split = split_groups(prompts.texts(), labels, groups, seed=request.seed)
        found.append(
            Criterion(
                name=prompts.name,
                positive=np.asarray(labels, dtype=bool),
                groups=np.asarray(groups, dtype=np.int64),
                explore=np.asarray(split.rows("explore"), dtype=np.intp),
                confirm=np.asarray(split.rows("confirm"), dtype=np.intp),
                activations=np.concatenate([rows[address] for address in addresses], axis=1),
                codes=rows[lens],
            )
        )
    return found


def decoder_of(dictionary: Dictionary) -> Floats:
    """Return decoder rows in the unit of the activations `(n_latents, d_out)`."""
    return dictionary.W_dec.detach().to("cpu", torch.float32).numpy()
