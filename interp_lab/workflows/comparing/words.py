# pyright: standard
"""What was said of the units of a side, and how alike the words are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.explain import EXPLANATION_KIND, EXPLANATIONS_FILE, ExplanationRecord
from interp_lab.contracts.inspect_evidence import StoreEvidence
from interp_lab.contracts.models import ModelRef
from interp_lab.methods.text_similarity import cosines, lexical_vectors
from interp_lab.settings import Settings
from interp_lab.store.locate import open_named_store
from interp_lab.workflows.comparing.sides import ReadSide
from interp_lab.workflows.explaining.encoding import sentence_vectors
from interp_lab.workflows.explaining.records import about, read_records
from interp_lab.workflows.features.weights import open_dictionary
from interp_lab.workflows.training.columns import store_hash

_MAX_BYTES = 64 * 2**20
_SHOWN = 300


def said_of(side: ReadSide, columns: Sequence[int]) -> dict[int, str]:
    """Return the best graded explanation of each latent of which something was said, by column.

    Raises:
        InvalidRequest: An artifact holds no explanations.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    records = [record for artifact in side.side.explanations for record in _records(artifact, side)]
    found: dict[int, str] = {}
    for column in dict.fromkeys(columns) if records else ():
        site, index = side.locate(column)
        own = about(records, index, _names(side, str(site)))
        if own:
            found[column] = own[0].text[:_SHOWN]
    return found


class Alike(NamedTuple):
    """How alike what was said of pairs is, and by which encoder."""

    cosines: Mapping[tuple[int, int], float]
    """By left and right column; absent where nothing was said of one."""
    encoder: str


def alike_in_words(
    left: Mapping[int, str],
    right: Mapping[int, str],
    pairs: Sequence[tuple[int, int]],
    *,
    encoder: ModelRef | None,
    settings: Settings,
) -> Alike:
    """Return the cosine of what was said of both units of each pair: by shared words, or as one encoder has it.

    Raises:
        NotOnThisMachine, EncoderUnfit: see `sentence_vectors`.
    """
    known = [(one, two) for one, two in dict.fromkeys(pairs) if left.get(one) and right.get(two)]
    texts = list(dict.fromkeys(text for one, two in known for text in (left[one], right[two])))
    if encoder is None or not texts:
        vectors = lexical_vectors(texts)
    else:
        vectors, _ = sentence_vectors(texts, encoder, settings)
    at = {text: place for place, text in enumerate(texts)}
    like = cosines(vectors, vectors)
    return Alike({(one, two): float(like[at[left[one]], at[right[two]]]) for one, two in known}, vectors.encoder)


def _records(artifact: str, side: ReadSide) -> tuple[ExplanationRecord, ...]:
    store = ArtifactStore(WorkspacePaths.of(side.settings))
    store.open_as(artifact, EXPLANATION_KIND)
    return read_records(store.read_file(artifact, EXPLANATIONS_FILE, limit=_MAX_BYTES))


def _names(side: ReadSide, site: str) -> tuple[str, ...]:
    """Return the names by which explanations know the dictionary of a set of latents."""
    if name := side.dictionaries.get(site):
        return name, open_dictionary(name, side.settings).content_hash
    if not isinstance(side.side.evidence, StoreEvidence):
        return ()
    store = open_named_store(side.side.evidence.store, side.settings)
    column = store.column(site)
    named = column.dictionary_id if column.kind == "codes" else None
    return tuple(name for name in (named, f"store {store_hash(store)} {site}") if name)
