"""store_import: activations that another tool wrote become an activation store."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from interp_lab.contracts.store_exchange import StoreImportPlan, StoreImportRequest, StoreImportResult
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: StoreImportRequest, lab: Lab) -> Plan:
    from interp_lab.workflows.exchange.inputs import input_files  # lazy: numpy, only when asked

    files = input_files(request.source, lab.settings)
    status = [(file.name, file.stat()) for file in files]
    kind, path = request.source.kind, request.source.path
    plan = StoreImportPlan(kind=kind, n_files=max(1, len(files)), n_bytes=sum(entry.st_size for _, entry in status))
    stamps = "\n".join(f"{name} {entry.st_size} {entry.st_mtime_ns}" for name, entry in status)
    return Plan(
        summary=f"{plan.n_files} files, {plan.n_bytes / 2**20:.1f} MiB of {kind}, would become an activation store.",
        details=plan.model_dump(mode="json"),
        label=f"{kind} {path[:80]}",
        inputs={"source": sha256(stamps.encode()).hexdigest()},
    )


def _handle(request: StoreImportRequest, run: Run) -> StoreImportResult:
    from interp_lab.workflows.store_import import store_import  # lazy: numpy and pyarrow, only in the worker

    return store_import(request, run, settings=Settings.from_env())


STORE_IMPORT = JobCapability(
    name="store_import",
    title="Import activations of another tool",
    guidance=(
        "Reads activations that another tool wrote into an activation store, so that query_activations, probes and "
        "dictionary training can use them: activation records (JSON Lines), NumPy .npy or .npz with a CSV of labels, a "
        "delphi latent cache, activations cached by SAELens, or an Interlatent SQLite database. Write source as "
        "'records:FILE', 'numpy:FILE', 'saelens:FOLDER' or 'interlatent:FILE', or as an object with the format's "
        "options (delphi and .npy need an address). Refuses a wrong line, row or file by name and never fills a gap. "
        "The numbers are the file's: provenance imported, not measured. Runs as a job."
    ),
    request=StoreImportRequest,
    result=StoreImportResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="ops",
    changes="No grade; foreign activations can be asked, marked as imported.",
    example={"source": "records:exports/records.jsonl"},
)
