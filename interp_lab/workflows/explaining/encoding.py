# pyright: standard
"""Texts as vectors of a sentence encoder that is on this machine; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from interp_lab.contracts.models import ModelRef
from interp_lab.engine.texts import mean_pooled
from interp_lab.methods.text_similarity import TextVectors
from interp_lab.models.text_files import local_source, refuse_other_pooling, sentence_limit
from interp_lab.models.text_models import load_text_model
from interp_lab.settings import Settings

POOLING = "mean-v1"


def sentence_vectors(
    texts: Sequence[str], encoder: ModelRef, settings: Settings, *, step: Callable[[int], None] = lambda _: None
) -> tuple[TextVectors, int]:
    """Return the vectors of texts, known by the encoder's files and pooling, and how many texts were cut.

    Raises:
        NotOnThisMachine, EncoderUnfit: The encoder is not here, or was made for another pooling.
        LabError: whatever is wrong with its files.
    """
    source = local_source(encoder, settings)
    refuse_other_pooling(source.directory)
    model = load_text_model(source, "encoder", device=encoder.device)
    read = mean_pooled(model, texts, step=step)
    # Vectors of texts that were cut elsewhere are of another encoder.
    limited = "" if sentence_limit(source.directory) is None else f"-{model.max_tokens}"
    return TextVectors(f"{model.identity}/{POOLING}{limited}", read.values), read.n_cut
