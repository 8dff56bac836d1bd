"""What an evaluation costs, from files and requests alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psutil

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaePlan, EvaluateSaeRequest
from interp_lab.dictionaries.formats.layout import n_parameters
from interp_lab.errors import DoesNotFit
from interp_lab.models.facts import ModelFacts

_FLOAT = 4
_BASE: Final = 600 * 2**20
"""Libraries."""
_BLOCK = 2048
_GROUP_TOKENS = 16
"""Fewest tokens that groups of text are taken to have on average."""
_TILE = 512
_TILES = 3
_LOGIT_TOKENS, _LOGIT_COPIES = 1024, 6


def plan(
    request: EvaluateSaeRequest,
    config: DictionaryConfig,
    *,
    n_tokens: int,
    n_groups: int | None = None,
    criterion_tokens: int = 0,
    facts: ModelFacts | None = None,
) -> EvaluateSaePlan:
    """Return what the evaluation of at most `n_tokens` tokens takes."""
    groups = n_tokens // _GROUP_TOKENS if n_groups is None else min(n_groups, n_tokens)
    unknown = request.source.kind == "stream" and facts is None
    passes = 0 if request.source.kind != "stream" else _passes(request, config)
    return EvaluateSaePlan(
        architecture=config.architecture,
        n_latents=config.n_latents,
        n_tokens_at_most=n_tokens,
        measures=tuple(measures(request, config)),
        passes=passes,
        forward_tokens=passes * n_tokens + criterion_tokens,
        peak_bytes=None if unknown else peak_bytes(config, n_tokens, groups, facts),
    )


def measures(request: EvaluateSaeRequest, config: DictionaryConfig) -> Iterator[str]:
    """Yield what is measured."""
    yield from ("reconstruction", "sparsity", "geometry")
    if request.source.kind != "world":
        yield "monosemanticity proxies"
    if request.source.kind == "world":
        yield "recovery of true features"
    if request.source.kind == "stream" and request.splice:
        yield "spliced into the model"
    if request.criteria:
        yield "sparse probing"
    if len(request.criteria) > 1 and config.kind == "sae":
        yield "targeted probe perturbation"
    if request.spurious and config.kind == "sae":
        yield "spurious-correlation removal"


def _passes(request: EvaluateSaeRequest, config: DictionaryConfig) -> int:
    """One that reads, and for splicing one as it is, two ablations, the dictionary and its control."""
    return 1 + (5 if config.kind == "sae" else 4) if request.splice else 1


def peak_bytes(config: DictionaryConfig, n_tokens: int, n_groups: int, facts: ModelFacts | None) -> int:
    """Return an upper estimate of the memory at the peak."""
    weights = 2 * n_parameters(config)
    working = _TILES * _TILE * config.n_latents + 8 * _BLOCK * (config.d_in + config.d_out)
    per_token = 12 * n_tokens
    sums = 2 * 2 * n_groups * config.d_out  # float64, of the dictionary and its control
    model = 0 if facts is None else 2 * facts.weights.n_bytes
    logits = 0 if facts is None else _LOGIT_COPIES * _LOGIT_TOKENS * (facts.n_vocab or 0)
    return _BASE + model + _FLOAT * (weights + working + per_token + sums + logits)


def refuse_unfit(needed: int) -> None:
    """Return if the evaluation fits into the memory of this machine.

    Raises:
        DoesNotFit: It does not.
    """
    total = psutil.virtual_memory().total
    if needed > total:
        raise DoesNotFit(
            f"The evaluation needs about {needed / 2**30:.1f} GiB; this machine has {total / 2**30:.1f}.",
            remedy="Lower max_tokens, load the model with dtype 'bfloat16', or use a machine with more memory.",
        )
