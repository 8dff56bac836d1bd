# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Parts of a model held at what they were in an unedited pass, so that an effect through them is left out.

Attention patterns: every block mixes with the probabilities of the unedited pass. Norms: every norm divides by what it
divided by then. Both make what is left of the path linear in values and MLPs. Inside `with` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from interp_lab.errors import ImpossiblePath
from interp_lab.models.load import LoadedModel

Part = Literal["attention", "norms"]
NAME = "interp_lab_held_patterns"


@dataclass(eq=False)
class Held:
    """What an unedited pass of one prompt showed."""

    parts: frozenset[Part]
    patterns: dict[nn.Module, Float[Tensor, "1 head query key"]] = field(default_factory=dict)
    divisors: dict[nn.Module, Tensor] = field(default_factory=dict)
    """Per norm, what it divided by at every token."""


@contextmanager
def noting(loaded: LoadedModel, parts: frozenset[Part]) -> Iterator[Held]:
    """Yield a record that the next unedited pass fills.

    Raises:
        ImpossiblePath: The model has an attention or norms of its own that cannot be held.
    """
    held = Held(parts)
    with ExitStack() as stack:
        stack.enter_context(loaded.lock)
        if "attention" in parts:
            stack.enter_context(_attending(loaded, held, replay=False))
        if "norms" in parts:
            for module in _norms(loaded):
                hook = module.register_forward_hook(lambda m, args, _o: _note(held, m, args[0]), prepend=True)
                stack.callback(hook.remove)
        yield held
    if "attention" in parts and not held.patterns:
        raise ImpossiblePath(f"Attention patterns of {loaded.family.name} models cannot be held.")


@contextmanager
def holding(loaded: LoadedModel, held: Held) -> Iterator[None]:
    """Let passes inside the block use what was noted; nothing happens where nothing is to be held."""
    with ExitStack() as stack:
        stack.enter_context(loaded.lock)
        if "attention" in held.parts:
            stack.enter_context(_attending(loaded, held, replay=True))
        for module in held.divisors:
            stack.callback(module.register_forward_hook(_as_before(held), prepend=True).remove)
        yield


def _norms(loaded: LoadedModel) -> list[nn.Module]:
    found = [module for module in loaded.model.modules() if _kind(module) is not None]
    if not found:
        raise ImpossiblePath(f"No norm of {loaded.family.name} models is known.", remedy="Do not freeze norms.")
    return found


def _kind(module: nn.Module) -> Literal["layer", "rms"] | None:
    if isinstance(module, nn.LayerNorm):
        return "layer"
    return "rms" if type(module).__name__.endswith("RMSNorm") else None


def _divisor(module: nn.Module, x: Tensor) -> Tensor:
    wide = x.float()
    epsilon = next(e for name in ("eps", "variance_epsilon", "epsilon") if (e := getattr(module, name, None)))
    square = (
        wide.var(-1, unbiased=False, keepdim=True) if _kind(module) == "layer" else wide.pow(2).mean(-1, keepdim=True)
    )
    return (square + epsilon).sqrt()


def _note(held: Held, module: nn.Module, x: Tensor) -> None:
    held.divisors.setdefault(module, _divisor(module, x))


def _as_before(held: Held) -> Any:
    """A norm's output is its bias plus something over its divisor; only the divisor is exchanged."""

    def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        shift = getattr(module, "bias", None)
        bare = output if shift is None else output - shift
        changed = bare * (_divisor(module, args[0]) / held.divisors[module]).to(output.dtype)
        return changed if shift is None else changed + shift

    return after


@contextmanager
def _attending(loaded: LoadedModel, held: Held, *, replay: bool) -> Iterator[None]:
    def attend(module: nn.Module, *given: Tensor | None, **options: Any) -> tuple[Tensor, None]:
        query, key, value, mask = (*given, options.pop("attention_mask", None))[:4]
        if query is None or key is None or value is None or options.get("s_aux") is not None:
            raise ImpossiblePath("This attention has parts besides queries, keys and values.")
        if not replay:
            held.patterns[module] = _pattern(module, query, key, mask, **options)
        mixed = held.patterns[module] @ repeat_kv(value, query.shape[1] // value.shape[1])
        return mixed.transpose(1, 2).contiguous(), None

    usual = loaded.model.config._attn_implementation or "eager"
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    loaded.model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        loaded.model.set_attn_implementation(usual)


def _pattern(
    module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, **options: Any
) -> Float[Tensor, "batch head query key"]:
    scale = options.get("scaling")
    wide = repeat_kv(key, query.shape[1] // key.shape[1])
    scores = query @ wide.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if (cap := options.get("softcap")) is not None:
        scores = cap * (scores / cap).tanh()
    if mask is None:
        causal = options.get("is_causal")
        if causal if causal is not None else getattr(module, "is_causal", True):
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    return scores.float().softmax(-1).to(query.dtype)
