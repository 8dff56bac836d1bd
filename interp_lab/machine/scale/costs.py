"""What a run takes in numbers, bytes and arithmetic, whatever it runs on; every formula is written out in its result.

Source: Kaplan et al. 2020 (Scaling Laws), table 1, for the arithmetic of a forward pass; the dictionary trainer's own
operations for training (one dense product to encode, sparse ones for the rest).
"""

from __future__ import annotations

from typing import NamedTuple

from interp_lab.artifacts.checkpoints import KEPT
from interp_lab.contracts.plan_scale import Group, KnownAs, PlanScaleRequest, Quantity
from interp_lab.contracts.sizes import bytes_in_words, in_words
from interp_lab.contracts.train_sae import PRESETS
from interp_lab.machine.scale.shape import Shape

BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
ROW_BYTES = 24
"""One row of the table of tokens, compressed, labels apart; an upper estimate of what stores take."""
CODE_BYTES = 10
"""An active latent in both layouts; 9.1 measured (benchmarks/results/store.json)."""
STREAM_ROWS = 65_536
"""Tokens that a stream holds and mixes."""
MACHINE_DEVICES = 8
"""Devices of one machine, which the ranks of one training share."""
MOST_SHARDS = {"harvest": 10_000, "interventions": 1000}
_EXPANSION = 16
_COPIES = 4
"""Weights, gradients and Adam's two moments."""
_TOUCHES = 2 * _COPIES
"""Each read and written."""
BATCH_TOKENS = int(PRESETS["minimal"]["training"]["batch_tokens"])
"""Tokens of a step in a ready call."""
DENSE = frozenset({"relu", "gated", "jumprelu"})
"""Architectures that compute every latent of every token while they train."""
_KAPLAN = "Kaplan et al. 2020, table 1"


class Edits(NamedTuple):
    """The work of all interventions."""

    n_runs: float
    macs: float
    fixed_seconds: float
    """On an ordinary core, of what is no arithmetic."""
    arithmetic_seconds: float
    """On an ordinary core, of the rest."""
    memory: float
    """Bytes at the peak, weights apart."""


class Costs(NamedTuple):
    """The numbers that routes are reckoned from."""

    shape: Shape
    depth: float
    """Share of the layers that a harvest runs."""
    edits: Edits
    tokens: int
    weight_bytes: float
    harvest_flops: float
    kept_bytes: float
    """Store on disk, or the buffer of a stream in memory."""
    n_latents: int
    n_dictionaries: int
    training_bytes: float
    """Weights, gradients and moments of all dictionaries, which one call trains side by side."""
    training_disk: float
    """Checkpoints of all dictionaries, one of them being written, and the dictionaries."""
    training_flops: float
    moved_bytes: float
    """What all steps of all dictionaries read and write of weights, gradients and moments."""
    edited_flops: float
    stream: bool


def quantities(request: PlanScaleRequest, shape: Shape, edits: Edits) -> tuple[Costs, tuple[Quantity, ...]]:
    """Return the numbers, and the same as records that say where each comes from."""
    ledger = _Ledger([])
    weight, forward, depth = _model(request, shape, ledger)
    harvest_flops, kept = _harvest(request, shape, ledger, forward)
    n_latents, training, on_disk, training_flops, moved = _dictionary(request, shape, ledger)
    edited = _interventions(request, ledger, edits)
    costs = Costs(
        shape=shape,
        depth=depth,
        edits=edits,
        tokens=request.tokens,
        weight_bytes=weight,
        harvest_flops=harvest_flops,
        kept_bytes=kept,
        n_latents=n_latents,
        n_dictionaries=request.n_addresses,
        training_bytes=training,
        training_disk=on_disk,
        training_flops=training_flops,
        moved_bytes=moved,
        edited_flops=edited,
        stream=request.storage == "streamed",
    )
    return costs, tuple(ledger.rows)


class _Ledger(NamedTuple):
    """The numbers so far, in order."""

    rows: list[Quantity]

    def given(self, group: Group, name: str, value: float, unit: str, *, known: KnownAs, why: str) -> float:
        """Keep a number that was read, said or assumed, and return it."""
        return self._keep(Quantity(name=name, group=group, value=value, unit=unit, text="", known=known, formula=why))

    def add(self, group: Group, name: str, value: float, unit: str, *, formula: str, source: str = "") -> float:
        """Keep a number that was computed, and return it."""
        row = Quantity(
            name=name, group=group, value=value, unit=unit, text="", known="formula", formula=formula, source=source
        )
        return self._keep(row)

    def _keep(self, row: Quantity) -> float:
        text = bytes_in_words(row.value) if row.unit == "bytes" else f"{in_words(row.value)} {row.unit}"
        self.rows.append(row.model_copy(update={"text": text}))
        return row.value


