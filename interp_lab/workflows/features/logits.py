"""Which tokens a latent or coordinate promotes and suppresses directly, or the reason why that cannot be said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.features import LogitTokens, ShowFeatureRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.errors import DictionaryMismatch, LabError, NoUnembedding
from interp_lab.methods.logit_contribution import LogitContribution, logit_contribution
from interp_lab.models.reference import locate
from interp_lab.models.resolve import ModelSource
from interp_lab.models.unembedding import Unembedding, read_unembedding
from interp_lab.models.vocabulary import Vocabulary, read_vocabulary
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.features.rounding import all_rounded, rounded
from interp_lab.workflows.features.subject import Subject
from interp_lab.workflows.querying.texts import TOKEN_CHARS, clipped

IN_THE_STREAM = frozenset({"embed", "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"})
"""Hook points whose tensor is the residual stream or is added to it as it is."""
BINS = 40


class Logits(NamedTuple):
    """Promoted and suppressed tokens, and how the contributions of all tokens are spread."""

    tokens: LogitTokens
    counts: tuple[int, ...]
    edges: tuple[float, ...]


def logits_of(subject: Subject, request: ShowFeatureRequest, settings: Settings) -> Logits | str | None:
    """Return the tokens, the reason why there are none, or None where no model was ever spoken of.

    Raises:
        LabError: The request names a model that cannot be read; one that is only inferred gives a reason.
    """
    ref = _model(subject, request)
    if ref is None:
        return None
    try:
        return _of_model(subject, ref, request.n_tokens, settings)
    except LabError as error:
        if request.model is not None:
            raise
        return error.what


def _of_model(subject: Subject, ref: ModelRef, n: int, settings: Settings) -> Logits:
    address = Address.parse(subject.address_out)
    if address.point not in IN_THE_STREAM:
        raise NoUnembedding(f"{address} does not write into the residual stream as it is.")
    source = _source(ref, settings)
    unembedding = read_unembedding(source.directory)
    direction = _direction(subject, unembedding.gain.size)
    found = logit_contribution(direction, unembedding.gain, unembedding.matrix.times, centres=unembedding.centres)
    return _shown(found, unembedding, read_vocabulary(source.directory), n)


def _model(subject: Subject, request: ShowFeatureRequest) -> ModelRef | None:
    stored = None if subject.view is None else subject.view.store.manifest.model
    if request.model is None and stored is not None:
        return ModelRef(id=stored.id, revision=stored.revision)
    told = subject.dictionary.config.models if subject.dictionary is not None else ()
    name = request.model or (told[-1] if told else None)
    if name is None:
        return None
    return ModelRef(id=name, revision=stored.revision if stored is not None and stored.id == name else None)


def _source(ref: ModelRef, settings: Settings) -> ModelSource:
    source = locate(ref, settings)
    if source is None:
        raise NoUnembedding(f"{ref.id} is not on this machine.")
    return source


def _direction(subject: Subject, d_model: int) -> NDArray[np.float32]:
    if subject.dictionary is None:
        if subject.is_latent or subject.unit >= d_model:
            raise NoUnembedding("The output direction of a latent is in its dictionary, which is not named.")
        direction = np.zeros(d_model, dtype=np.float32)
        direction[subject.unit] = 1.0
        return direction
    row = subject.dictionary.decoder_row(subject.unit)
    last = row[-subject.dictionary.config.widths[-1] :]
    if last.size != d_model:
        raise DictionaryMismatch(
            f"The dictionary writes {last.size} numbers; the model's residual stream has {d_model}."
        )
    return last


def _shown(found: LogitContribution, unembedding: Unembedding, vocabulary: Vocabulary, n: int) -> Logits:
    def named(tokens: NDArray[np.intp]) -> tuple[tuple[str, float], ...]:
        return tuple(
            (clipped(vocabulary.text(int(token)), TOKEN_CHARS), rounded(float(found.values[token]))) for token in tokens
        )

    counts, edges = np.histogram(found.values, bins=BINS)
    tokens = LogitTokens(
        promoted=named(found.largest(n)),
        suppressed=named(found.smallest(n)),
        std=rounded(found.std),
        n_vocab=unembedding.n_vocab,
        method=unembedding.describe(),
    )
    return Logits(tokens, tuple(int(count) for count in counts), all_rounded(edges))
