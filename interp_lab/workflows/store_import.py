"""Import: activations that another tool wrote become a published store."""

from __future__ import annotations

import shutil
from pathlib import Path

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.store import STORE_KIND, StoreManifest
from interp_lab.contracts.store_exchange import ImportedColumn, StoreImportRequest, StoreImportResult
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.interchange.incoming import Incoming, write_store
from interp_lab.store.locate import publish_store
from interp_lab.workflows.exchange.inputs import COMPARED_AT_ONCE, independent_groups, open_source

SHOWN = 50
"""Columns, labels and metrics in the answer."""


def store_import(request: StoreImportRequest, run: Run, *, settings: Settings) -> StoreImportResult:
    """Return what the new store holds; the store itself is published as an artifact of the run.

    Raises:
        LabError: Whatever is wrong with the file; nothing is published then.
    """
    run.progress(0, None, "looking through the file")
    folder = run.checkpoint_dir / "store"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was interrupted
    folder.mkdir()
    with open_source(request, settings) as incoming:
        manifest = write_store(
            incoming,
            folder,
            group=independent_groups,
            progress=lambda rows: run.progress(rows, None, "reading", "rows"),
        )
    run.inputs["source"] = request.source.path
    notes = (*incoming.notes, *_unsearched(incoming))
    return _result(manifest, incoming, notes, artifact_id=_publish(folder, manifest, notes, run))


def _unsearched(incoming: Incoming) -> tuple[str, ...]:
    if len(incoming.prompts) <= COMPARED_AT_ONCE or not any(prompt.text for prompt in incoming.prompts):
        return ()
    return (
        f"There are too many prompts to search for near-duplicates ({COMPARED_AT_ONCE:,} at most): groups are named "
        "groups and equal texts only.",
    )


def _publish(folder: Path, manifest: StoreManifest, notes: tuple[str, ...], run: Run) -> str:
    with run.artifact(STORE_KIND, manifest.title) as files:
        publish_store(folder, files)
        files.metrics |= {"n_rows": manifest.n_rows, "n_prompts": manifest.n_prompts, "n_groups": manifest.n_groups}
        files.warnings += notes
    return files.id


def _result(
    manifest: StoreManifest, incoming: Incoming, notes: tuple[str, ...], *, artifact_id: str
) -> StoreImportResult:
    columns = tuple(
        ImportedColumn(
            key=column.key, kind=column.kind, width=column.width, source=incoming.sources.get(column.key, "")[:200]
        )
        for column in manifest.columns
    )
    rows = f"{manifest.n_rows} {manifest.row}{'' if manifest.n_rows == 1 else 's'}"
    ask = NextAction(
        tool="query_activations",
        arguments={"store": artifact_id, "query": "overview"},
        why="See what the store holds before asking more of it.",
    )
    return StoreImportResult(
        summary=(
            f"{rows} of {manifest.n_prompts} prompts in {len(columns)} columns were imported; "
            f"{manifest.n_groups} prompts are independent. The numbers are the file's: nothing was measured here."
        ),
        warnings=notes,
        agent_next_actions=(ask,),
        n_rows=manifest.n_rows,
        n_prompts=manifest.n_prompts,
        n_groups=manifest.n_groups,
        columns=columns[:SHOWN],
        labels=tuple(label.name for label in manifest.labels[:SHOWN]),
        metrics=tuple(metric.name for metric in manifest.metrics[:SHOWN]),
    )
