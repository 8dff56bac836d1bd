"""store_export: an activation store in a format that other tools read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.store_exchange import StoreExportPlan, StoreExportRequest, StoreExportResult
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: StoreExportRequest, lab: Lab) -> Plan:
    from interp_lab.store.locate import open_named_store  # lazy: numpy, only when asked
    from interp_lab.workflows.exchange.stores import chosen_columns  # lazy: as above
    from interp_lab.workflows.training.columns import store_hash  # lazy: as above

    store = open_named_store(request.store, lab.settings)
    keys = chosen_columns(store, request)
    width = sum(len(request.units) or store.column(key).width for key in keys)
    plan = StoreExportPlan(format=request.format, columns=keys, n_rows=store.n_rows, n_values=store.n_rows * width)
    return Plan(
        summary=f"{plan.n_rows} rows of {len(keys)} columns, at most {plan.n_values} numbers, as {request.format}.",
        details=plan.model_dump(mode="json"),
        label=f"{request.format} of {request.store[:80]}",
        inputs={"store": store_hash(store)},
    )


def _handle(request: StoreExportRequest, run: Run) -> StoreExportResult:
    from interp_lab.workflows.store_export import store_export  # lazy: numpy and pyarrow, only in the worker

    return store_export(request, run, settings=Settings.from_env())


STORE_EXPORT = JobCapability(
    name="store_export",
    title="Export an activation store",
    guidance=(
        "Writes an activation store in a format that other tools read, as an artifact whose folder can be opened on "
        "this machine: records (activation records, JSON Lines, every chosen unit in every record), npy or npz (arrays "
        "and a CSV of rows), delphi (a latent cache, one column of codes), saelens (cached activations, dense ones). "
        "records are large as text: name units or columns. delphi and saelens need sequences of one length: give "
        "context_size if prompts differ. Runs as a job."
    ),
    request=StoreExportRequest,
    result=StoreExportResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="ops",
    changes="No grade; it writes a copy for other tools.",
    example={"store": "0" * 64, "format": "npz"},
)
