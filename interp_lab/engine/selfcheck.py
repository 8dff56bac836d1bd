# pyright: standard
"""Does each hook point hold what its name says, on this very model? Identities, tried once per loaded model.

A point that fails, or for which no identity exists, is still readable; results that rest on it say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.capture import Captured, capture, model_inputs
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address, every_layer

Status = Literal["verified", "failed", "unchecked"]

NO_IDENTITY = "read where the architecture defines it; no identity to compare with"
_SHAPE = (2, 8)
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
_TOLERANCE_HALF = 3e-2


class PointCheck(NamedTuple):
    """One hook point: what it was compared with, and the largest difference over the largest entry."""

    point: str
    status: Status
    identity: str
    error: float | None = None


class SelfCheck(NamedTuple):
    """Every hook point that the family offers, each with its outcome."""

    rows: tuple[PointCheck, ...]

    @property
    def verified(self) -> tuple[str, ...]:
        """Names of the points whose identity holds."""
        return tuple(row.point for row in self.rows if row.status == "verified")

    @property
    def unverified(self) -> tuple[str, ...]:
        """Names of the points whose identity fails or does not exist."""
        return tuple(row.point for row in self.rows if row.status != "verified")


class _Comparison(NamedTuple):
    points: tuple[str, ...]
    identity: str
    found: Tensor
    expected: Tensor
    exact: bool = False


_done: WeakKeyDictionary[LoadedModel, SelfCheck] = WeakKeyDictionary()


def self_check(loaded: LoadedModel) -> SelfCheck:
    """Return how the hook points of the loaded model fare; a second call returns what the first one found."""
    with loaded.lock:
        if loaded not in _done:
            _done[loaded] = _check(loaded)
        return _done[loaded]


def _check(loaded: LoadedModel) -> SelfCheck:
    batch = _probe(loaded)
    worst: dict[str, PointCheck] = {}
    for comparison in _comparisons(loaded, batch):
        for point in comparison.points:
            row = _judge(comparison, point)
            if point not in worst or worst[point].status == "verified":
                worst[point] = row
    names = loaded.family.points
    return SelfCheck(tuple(worst.get(name, PointCheck(name, "unchecked", NO_IDENTITY)) for name in names))


def _judge(comparison: _Comparison, point: str) -> PointCheck:
    found, expected = comparison.found.double(), comparison.expected.double()
    if found.shape != expected.shape:
        return PointCheck(point, "failed", comparison.identity)
    error = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
    limit = 0.0 if comparison.exact else _TOLERANCE.get(comparison.found.dtype, _TOLERANCE_HALF)
    return PointCheck(point, "verified" if error <= limit else "failed", comparison.identity, error)


def _comparisons(loaded: LoadedModel, batch: TokenBatch) -> Iterator[_Comparison]:
    sites = loaded.family.sites
    yield from _check_stream(loaded, batch)
    if {"attn_out", "mlp_out"} <= sites.keys():
        yield from _check_sums(loaded, batch)
    if {"attn_probs", "v", "z"} <= sites.keys():
        yield from _check_attention(loaded, batch)


def _check_stream(loaded: LoadedModel, batch: TokenBatch) -> Iterator[_Comparison]:
    """Compare with what transformers records itself, and the logits with those of a run without hooks."""
    n_layers = len(loaded.blocks)
    with torch.no_grad():
        plain = loaded.model(**model_inputs(loaded, batch))
        recorded = loaded.model(**model_inputs(loaded, batch), output_hidden_states=True).hidden_states
    has_logits = getattr(plain, "logits", None) is not None
    wanted = [*every_layer("resid_pre", n_layers), *every_layer("resid_post", n_layers)]
    seen = _capture(loaded, batch, [*wanted, Address("logits")] if has_logits else wanted)
    if has_logits:
        yield _Comparison(
            ("logits",), "logits of a run without hooks", seen[Address("logits")], plain.logits, exact=True
        )
    for layer in range(n_layers):
        before, after = seen[Address("resid_pre", layer)], seen[Address("resid_post", layer)]
        yield _Comparison(("resid_pre",), "hidden_states[layer]", before, recorded[layer], exact=True)
        # The last recorded state has passed the final norm, so it is no witness for the last block.
        if layer + 1 < n_layers:
            yield _Comparison(("resid_post",), "hidden_states[layer + 1]", after, recorded[layer + 1], exact=True)


def _check_sums(loaded: LoadedModel, batch: TokenBatch) -> Iterator[_Comparison]:
    """Compare the residual stream with the sums that the block makes of it."""
    sites = loaded.family.sites
    for layer, block in enumerate(loaded.blocks):
        names = [name for name in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post") if name in sites]
        seen = {a.point: t for a, t in _capture(loaded, batch, [Address(name, layer) for name in names]).items()}
        after_attention, after_mlp = _norms(block, loaded.family.norms_after)
        middle = after_attention(seen["resid_pre"] + seen["attn_out"])
        if "resid_mid" in seen:
            identity = "resid_pre + attn_out" if loaded.family.norms_after is None else "norm(resid_pre + attn_out)"
            yield _Comparison(("resid_mid",), identity, seen["resid_mid"], middle)
        total = after_mlp(middle + seen["mlp_out"])
        identity = "resid_pre + attn_out + mlp_out"
        yield _Comparison(("attn_out", "mlp_out", "resid_post"), identity, seen["resid_post"], total)


def _norms(block: nn.Module, paths: tuple[str, str] | None) -> tuple[nn.Module, nn.Module]:
    if paths is None:
        return nn.Identity(), nn.Identity()
    return block.get_submodule(paths[0]), block.get_submodule(paths[1])


def _check_attention(loaded: LoadedModel, batch: TokenBatch) -> Iterator[_Comparison]:
    """Compare the mixed values with the probabilities applied to the values, head by head."""
    facts = loaded.facts
    if facts.n_heads is None or facts.n_kv_heads is None:
        return
    for layer in range(len(loaded.blocks)):
        wanted = [Address(name, layer) for name in ("attn_probs", "v", "z")]
        probabilities, values, mixed = _capture(loaded, batch, wanted).values()
        per_head = rearrange(values, "batch key (kv d) -> batch kv key d", kv=facts.n_kv_heads)
        shared = repeat(per_head, "b kv key d -> b (kv group) key d", group=facts.n_heads // facts.n_kv_heads)
        expected = rearrange(probabilities @ shared, "batch head query d -> batch query (head d)")
        yield _Comparison(("attn_probs", "v", "z"), "z = attn_probs · v", mixed, expected)


def _capture(loaded: LoadedModel, batch: TokenBatch, addresses: list[Address]) -> Captured:
    with capture(loaded, addresses) as run:
        return run(batch)


def _probe(loaded: LoadedModel) -> TokenBatch:
    """Two rows of ids spread over the vocabulary; no text, so it is the same for every tokenizer."""
    n_vocab = cast("nn.Embedding", loaded.model.get_input_embeddings()).num_embeddings
    n_batch, n_pos = _SHAPE[0], min(_SHAPE[1], loaded.facts.context_length or _SHAPE[1])
    ids = (torch.arange(n_batch * n_pos).reshape(n_batch, n_pos) * (n_vocab // 17 + 1) + 5) % n_vocab
    every = torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(n_pos).expand(n_batch, n_pos)
    ids, every, positions = (row.to(loaded.device) for row in (ids, every, positions))
    return TokenBatch(tuple(range(n_batch)), ids, every, every, positions)
