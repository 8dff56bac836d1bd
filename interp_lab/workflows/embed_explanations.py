# pyright: standard
"""embed_explanations: the explanations of a workspace, and words to look for, as vectors of one encoder."""

from __future__ import annotations

from interp_lab.contracts.embed_explanations import (
    VECTORS_KIND,
    EmbedExplanationsRequest,
    EmbedExplanationsResult,
)
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.encoding import sentence_vectors
from interp_lab.workflows.explaining.vectors import all_explanations, write_vectors


def embed_explanations(
    request: EmbedExplanationsRequest, run: Run, *, settings: Settings
) -> tuple[EmbedExplanationsResult, str]:
    """Return what was embedded, and the artifact that holds the vectors.

    Raises:
        InvalidRequest: There are neither explanations nor words.
        LabError: whatever is wrong with the encoder; see `sentence_vectors`.
    """
    said = [record.text for record in all_explanations(settings)] if request.explanations else []
    explanations = list(dict.fromkeys(said))
    texts = list(dict.fromkeys((*explanations, *request.words)))
    if not texts:
        raise InvalidRequest("Nothing was said of any latent here.", remedy="Use explain_latent first, or give words.")

    def step(done: int) -> None:
        run.progress(done, len(texts), "embedding texts", "texts")

    made, n_cut = sentence_vectors(texts, request.encoder, settings, step=step)
    run.inputs |= {"encoder": made.encoder}
    with run.artifact(VECTORS_KIND, f"Vectors of {len(texts)} texts by {request.encoder.id[:100]}") as files:
        write_vectors(files, texts, made)
    result = EmbedExplanationsResult(
        summary=(
            f"{counted(len(explanations), 'explanation', 'explanations')} and "
            f"{counted(len(request.words), 'query', 'queries')} as vectors of {made.encoder[:120]}. "
            "Cosines order them by likeness of the words' sense as that encoder has it; they show nothing of a latent."
        ),
        encoder=made.encoder,
        n_explanations=len(explanations),
        n_words=len(request.words),
        n_cut=n_cut,
        width=made.vectors.shape[1],
    )
    return result, files.id
