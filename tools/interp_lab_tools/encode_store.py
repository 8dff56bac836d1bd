"""encode_store: the latents of dictionaries become columns of a store, where everything else can read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.encode_store import (
    EncodedColumn,
    EncodeStorePlan,
    EncodeStoreRequest,
    EncodeStoreResult,
)
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.named_folders import dictionary_folder
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_ACTIVE_BYTES = 16
"""Upper estimate of one active latent in both layouts."""


def _plan(request: EncodeStoreRequest, lab: Lab) -> Plan:
    from interp_lab.workflows.training.columns import store_hash  # lazy: numpy is not needed to list tools
    from interp_lab.workflows.training.encoding import encodings, open_read_store  # lazy: numpy, as above

    store = open_read_store(request, lab.settings)
    found = encodings(store, request, [dictionary_folder(name, lab.settings) for name in request.dictionaries])
    counts = [each.k for each in found]
    known = sum(k for k in counts if k is not None)
    plan = EncodeStorePlan(
        columns=tuple(each.key for each in found),
        n_rows=store.n_rows,
        bytes_at_most=None if None in counts else int(known * store.n_rows * _ACTIVE_BYTES),
    )
    size = "size unknown" if plan.bytes_at_most is None else f"about {plan.bytes_at_most / 2**20:.0f} MiB"
    return Plan(
        summary=f"{store.n_rows:,} rows by {counted(len(found), 'dictionary', 'dictionaries')}; {size}.",
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"encode {request.store[:12]} by {counted(len(found), 'dictionary', 'dictionaries')}",
        slot=slot_for("auto", lab.settings),
        inputs={"store": store_hash(store), **{each.key: each.dictionary_id for each in found}},
    )


def _handle(request: EncodeStoreRequest, run: Run) -> EncodeStoreResult:
    from interp_lab.workflows.encode_store import encode_store  # lazy: imports torch, and only the worker may

    return encode_store(request, run, settings=Settings.from_env(), suggest=suggest)


def suggest(columns: tuple[EncodedColumn, ...]) -> tuple[NextAction, ...]:
    """Return what makes sense after encoding; the id of the new store stands in the job's artifacts."""
    del columns
    return ()


ENCODE_STORE = JobCapability(
    name="encode_store",
    title="Encode a store with dictionaries: latents become columns",
    guidance=(
        "Give a store and dictionaries (artifacts of train_sae or import_dictionary, or folders in the SAELens "
        "layout). Publishes a new store with the same rows, texts and labels and one column ADDRESS/NAME per "
        "dictionary, so that latents can be queried and associated with labels like coordinates. Refuses a dictionary "
        "of another width or place. Shows when latents are active, not that the model uses them. Runs as a job; an "
        "interrupted one goes on at the last whole shard."
    ),
    request=EncodeStoreRequest,
    result=EncodeStoreResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="dictionaries",
    changes="No grade; latents become columns that can be asked.",
    example={"store": "stores/names", "dictionaries": ["dictionaries/resid_post.2"]},
)
