"""import_dictionary: dictionaries of other projects, from a folder or the hub, checked and never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.import_dictionary import HubSource, ImportDictionaryRequest, ImportDictionaryResult
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: ImportDictionaryRequest, lab: Lab) -> Plan:
    from interp_lab.bridges.dictionary_formats import files_of, format_of  # lazy: numpy is not needed to list tools

    source = request.source
    if isinstance(source, HubSource):
        name = f"{source.repo}/{source.folder}".rstrip("/")
        return Plan(
            summary=f"{name} is looked for in this machine's cache, then on the hub.",
            details={"repo": source.repo, "folder": source.folder},
            label=f"import {name}"[:200],
            inputs={"source": f"{name}@{source.revision or 'main'}"},
        )
    roots = lab.settings.read_roots
    folder = resolve_input(lab.settings.workspace, source.path, read_roots=roots, kind="folder")
    found = request.format or format_of(folder)
    files = [folder / name for name in files_of(found) if (folder / name).is_file()]
    size = sum(path.stat().st_size for path in files)
    stamp = ",".join(f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files)
    return Plan(
        summary=f"{source.path} is in the format {found}, {size / 2**20:.1f} MiB.",
        details={"format": found, "bytes": size, "files": [path.name for path in files]},
        label=f"import {source.path}"[:200],
        inputs={"source": stamp},
    )


def _handle(request: ImportDictionaryRequest, run: Run) -> ImportDictionaryResult:
    from interp_lab.workflows.import_dictionary import import_dictionary  # lazy: imports torch, only the worker may

    return import_dictionary(request, run, settings=Settings.from_env())


IMPORT_DICTIONARY = JobCapability(
    name="import_dictionary",
    title="Import a dictionary of another project",
    guidance=(
        "Give a folder of the workspace or a folder of a Hugging Face repository with one dictionary: SAELens, "
        "sparsify, dictionary_learning (ae.pt is read as data, nothing in it runs), Gemma Scope 1 and 2, or "
        "interp-lab.sae.v1 JSON. The format is recognised by the files. Publishes a dictionary artifact in the SAELens "
        "layout for encode_store. Files that are cut off, of wrong shapes, or that would run code are refused. Says "
        "nothing about how well it fits: encode a store of its model first. Runs as a job."
    ),
    request=ImportDictionaryRequest,
    result=ImportDictionaryResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="dictionaries",
    changes="No grade; its latents become units that can be ranked and edited.",
    example={"source": {"kind": "hub", "repo": "google/gemma-scope-2b-pt-res", "folder": "layer_12/width_16k"}},
)
