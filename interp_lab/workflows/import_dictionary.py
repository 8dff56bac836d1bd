# pyright: standard
"""import_dictionary: files of another project in, a checked dictionary in the SAELens layout out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from interp_lab.artifacts.paths import resolve_input
from interp_lab.bridges.dictionary_formats import SAELENS, format_of, read_foreign
from interp_lab.bridges.dictionary_hub import fetch_folder
from interp_lab.contracts.import_dictionary import (
    FormatName,
    HubSource,
    ImportDictionaryRequest,
    ImportDictionaryResult,
)
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import CONFIG, WEIGHTS, from_parts, load_dictionary, save_files
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings


def import_dictionary(request: ImportDictionaryRequest, run: Run, *, settings: Settings) -> ImportDictionaryResult:
    """Return what was imported; the dictionary is published as an artifact.

    Raises:
        LabError: whatever is wrong with the folder, the repository or the files in it.
    """
    run.progress(0, None, "finding the files")
    folder, source = _find(request, settings)
    name = cast("FormatName", request.format or format_of(folder))
    dictionary, notes = _read(folder, name)
    dictionary = replace(dictionary, config=_facts(request, dictionary, source))
    run.inputs["source"] = source
    config = dictionary.config
    place = config.address_in or "an unnamed place"
    title = f"{config.architecture} {config.kind} of {config.n_latents} latents at {place}, from {source}"
    with run.artifact(DICTIONARY_KIND, title[:200]) as files:
        save_files(dictionary, config, files.path(CONFIG), files.path(WEIGHTS))
        files.warnings += notes
    warnings = (*notes, *_unknowns(dictionary))
    return ImportDictionaryResult(
        summary=f"Imported a {title}; nothing was measured on activations yet.",
        warnings=warnings,
        format=name,
        kind=config.kind,
        architecture=config.architecture,
        d_in=config.d_in,
        d_out=config.d_out,
        n_latents=config.n_latents,
        address=config.address_in,
        model=config.models[0] if config.models else None,
    )


def _find(request: ImportDictionaryRequest, settings: Settings) -> tuple[Path, str]:
    """Return the folder and where it comes from, in words."""
    source = request.source
    if isinstance(source, HubSource):
        folder, commit = fetch_folder(source.repo, source.folder, source.revision, offline=settings.offline)
        return folder, f"{source.repo}/{source.folder}@{commit}" if source.folder else f"{source.repo}@{commit}"
    path = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots, kind="folder")
    return path, source.path


def _read(folder: Path, name: FormatName) -> tuple[Dictionary, tuple[str, ...]]:
    if name == SAELENS:
        return load_dictionary(folder), ()
    parts = read_foreign(folder, name)
    return from_parts(parts), parts.notes


def _facts(request: ImportDictionaryRequest, dictionary: Dictionary, source: str) -> Any:
    told: dict[str, Any] = {"provenance": "imported", "source": source}
    if request.address is not None:
        told["addresses_in"] = (str(request.address),)
    if request.model is not None:
        told["models"] = (request.model,)
    return dictionary.config.model_copy(update=told)


def _unknowns(dictionary: Dictionary) -> tuple[str, ...]:
    config = dictionary.config
    lines = ["It was trained elsewhere: whether it fits a model of this lab shows only on that model's activations."]
    if not config.addresses_in:
        lines.append("Its files do not say where it reads: import it again with address before encoding with it.")
    dead = int((dictionary.W_dec.float().norm(dim=1) < torch.finfo(torch.float32).eps).sum())
    if dead:
        lines.append(f"{dead} of {config.n_latents} latents write nothing.")
    return tuple(lines)
