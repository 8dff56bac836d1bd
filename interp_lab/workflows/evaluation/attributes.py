"""Which labels of a criterion's prompts go through spurious-correlation removal, checked before any work starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, relabelled
from interp_lab.errors import EvaluationUnfit, LabelsUnusable
from interp_lab.evidence.split import split_groups
from interp_lab.methods.dictionary_evaluation.spurious import Attributes

LEAST_OF_A_KIND = 4
"""Prompts of each of the four kinds that explore and confirm need."""


class Labelled(NamedTuple):
    """A criterion's prompts with a label that some of them have."""

    criterion: int
    """Which criterion of the request."""
    label: str
    attributes: Attributes


def removable(config: DictionaryConfig) -> bool:
    """Return whether taking a latent away is exact for means over tokens: it writes where it reads, linearly."""
    return config.kind == "sae" and config.normalize != "layer_norm"


def open_attributes(
    opened: Sequence[PromptSet], request: EvaluateSaeRequest, config: DictionaryConfig
) -> tuple[Labelled, ...]:
    """Return every label of the request with every criterion that has it.

    Raises:
        EvaluationUnfit: Latents of the dictionary cannot be taken away.
        LabelsUnusable: No criterion has the label, or explore or confirm has too few prompts of one of the four kinds.
    """
    if request.spurious and not removable(config):
        raise EvaluationUnfit("Spurious-correlation removal needs an SAE that does not normalise each token by itself.")
    found: list[Labelled] = []
    for label in request.spurious:
        own = [
            Labelled(i, label, _attributes(p, label, request.threshold)) for i, p in enumerate(opened) if _has(p, label)
        ]
        if not own:
            names = sorted({key for prompts in opened for prompt in prompts.prompts for key in prompt.labels})
            raise LabelsUnusable(
                f"No criterion has a label {label[:80]!r}; there are {', '.join(names)[:300] or 'none'}."
            )
        found += own
    for each in found:
        _refuse_few(opened[each.criterion], each, request.seed)
    return tuple(found)


def _has(prompts: PromptSet, label: str) -> bool:
    return any(label.partition("=")[0] in prompt.labels for prompt in prompts.prompts)


def _attributes(prompts: PromptSet, label: str, threshold: float) -> Attributes:
    name = label.partition("=")[0]
    holds = [prompt.score > 0 for prompt in relabelled(prompts, label).prompts]
    known = [name in prompt.labels for prompt in prompts.prompts]
    return Attributes(*(np.asarray(own, dtype=bool) for own in (prompts.positive(threshold), holds, known)))


def _refuse_few(prompts: PromptSet, each: Labelled, seed: int) -> None:
    for part, rows in _parts(prompts, each.attributes.first, seed):
        counts = each.attributes.counts(rows)
        if counts.min() < LEAST_OF_A_KIND:
            kinds = ("neither", f"only {each.label}", "only the criterion", "both")
            listed = ", ".join(f"{name} {n}" for name, n in zip(kinds, counts, strict=True))
            raise LabelsUnusable(
                f"{prompts.name} with {each.label[:80]!r}: of the {part} prompts there hold {listed}; "
                f"spurious-correlation removal needs {LEAST_OF_A_KIND} of each."
            )


def _parts(prompts: PromptSet, positive: NDArray[np.bool_], seed: int) -> Iterator[tuple[str, NDArray[np.intp]]]:
    split = split_groups(prompts.texts(), positive.tolist(), prompt_groups(prompts), seed=seed)
    yield "explore", np.asarray(split.rows("explore"), dtype=np.intp)
    yield "confirm", np.asarray(split.rows("confirm"), dtype=np.intp)
