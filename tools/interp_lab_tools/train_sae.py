"""train_sae: sparse dictionaries from activations, measured on prompts that they were not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.train_sae import (
    SideBySideSource,
    StoreSource,
    StreamSource,
    TrainedDictionary,
    TrainSaePlan,
    TrainSaeRequest,
    TrainSaeResult,
)
from interp_lab.corpus.corpora import corpus_stamp
from interp_lab.errors import HubUnreachable, InvalidRequest
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.settings import Settings
from interp_lab.workflows.training.cost import disk, estimated_seconds, memory, refuse_unfit, refuse_unfit_disk
from interp_lab.workflows.training.plan import Planned, planned
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_MIB = 2**20
_WITHIN_BATCH = frozenset({"batchtopk", "matryoshka"})


def _plan(request: TrainSaeRequest, lab: Lab) -> Plan:
    if isinstance(request.source, StreamSource):
        return _stream_plan(request, request.source, lab.settings)
    return _store_plan(request, request.source, lab.settings)


def _store_plan(request: TrainSaeRequest, source: StoreSource | SideBySideSource, settings: Settings) -> Plan:
    from interp_lab.workflows.training import columns  # lazy: numpy is not needed to list tools

    store = columns.open_stored(source, settings)
    n_train = int(columns.token_split(store, request).train.sum())
    dictionaries = planned(request, columns.dense_widths(store, request), n_train=n_train)
    _refuse_unfit(dictionaries, settings)
    _refuse_too_many(request, settings)
    plan = _cost(request, dictionaries, settings, (store.n_rows, n_train))
    warnings = (*_warnings(plan, n_train), *_of_ranks(request))
    return _as_plan(plan, settings, {"store": columns.store_hash(store)}, warnings)


def _stream_plan(request: TrainSaeRequest, source: StreamSource, settings: Settings) -> Plan:
    found = locate(source.model, settings)
    if found is None and settings.offline:
        raise HubUnreachable(f"{source.model.id} is not on this machine and the operator keeps it offline.")
    dictionaries: tuple[Planned, ...] = ()
    if found is not None:
        addresses = (*request.addresses, *request.targets)
        facts = preflight(found.directory, addresses=addresses, allow_remote_code=settings.trust_remote_code)
        widths = {str(address): facts.width(address) for address in addresses}
        known = {key: width for key, width in widths.items() if width is not None}
        if len(known) == len(widths):
            dictionaries = planned(request, known)
            _refuse_unfit(dictionaries, settings)
    inputs = {
        "model": fingerprint(source.model, settings),
        "dataset": corpus_stamp(source.dataset, settings),
    }
    return _as_plan(_cost(request, dictionaries, settings, None), settings, inputs, ())


def _refuse_unfit(dictionaries: Sequence[Planned], settings: Settings) -> None:
    refuse_unfit(dictionaries)
    refuse_unfit_disk(dictionaries, settings.workspace, reserve=settings.min_free_bytes)


def _cost(
    request: TrainSaeRequest, dictionaries: Sequence[Planned], settings: Settings, rows: tuple[int, int] | None
) -> TrainSaePlan:
    used = memory(dictionaries) if dictionaries else None
    training = dictionaries[0].training if dictionaries else request.training
    root = WorkspacePaths.of(settings).root
    time = estimated_seconds(dictionaries, root, _device(settings)) if dictionaries and rows else None
    return TrainSaePlan(
        dictionaries=tuple(each.name for each in dictionaries),
        n_parameters=used.parameters // 4 if used else None,
        parameter_bytes=used.parameters if used else None,
        optimiser_bytes=used.optimiser if used else None,
        peak_bytes=used.peak if used else None,
        disk_bytes=disk(dictionaries) if dictionaries else None,
        tokens=training.total_tokens,
        steps=training.total_steps,
        n_rows=rows[0] if rows else None,
        epochs=round(training.total_tokens / rows[1], 2) if rows else None,
        seconds=round(time[0], 1) if time else None,
        seconds_source=time[1] if time else None,
    )


def _device(settings: Settings) -> str:
    """Return where the worker will train, which names the speed that an earlier run kept."""
    return "cuda" if settings.gpu_slots > 0 else "cpu"


def _warnings(plan: TrainSaePlan, n_train: int) -> Iterator[str]:
    if plan.epochs is not None and plan.epochs > 10:
        yield (
            f"Each of the {n_train:,} training tokens is seen {plan.epochs:.0f} times: latents may fit single tokens; "
            "harvest more text or lower training.total_tokens."
        )


def _refuse_too_many(request: TrainSaeRequest, settings: Settings) -> None:
    """Return if this machine can have so many accelerators at once; clusters and processors are not counted."""
    if settings.launcher != "local":
        return
    if request.nodes > 1:
        raise InvalidRequest(
            f"{request.nodes} nodes need a cluster; jobs run on this machine.",
            remedy="Set nodes to 1, or start the server with --launcher slurm or ray.",
        )
    if 0 < settings.gpu_slots < request.ranks:
        raise InvalidRequest(
            f"{request.ranks} ranks need as many accelerators; this machine has {settings.gpu_slots}.",
            remedy=f"Set ranks to at most {settings.gpu_slots}.",
        )


def _of_ranks(request: TrainSaeRequest) -> Iterator[str]:
    if request.ranks > 1:
        yield (
            f"{request.ranks} processes share every batch: sums are rounded in another order than in one, and the same "
            "number of ranks gives the same bytes again."
        )
    if request.ranks > 1 and request.architecture in _WITHIN_BATCH:
        yield f"Latents of {request.architecture} compete within each process's share of a batch, not within all of it."


def _as_plan(plan: TrainSaePlan, settings: Settings, inputs: dict[str, str], warnings: tuple[str, ...]) -> Plan:
    names = plan.dictionaries
    what = f"{len(names)} dictionaries" if len(names) != 1 else names[0]
    peak = "memory unknown" if plan.peak_bytes is None else f"about {plan.peak_bytes / _MIB:.0f} MiB at the peak"
    time = "time unknown before a first run here" if plan.seconds is None else f"about {plan.seconds:.0f} s"
    held = "" if plan.disk_bytes is None else f", up to {plan.disk_bytes / _MIB:.0f} MiB on disk"
    return Plan(
        summary=f"{what}: {plan.tokens:,} tokens in {plan.steps:,} steps; {peak}{held}; {time}.",
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"train {what}"[:200],
        slot=slot_for("auto", settings),
        inputs=inputs,
        warnings=warnings,
    )


def _handle(request: TrainSaeRequest, run: Run) -> TrainSaeResult:
    from interp_lab.workflows.train_sae import train_sae  # lazy: the workflow imports torch, and only the worker may

    return train_sae(request, run, settings=Settings.from_env(), suggest=lambda rows: suggest(request, rows))


def suggest(request: TrainSaeRequest, rows: Sequence[TrainedDictionary]) -> tuple[NextAction, ...]:
    """Return the calls that would settle what the training leaves open, ready to be made."""
    best = min(rows, key=lambda row: row.fvu)
    source = request.source
    if best.artifact is None:
        return ()
    if isinstance(source, StreamSource):
        read = source.model_dump(mode="json", include={"kind", "model", "dataset"})
        why = "Measure it in its model: loss recovered, sparsity and latents that never fire, beside a random one."
        return (NextAction(tool="evaluate_sae", arguments={"dictionary": best.artifact, "source": read}, why=why),)
    if isinstance(source, StoreSource) and request.kind == "crosscoder":
        return ()
    stores = (source.store,) if isinstance(source, StoreSource) else source.stores
    encode = NextAction(
        tool="encode_store",
        arguments={
            "store": stores[0],
            "dictionaries": [best.artifact],
            **({"beside": list(stores[1:])} if stores[1:] else {}),
        },
        why="Make its latents columns of a store, so that they can be queried and ranked like coordinates.",
    )
    return (encode,)


TRAIN_SAE = JobCapability(
    name="train_sae",
    title="Train sparse autoencoders, transcoders or crosscoders",
    guidance=(
        "Give the store of a harvest (a crosscoder of two models: the stores of both, harvested on the same prompts) "
        "or a model and a corpus to stream, and addresses; widths, sparsities and seeds "
        "each may name several, and every combination is trained in one pass. Start with preset minimal and dry_run; "
        "take production for a dictionary that claims will rest on. Whole prompt groups are held out, and every figure "
        "(FVU with an interval, L0, cosine) is of those; flags say what is wrong with a dictionary (dead latents, poor "
        "reconstruction, still improving). Low FVU says that activations can be rebuilt, not that latents mean "
        "anything or that the model uses them. Interrupted runs go on from their checkpoint. Runs as a job: call "
        "job_wait; interp-lab://jobs/JOB_ID/live.html shows its curves on the way. Each dictionary is an artifact in "
        "the SAELens layout; the report has learning curves."
    ),
    request=TrainSaeRequest,
    result=TrainSaeResult,
    plan=_plan,
    handler=_handle,
    processes=lambda request: request.ranks // request.nodes,
    nodes=lambda request: request.nodes,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="dictionaries",
    changes="No grade; its latents become units that can be ranked and edited.",
    example={
        "source": {"kind": "stream", "model": "builtin:pocket-llama", "dataset": "builtin:person-name"},
        "addresses": ["resid_post.2"],
        "widths": [256],
        "sparsities": [8],
        "training": {"total_tokens": 20000, "batch_tokens": 512, "learning_rate": 0.003},
    },
)
