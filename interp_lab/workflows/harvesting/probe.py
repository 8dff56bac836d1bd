# pyright: standard
"""How fast this very model reads on this machine: a few passes through it, in a process of its own for a dry run.

`python -m interp_lab.workflows.harvesting.probe` takes a harvest request as JSON and prints the measured rate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import torch

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.harvest import LOGIT_METRICS, HarvestRequest
from interp_lab.engine.attention import product_attention
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.stream import default_plan
from interp_lab.engine.sweep import sweep
from interp_lab.models.load import load_model
from interp_lab.models.rates import Rate, macs_per_token, record_rate
from interp_lab.models.reference import fetch, fingerprint
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import deepest, device_key

LEAST_SECONDS = 0.5
"""Passes are repeated until they have taken so long."""
_PASSES = 4
"""Passes of one repetition."""
_TEXT = 64
"""Tokens of one text, where the model reads as many."""


def measure(request: HarvestRequest, settings: Settings) -> Rate | None:
    """Return the rate at which the model of a request reads at its addresses; None where its size does not tell it.

    It is kept for later plans where the workspace is one already.

    Raises:
        LabError: whatever is wrong with the model or the addresses.
    """
    loaded = load_model(
        fetch(request.model, settings),
        dtype=request.model.dtype,
        device=request.model.device,
        allow_remote_code=settings.trust_remote_code,
    )
    logits = (Address("logits"),) if LOGIT_METRICS & set(request.metrics) else ()
    addresses = tuple(dict.fromkeys((*request.addresses, *logits)))
    macs = macs_per_token(loaded.facts, deepest(addresses, loaded.facts.n_layers))
    if not macs:
        return None
    plan = default_plan(loaded, addresses)
    texts = _texts(min(_TEXT, loaded.facts.context_length or _TEXT), loaded.facts.n_vocab or 1, plan.token_budget)
    n_read, spent = 0, 0.0
    with matmul_precision(), fused_activations(loaded), product_attention(loaded):
        for _ in sweep(loaded, texts, addresses, plan):  # the first time brings weights and code into the memory
            pass
        while spent < LEAST_SECONDS:
            started = time.perf_counter()
            for swept in sweep(loaded, texts, addresses, plan):
                for value in swept.values.values():
                    value.to(torch.bfloat16).cpu()
            spent += time.perf_counter() - started
            n_read += sum(map(len, texts))
    device = device_key(loaded.device.type, str(loaded.dtype).removeprefix("torch."), torch.get_num_threads())
    rate = Rate(
        model=loaded.source.id,
        device=device,
        macs_per_s=n_read * macs / spent,
        n_tokens=n_read,
        measured_at=datetime.now(UTC),
    )
    root = WorkspacePaths.of(settings).root
    if root.is_dir():
        with suppress(OSError):
            record_rate(root, fingerprint(request.model, settings), rate)
    return rate


def _texts(length: int, n_vocab: int, budget: int) -> Sequence[Sequence[int]]:
    """Texts of ids spread over the vocabulary, enough for some passes."""
    stride, n_texts = n_vocab // 17 + 1, max(1, _PASSES * budget // length)
    return [[(text + stride * place) % n_vocab for place in range(length)] for text in range(n_texts)]


def main() -> int:
    """Return 0 after printing the rate, and 1 if there is none."""
    rate = measure(HarvestRequest.model_validate_json(sys.stdin.buffer.read()), Settings.from_env())
    if rate is None:
        return 1
    sys.stdout.write(rate.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
