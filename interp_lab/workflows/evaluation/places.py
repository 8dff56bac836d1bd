"""Where a dictionary reads and writes, checked against what there is; and what its record says of its training.

Torch-free, so that a plan can refuse before a job starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluation_report import TrainingOverlap
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.errors import DictionaryMismatch
from interp_lab.settings import Settings
from interp_lab.store.beside import keys_read
from interp_lab.workflows.training.plan import place_of_models


class Places(NamedTuple):
    """Canonical addresses, or columns of a store."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    named: str = ""
    """Addresses with their models, of a crosscoder of several."""

    @property
    def same(self) -> bool:
        """Whether it is compared with what it reads."""
        return self.reads == self.writes

    def __str__(self) -> str:
        here = self.named or " + ".join(self.reads)
        return here if self.same else f"{here} → {' + '.join(self.writes)}"


class Training(NamedTuple):
    """What is known of how a dictionary was trained."""

    dataset: str | None
    """Name of the data, as the dictionary's own configuration gives it."""
    request: TrainSaeRequest | None
    """The request of its training, if it was trained here by a job."""
    inputs: Mapping[str, str]
    """What that training read."""


def places_of(config: DictionaryConfig, widths: Mapping[str, int]) -> Places:
    """Return where it reads and writes among columns with these widths; the only column serves one that does not say.

    Raises:
        DictionaryMismatch: A place is missing or of another width.
    """
    reads = keys_read(config.addresses_in, config.owners) or (tuple(widths) if len(widths) == 1 else ())
    writes = config.addresses_out or reads
    name = (config.source or "The dictionary")[:80]
    if config.owners and not set(reads) <= set(widths):
        raise DictionaryMismatch(
            f"{name} reads {place_of_models(config)}; there is {', '.join(widths)[:300] or 'nothing'}.",
            remedy="Give a source of kind stores: one store per model, of the same tokens, in the order of training.",
        )
    missing = [key for key in (*reads, *writes) if key not in widths]
    if missing or not reads:
        place = ", ".join(dict.fromkeys(missing)) or "a place that it does not name"
        raise DictionaryMismatch(f"{name} needs {place}; there is {', '.join(widths)[:300] or 'nothing'}.")
    for keys, wanted in ((reads, config.d_in), (writes, config.d_out)):
        if (width := sum(widths[key] for key in keys)) != wanted:
            raise DictionaryMismatch(f"{name} has width {wanted} at {' + '.join(keys)}; there it is {width}.")
    return Places(reads, writes, place_of_models(config) if config.owners else "")


def training_of(name: str, config: DictionaryConfig, settings: Settings) -> Training:
    """Return what the record of a dictionary says of its training; a folder has no record but its configuration."""
    if not is_artifact_id(name):
        return Training(config.dataset, None, {})
    manifest = ArtifactStore(WorkspacePaths.of(settings)).open(name)
    if manifest.spec.get("capability") != "train_sae":
        return Training(config.dataset, None, manifest.inputs)
    try:
        return Training(config.dataset, TrainSaeRequest.model_validate(manifest.spec.get("request")), manifest.inputs)
    except ValidationError:  # of another version of this software
        return Training(config.dataset, None, manifest.inputs)


def overlap_by_name(training: Training, dataset: str | None) -> TrainingOverlap:
    """Return what the names of both data sets tell, where the prompts of the training cannot be told."""
    if training.dataset is None or dataset is None:
        return "unknown"
    return "possible" if training.dataset == dataset else "other_data"
