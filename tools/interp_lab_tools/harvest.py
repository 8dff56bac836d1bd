"""harvest: the activations of a corpus into a store that every analysis reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import ValidationError

from interp_lab.artifacts.durable import free_bytes
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.harvest import LOGIT_METRICS, HarvestPlan, HarvestRequest, HarvestResult
from interp_lab.corpus.corpora import Glance, corpus_stamp, glance
from interp_lab.corpus.labels import refuse_without_target
from interp_lab.errors import CannotBeSharded, HookPointUnavailable, HubUnreachable
from interp_lab.jobs.parts.sharding import Sharding
from interp_lab.jobs.probing import answer_of
from interp_lab.models.facts import ModelFacts
from interp_lab.models.preflight import preflight
from interp_lab.models.rates import Rate, known_rate, macs_per_token
from interp_lab.models.reference import fingerprint, locate
from interp_lab.points import Address
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import (
    deepest,
    device_key,
    peak_bytes,
    refuse_unfit_disk,
    refuse_unfit_memory,
    store_bytes,
)
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from pydantic import JsonValue

    from interp_lab.jobs.parts.partrun import PartRun
    from interp_lab.jobs.run import Run

COUNTED_CHARACTERS = 2_000_000
"""Text that is tokenised while the caller waits; it takes about a second."""
PROBE_S = 30.0
"""A dry run waits so long for a measurement of the model; most of it is the start of a process."""
PROBED_BYTES = 4 * 2**30
"""Larger weights are not loaded for a dry run."""
_SIZE = 384
_REPEATS = 3

TokensSource = Literal["counted", "extrapolated", "upper_bound"]


class _Tokens(NamedTuple):
    documents: int
    tokens: int | None
    source: TokensSource | None


class _Time(NamedTuple):
    seconds: float | None
    at_least: float | None
    source: str | None


def _plan(request: HarvestRequest, lab: Lab) -> Plan:
    settings = lab.settings
    if request.shards > 1 and request.generate is not None:
        raise CannotBeSharded("Where the rows of generated text lie is known only once all text before is written.")
    beginning = glance(
        request.dataset, settings, max_characters=COUNTED_CHARACTERS, max_documents=request.max_documents
    )
    directory, facts = _model(request, settings)
    tokens = _tokens(request, beginning, directory)
    plan = _cost(request, facts, tokens, settings)
    return Plan(
        summary=_in_words(plan, request.model.id),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{beginning.name} through {request.model.id}"[:200],
        slot=slot_for(request.model.device, settings),
        inputs={
            "dataset": corpus_stamp(request.dataset, settings),
            "model": fingerprint(request.model, settings),
        },
        warnings=tuple(_warnings(request, plan, facts)),
    )


def _model(request: HarvestRequest, settings: Settings) -> tuple[Path | None, ModelFacts | None]:
    """Return where a model is and its facts, or nothing for one that the job will fetch."""
    if any(address.point == "attn_probs" for address in request.addresses):
        raise HookPointUnavailable("attn_probs has a row of weights per head and token, not one row per token.")
    source = locate(request.model, settings)
    if source is None:
        if settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return None, None
    facts = preflight(
        source.directory,
        addresses=request.addresses,
        allow_remote_code=settings.trust_remote_code,
        part="encoder" if request.decoder is None else "decoder",
    )
    return source.directory, facts


def _tokens(request: HarvestRequest, beginning: Glance, directory: Path | None) -> _Tokens:
    """Return how many documents and tokens there are: counted if all of it was seen, else in proportion."""
    n_documents = round(len(beginning.documents) / beginning.share)
    if request.max_documents is not None:
        n_documents = min(n_documents, request.max_documents)
    counted = _count(_texts(request, beginning), directory, special=request.bos != "never")
    if counted is None:
        return _Tokens(n_documents, None, None)
    whole = beginning.share >= 1 and request.dataset.kind != "chat" and request.decoder is None
    total = counted if whole else round(counted * n_documents / len(beginning.documents))
    if request.generate is not None:
        return _Tokens(n_documents, total + n_documents * request.generate.max_new_tokens, "upper_bound")
    return _Tokens(n_documents, total, "counted" if whole and request.bos != "always" else "extrapolated")


def _texts(request: HarvestRequest, beginning: Glance) -> Sequence[str]:
    """Return the texts whose tokens become rows, of the documents that were seen."""
    if request.decoder is None:
        return ["\n".join([document.text, *(m.content for m in document.messages)]) for document in beginning.documents]
    if request.decoder.target is None:
        return [""] * len(beginning.documents)
    refuse_without_target(beginning.documents, request.decoder.target)
    return [str(document.labels[request.decoder.target]) for document in beginning.documents]


def _count(texts: Sequence[str], directory: Path | None, *, special: bool) -> int | None:
    """Return the tokens of the texts that were seen, or None where nothing here can tell."""
    file = None if directory is None else directory / "tokenizer.json"
    if file is None or not file.is_file() or find_spec("tokenizers") is None:
        return None
    from tokenizers import Tokenizer  # lazy: an optional extra that only this count needs in the server process

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=special))


def _cost(request: HarvestRequest, facts: ModelFacts | None, tokens: _Tokens, settings: Settings) -> HarvestPlan:
    widths = [None if facts is None else facts.width(address) for address in dict.fromkeys(request.addresses)]
    known = [width for width in widths if width is not None]
    scalars = sum(known) if len(known) == len(widths) else None
    needed = None
    if scalars is not None and tokens.tokens is not None:
        needed = store_bytes(tokens.tokens, scalars, request.dtype, len(request.metrics))
        refuse_unfit_disk(
            needed, tokens.tokens, len(widths), folder=settings.workspace, reserve=settings.min_free_bytes
        )
    peak = None if facts is None else peak_bytes(facts.weights.n_bytes)
    if peak is not None and slot_for(request.model.device, settings) == "cpu":
        refuse_unfit_memory(peak)
    took = _time(request, facts, tokens.tokens, settings)
    return HarvestPlan(
        n_documents=tokens.documents,
        n_tokens=tokens.tokens,
        tokens_source=tokens.source,
        n_columns=len(widths),
        scalars_per_token=scalars,
        bytes=needed,
        free_bytes=free_bytes(settings.workspace),
        weight_bytes=None if facts is None else facts.weights.n_bytes,
        peak_bytes=peak,
        seconds=took.seconds,
        seconds_at_least=took.at_least,
        seconds_source=took.source,
    )


def _time(request: HarvestRequest, facts: ModelFacts | None, n_tokens: int | None, settings: Settings) -> _Time:
    """Return how long it takes by what was measured here: an earlier run of this model, or else matrix products."""
    if facts is None or n_tokens is None or request.decoder is not None:
        return _Time(None, None, None)
    logits = (Address("logits"),) if LOGIT_METRICS & set(request.metrics) else ()
    macs = macs_per_token(facts, deepest((*request.addresses, *logits), facts.n_layers))
    if not macs:
        return _Time(None, None, None)
    slot = slot_for(request.model.device, settings)
    named = request.model.dtype not in ("auto", "int8")  # rounded weights are multiplied in the format of "auto"
    dtype = request.model.dtype if named else "float32" if slot == "cpu" else str(facts.dtype)
    key = device_key("cuda" if slot == "gpu" else "cpu", dtype, settings.threads_per_slot())
    rate = known_rate(WorkspacePaths.of(settings).root, fingerprint(request.model, settings), key)
    if rate is None and slot == "cpu" and request.dry_run and facts.weights.n_bytes <= PROBED_BYTES:
        rate = _probed(request, settings)
    if rate is not None:
        seconds = round(n_tokens * macs / rate.macs_per_s, 1)
        what = "a probe" if rate.job_id is None else "a run"
        where = f"{what} of this model here on {rate.n_tokens} tokens at {rate.measured_at:%Y-%m-%d %H:%M} UTC"
        return _Time(seconds, None, f"{where}, in proportion to the arithmetic; loading and writing not counted")
    if slot == "gpu":
        return _Time(None, None, None)
    bound = round(n_tokens * macs / matrix_rate(), 1)
    return _Time(None, bound, "matrix products of this size measured here just now; no model reaches their speed")


def _probed(request: HarvestRequest, settings: Settings) -> Rate | None:
    """Return how fast the model reads, measured now in a process of its own; None if that does not succeed in time."""
    given = request.model_dump_json().encode()
    told = answer_of("interp_lab.workflows.harvesting.probe", given, settings, within_s=PROBE_S)
    try:
        return Rate.model_validate_json(told.splitlines()[-1]) if told else None  # libraries may print before it
    except ValidationError:
        return None


@cache
def matrix_rate() -> float:
    """Return the multiply-adds per second of a float32 matrix product in this process, measured once."""
    import numpy as np  # lazy: not needed to list tools

    left = np.full((_SIZE, _SIZE), 0.5, np.float32)
    times: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        np.matmul(left, left)
        times.append(time.perf_counter() - start)
    return _SIZE**3 / max(min(times), 1e-9)


def _in_words(plan: HarvestPlan, model_id: str) -> str:
    about = "" if plan.tokens_source == "counted" else "about "
    tokens = "an unknown number of tokens" if plan.n_tokens is None else f"{about}{plan.n_tokens} tokens"
    size = "size unknown" if plan.bytes is None else f"about {plan.bytes / 2**20:.1f} MiB on disk"
    took = "time unknown"
    if plan.seconds is not None:
        took = f"about {plan.seconds:g} s by what was measured here"
    elif plan.seconds_at_least is not None:
        took = f"at least {plan.seconds_at_least:g} s"
    where = counted(plan.n_columns, "address", "addresses")
    return (
        f"{counted(plan.n_documents, 'document', 'documents')}, {tokens} through {model_id}, {where}; {size}; {took}."
    )


def _warnings(request: HarvestRequest, plan: HarvestPlan, facts: ModelFacts | None) -> Sequence[str]:
    return list(_say(request, plan, facts))


def _say(request: HarvestRequest, plan: HarvestPlan, facts: ModelFacts | None) -> Iterator[str]:
    if facts is None:
        yield f"{request.model.id} is not on this machine yet: the job fetches it first."
    elif request.decoder is not None:
        yield "No time is foretold for a decoder: what its encoder reads is not part of the plan."
    elif plan.seconds is None:
        yield "This model has not been timed here: a first harvest with a small max_documents makes plans exact."


def _handle(request: HarvestRequest, run: Run) -> HarvestResult:
    from interp_lab.workflows.harvest import harvest  # lazy: the workflow imports torch, and only the worker may

    return harvest(request, run, settings=Settings.from_env())


def _plan_shards(request: HarvestRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    from interp_lab.workflows.harvesting import sharded  # lazy: imports torch, and only the worker may

    return sharded.plan(request, run, stage, settings=Settings.from_env())


def _read_shard(request: HarvestRequest, run: PartRun, payload: JsonValue) -> None:
    from interp_lab.workflows.harvesting import sharded  # lazy: imports torch, and only the worker may

    sharded.read_shard(request, run, payload, settings=Settings.from_env())


def _gather(request: HarvestRequest, run: PartRun, outputs: Sequence[Path]) -> None:
    from interp_lab.workflows.harvesting import sharded  # lazy: imports torch, and only the worker may

    sharded.gather(request, run, outputs, settings=Settings.from_env())


HARVEST = JobCapability(
    name="harvest",
    title="Store the activations of a corpus",
    guidance=(
        "Every token of a corpus becomes a row of an activation_store artifact, with its activations, labels (names "
        "kept) and metrics; queries, probes and dictionary training read it. Many addresses cost one pass. Use dry_run "
        "first: tokens, bytes, time. Runs as a job: if state is not "
        "final, call job_wait. An interrupted job goes on where it was; the same request gives the same bytes."
    ),
    request=HarvestRequest,
    result=HarvestResult,
    plan=_plan,
    handler=_handle,
    sharding=Sharding(count=lambda request: request.shards, plan=_plan_shards, shard=_read_shard, gather=_gather),
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="core",
    changes="No grade; its activations can then be asked and trained on.",
    example={
        "model": "builtin:pocket-llama",
        "dataset": "builtin:person-name",
        "addresses": ["resid_post.2", "mlp_out.1"],
        "metrics": ["loss", "token_class"],
    },
)
