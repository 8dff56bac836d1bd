# pyright: standard
"""What is decided once per harvest and kept with its checkpoint: a second attempt computes as the first began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from interp_lab.contracts.base import Contract
from interp_lab.engine.attention import probe_attention, use_attention
from interp_lab.engine.budget import row_tokens, token_budget
from interp_lab.engine.capture import capture
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.packing import lay_out, packing_check
from interp_lab.engine.precision import probe_matmul, use_matmul
from interp_lab.errors import HookPointUnavailable, StoreConflict
from interp_lab.workflows.harvesting.inputs import Inputs


class Decisions(Contract):
    """Outcomes of the probes."""

    matmul: Literal["default", "onednn"]
    matmul_error: float
    row: int | None
    """Tokens of a packed row; None where documents are padded."""
    packing: str
    """Why rows are packed or not."""
    token_budget: int
    widths: dict[str, int]
    """Coordinates at each address."""
    attention: Literal["products", "own"]
    """Whether the attention of short rows is computed as plain matrix products or as the model does by itself."""
    attention_error: float
    fused_activations: int
    """Modules whose activation function is computed in its fused form."""


def decide(inputs: Inputs, folder: Path | None) -> Decisions:
    """Return what an earlier attempt decided, or what the probes say now; without a folder there was none.

    Raises:
        HookPointUnavailable: An address has no row of numbers per token.
        StoreConflict: What was begun in the folder is another harvest.
    """
    if folder is None:
        return _probe(inputs)
    file = folder / "decisions.json"
    if file.is_file():
        kept = Decisions.model_validate_json(file.read_bytes())
        if kept.widths.keys() != {str(address) for address in inputs.addresses}:
            raise StoreConflict("A harvest of other addresses was begun in this folder.", remedy="Use another folder.")
        return kept
    found = _probe(inputs)
    partial = file.with_name(f".{file.name}")
    partial.write_text(found.model_dump_json())
    partial.replace(file)
    return found


@contextmanager
def as_decided(inputs: Inputs, decided: Decisions) -> Iterator[None]:
    """Run the model in the fast forms that were found equal on this machine, inside the block only."""
    products = decided.attention == "products"
    with use_matmul(decided.matmul), fused_activations(inputs.loaded), use_attention(inputs.loaded, products=products):
        yield


def _probe(inputs: Inputs) -> Decisions:
    loaded, request = inputs.loaded, inputs.request
    matmul, attention = probe_matmul(), probe_attention(loaded)
    use_onednn = loaded.device.type == "cpu" and matmul.mode == "onednn"
    with use_attention(loaded, products=attention.used):
        row, why = _row(inputs)
    with fused_activations(loaded) as fused:
        n_fused = fused.n_modules
    return Decisions(
        matmul="onednn" if use_onednn else "default",
        matmul_error=matmul.relative_error if use_onednn else 0.0,
        row=row,
        packing=why,
        token_budget=request.token_budget or token_budget(loaded, inputs.captured),
        widths=_widths(inputs),
        attention="products" if attention.used else "own",
        attention_error=attention.error if attention.used else 0.0,
        fused_activations=n_fused,
    )


def _row(inputs: Inputs) -> tuple[int | None, str]:
    if inputs.request.decoder is not None:
        return None, "padded by length: every text of a decoder has a source of its own"
    if inputs.request.packing == "never":
        return None, "padded by length: packing was not asked for"
    check = packing_check(inputs.loaded)
    if not check.exact:
        why = "texts in one row influence each other" if check.leaks else f"they differ by {check.error:.1e}"
        return None, f"padded by length: the self-test of packing failed on this model ({why})"
    return row_tokens(
        inputs.loaded.device
    ), f"packed rows: each text comes out as it does alone (largest relative difference {check.error:.1e})"


def _widths(inputs: Inputs) -> dict[str, int]:
    """Coordinates at each address, from one short pass: a configuration does not tell them all."""
    loaded = inputs.loaded
    ids = inputs.tokens(0, 1)[0].ids[: min(8, inputs.rule.context)] or (0,)
    sources = None
    if inputs.request.decoder is not None:
        ids, sources = inputs.decoder_tokens(0, 1)[0].ids[:1], [ids]
    with capture(loaded, inputs.addresses) as run:
        seen = run(lay_out(loaded, [ids], ((0,),), packed=False, sources=sources).batch)
    for address, value in seen.items():
        if value.ndim != 3:
            raise HookPointUnavailable(f"{address} has shape {tuple(value.shape)}, not one row of numbers per token.")
    return {str(address): value.shape[-1] for address, value in seen.items()}
