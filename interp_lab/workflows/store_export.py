"""Export: a store is written in a format that other tools read, and published."""

from __future__ import annotations

from interp_lab.artifacts.writer import ArtifactWriter
from interp_lab.bridges.saelens_cache import write_saelens
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.store_exchange import StoreExportRequest, StoreExportResult
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.interchange.arrays_out import write_arrays
from interp_lab.store.interchange.latent_cache_out import write_latent_cache
from interp_lab.store.interchange.records_out import write_records
from interp_lab.store.locate import open_named_store
from interp_lab.store.reader import ActivationStore
from interp_lab.workflows.exchange.stores import chosen_columns
from interp_lab.workflows.training.columns import store_hash

EXPORT_KIND = "store_export"
RECORDS = "records.jsonl"


def store_export(request: StoreExportRequest, run: Run, *, settings: Settings) -> StoreExportResult:
    """Return what was written; the files are published as an artifact of the run.

    Raises:
        LabError: The store cannot be read, or not be written in that format; nothing is published then.
    """
    store = open_named_store(request.store, settings)
    keys = chosen_columns(store, request)
    run.inputs["store"] = store_hash(store)
    run.progress(0, store.n_rows, "writing", "rows")
    with run.artifact(EXPORT_KIND, f"{store.manifest.title[:150]} as {request.format}") as files:
        n_rows, n_written = _write(store, keys, request, files)
        files.metrics |= {"n_rows": n_rows, "n_written": n_written}
    run.progress(store.n_rows, store.n_rows, "written", "rows")
    left_out = store.n_rows - n_rows
    look = NextAction(tool="artifact_read", arguments={"artifact_id": files.id}, why="See the files and their folder.")
    return StoreExportResult(
        summary=f"{n_rows} rows of {len(keys)} columns were written as {request.format}.",
        warnings=_warnings(request, left_out),
        agent_next_actions=(look,),
        format=request.format,
        columns=keys,
        n_rows=n_rows,
        n_written=n_written,
    )


def _write(
    store: ActivationStore, keys: tuple[str, ...], request: StoreExportRequest, files: ArtifactWriter
) -> tuple[int, int]:
    """Return the rows of the store that went in, and the records, sequences or array rows that came out."""
    match request.format:
        case "records":
            with files.path(RECORDS).open("wb") as file:
                return write_records(store, file, keys=keys, units=request.units, pooling=request.pooling)
        case "delphi":
            return write_latent_cache(store, files.path, key=keys[0], context_size=request.context_size)
        case "saelens":
            return write_saelens(store, files.path, keys=keys, context_size=request.context_size)
        case _:
            write_arrays(store, files.path, keys=keys, archive=request.format == "npz")
            return store.n_rows, store.n_rows


def _warnings(request: StoreExportRequest, left_out: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    if request.format == "records":
        return (f"{left_out} rows of special tokens were not pooled.",)
    return (f"{left_out} rows behind the last whole sequence were left out.",)