_SAID = "said in the request"


def _model(request: PlanScaleRequest, shape: Shape, ledger: _Ledger) -> tuple[float, float, float]:
    reasons: dict[KnownAs, str] = {"files": "read from the model's files", "given": _SAID}
    usual = f"usual for the size: P = 12 L d², d = 128 L ({_KAPLAN})"
    known: KnownAs = "files" if shape.known == "files" else "given"
    ledger.given("model", "parameters", shape.parameters, "parameters", known=known, why=reasons[known])
    why = reasons.get(shape.known, usual)
    ledger.given("model", "n_layers", shape.n_layers, "layers", known=shape.known, why=why)
    ledger.given("model", "d_model", shape.d_model, "coordinates", known=shape.known, why=why)
    size = BYTES[request.model_dtype]
    formula = f"parameters × {size} bytes ({request.model_dtype})"
    weights = ledger.add("model", "weights", shape.parameters * size, "bytes", formula=formula)
    formula = f"2 × {shape.n_layers} layers × {shape.d_kv} × 2 bytes"
    ledger.add("model", "kv_cache_per_token", 4 * shape.n_layers * shape.d_kv, "bytes", formula=formula)
    depth = _depth(request.n_addresses, shape.n_layers)
    attention = f"2 × {shape.n_layers} × {request.context} × {shape.d_model}"
    forward = ledger.add(
        "model",
        "forward_per_token",
        depth * (2 * shape.active + 2 * shape.n_layers * request.context * shape.d_model),
        "FLOP",
        formula=f"{depth:.3g} of the layers × (2 × {in_words(shape.active)} in blocks + {attention})",
        source=_KAPLAN,
    )
    return weights, forward, depth


def layers_read(n_addresses: int, n_layers: int) -> tuple[int, ...]:
    """Return the layers of evenly spread addresses: the middle one for one, never the same twice."""
    n = min(n_addresses, n_layers)
    return tuple(sorted({min(n_layers - 1, int((i + 0.5) * n_layers / n)) for i in range(n)}))


def _depth(n_addresses: int, n_layers: int) -> float:
    """Return the share of the layers that has to run for the deepest of the addresses."""
    return (layers_read(n_addresses, n_layers)[-1] + 1) / n_layers


def _harvest(request: PlanScaleRequest, shape: Shape, ledger: _Ledger, forward: float) -> tuple[float, float]:
    ledger.given("harvest", "tokens", request.tokens, "tokens", known="given", why=_SAID)
    flops = ledger.add("harvest", "arithmetic", request.tokens * forward, "FLOP", formula="tokens × forward_per_token")
    scalar = BYTES[request.store_dtype]
    dense = request.tokens * request.n_addresses * shape.d_model * scalar
    per = f"{request.n_addresses} addresses × {shape.d_model} × {scalar} bytes"
    if request.storage == "streamed":
        held = STREAM_ROWS * request.n_addresses * shape.d_model * 4
        ledger.add("harvest", "never_stored", dense, "bytes", formula=f"tokens × {per}, streamed to training instead")
        formula = f"{STREAM_ROWS:,} tokens × {request.n_addresses} × {shape.d_model} × 4 bytes"
        return flops, ledger.add("harvest", "buffer", held, "bytes", formula=formula)
    ledger.add("harvest", "activations", dense, "bytes", formula=f"tokens × {per}")
    store = dense + request.tokens * ROW_BYTES
    return flops, ledger.add("harvest", "store", store, "bytes", formula=f"activations + tokens × {ROW_BYTES} bytes")


def _dictionary(request: PlanScaleRequest, shape: Shape, ledger: _Ledger) -> tuple[int, float, float, float, float]:
    n_latents = request.n_latents or _EXPANSION * shape.d_model
    known: KnownAs = "given" if request.n_latents else "assumed"
    why = _SAID if request.n_latents else f"{_EXPANSION} × d_model"
    ledger.given("dictionary", "n_latents", n_latents, "latents", known=known, why=why)
    parameters = 2 * shape.d_model * n_latents + n_latents + shape.d_model
    formula = "2 × d_model × n_latents + n_latents + d_model"
    ledger.add("dictionary", "parameters", parameters, "parameters", formula=formula)
    training = 4 * _COPIES * parameters * request.n_addresses
    each = f"parameters × 4 bytes × {_COPIES} (weights, gradients, Adam's two moments)"
    formula = f"{request.n_addresses} dictionaries side by side × {each}"
    ledger.add("dictionary", "training_memory", training, "bytes", formula=formula)
    kept = f"{KEPT + 1} checkpoints of weights and two moments, one being written, and the weights"
    on_disk = ledger.add(
        "dictionary",
        "training_disk",
        4 * (3 * (KEPT + 1) + 1) * parameters * request.n_addresses,
        "bytes",
        formula=f"{request.n_addresses} dictionaries × parameters × 4 bytes × {3 * (KEPT + 1) + 1} ({kept})",
    )
    flops = _training_arithmetic(request, shape, ledger, n_latents)
    n_steps = -(-(request.train_tokens or request.tokens) // BATCH_TOKENS)
    moved = ledger.add(
        "dictionary",
        "optimiser_traffic",
        n_steps * request.n_addresses * 4 * _TOUCHES * parameters,
        "bytes",
        formula=f"{n_steps:,} steps of {BATCH_TOKENS:,} tokens × {request.n_addresses} dictionaries × {4 * _TOUCHES} "
        "bytes × parameters",
        source="Adam moves every weight in every step: weights, gradients, two moments, each read and written",
    )
    codes = request.tokens * request.n_addresses * request.k * CODE_BYTES
    formula = f"tokens × {request.n_addresses} × {request.k} × {CODE_BYTES} bytes"
    source = "9.1 bytes per active latent measured for both layouts"
    ledger.add("dictionary", "codes", codes, "bytes", formula=formula, source=source)
    return n_latents, training, on_disk, flops, moved


def _training_arithmetic(request: PlanScaleRequest, shape: Shape, ledger: _Ledger, n_latents: int) -> float:
    tokens = request.train_tokens or request.tokens
    dense = request.architecture in DENSE
    step = shape.d_model * n_latents
    per_token = 12 * step if dense else 2 * step + 8 * request.k * shape.d_model
    formula = "12 × d_model × n_latents" if dense else f"2 × d_model × n_latents + 8 × {request.k} × d_model"
    return ledger.add(
        "dictionary",
        "training_arithmetic",
        tokens * per_token * request.n_addresses,
        "FLOP",
        formula=f"{in_words(tokens)} tokens × {request.n_addresses} dictionaries × ({formula})",
        source="encoder and decoder, forward and backward" if dense else "one dense product to encode, the rest sparse",
    )


def _interventions(request: PlanScaleRequest, ledger: _Ledger, edits: Edits) -> float:
    each = "the edit, its opposite, its placebo and 2 of each control on positives, the edit on negatives"
    formula = (
        f"{request.units} units × ({request.strengths + 1} edits on one half of {request.prompts} prompts + 2 on the "
        f"other) × ({each}; {request.controls} controls)"
    )
    source = "the count of a dry run of intervene, half of the prompts with the property"
    ledger.add("interventions", "edited_runs", edits.n_runs, "runs", formula=formula, source=source)
    tokens = edits.n_runs * request.prompt_tokens
    formula = f"edited_runs × {request.prompt_tokens} tokens"
    ledger.add("interventions", "edited_tokens", tokens, "tokens", formula=formula)
    return ledger.add(
        "interventions",
        "arithmetic",
        2 * edits.macs,
        "FLOP",
        formula="2 × multiply-adds: unedited prompts 2-4 times, edited runs from the middle layer on, the vocabulary",
        source="the same count",
    )


def calls_for_shards(seconds: float, shard_hours: float) -> int:
    """Return in how many pieces work of that length is cut so that none is longer than `shard_hours`."""
    return max(1, -(-int(seconds) // max(1, int(shard_hours * 3600))))


def n_ranks(n_devices: int) -> int:
    """Return over how many processes of one machine a training is spread, so that they share a batch evenly."""
    most = min(n_devices, MACHINE_DEVICES)
    return next(n for n in range(most, 0, -1) if BATCH_TOKENS % n == 0)
