# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Which shortcuts give the same logits on a loaded model: each is tried once and used only if it is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from interp_lab.engine.fused import fused_activations
from interp_lab.engine.intervention.attend import attention_of_runs, can_share, passing_cache, sharing
from interp_lab.engine.intervention.resume import BaseRun, base_runs, copied_prefix, only_last_position, resumed
from interp_lab.engine.precision import matmul_of_runs
from interp_lab.errors import HookPointUnavailable
from interp_lab.models.load import LoadedModel

MAX_ERROR = 1e-5
"""Largest difference over the largest logit, float32."""
_MAX_ERROR_HALF = 3e-2
_LENGTH, _POSITION, _N_ROWS = 7, 4, 3
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, AttributeError, HookPointUnavailable)
"""What a block, attention or head raises that checks or reshapes what it is given in a way of its own."""


class FastPath(NamedTuple):
    """The shortcuts that a loaded model allows, with the largest difference that was measured for each."""

    attention: bool
    """Rows share the keys and values of what comes before them, and no mask is built."""
    trim: bool
    """The last block is computed for the last position only."""
    head: bool
    """Only the logits that are asked for are computed."""
    errors: dict[str, float]
    """By shortcut: largest difference over the largest logit; infinite where the model refuses."""

    def in_words(self) -> str:
        """Return the shortcuts as a record says them."""
        return ", ".join(
            f"{name} {'on' if used else 'off'} (relative error {self.errors[name]:.1g})"
            for name, used in (("attention", self.attention), ("trim", self.trim), ("head", self.head))
        )


_known: WeakKeyDictionary[LoadedModel, FastPath] = WeakKeyDictionary()


def fast_path(loaded: LoadedModel) -> FastPath:
    """Return which shortcuts are exact on the model; a second call returns what the first found."""
    with loaded.lock:
        if loaded not in _known:
            _known[loaded] = _probe(loaded)
        return _known[loaded]


def can_trim(loaded: LoadedModel) -> bool:
    """Return whether trimmed and whole runs agree at the last position."""
    return fast_path(loaded).trim


@contextmanager
def in_use(loaded: LoadedModel, path: FastPath, *, tokens: Sequence[int] | None) -> Iterator[None]:
    """Use the shortcuts inside the block, for any number of passes; with `tokens`, logits have those columns only.

    Holds the lock of the model.
    """
    with ExitStack() as stack:
        if loaded.device.type == "cpu":
            stack.enter_context(matmul_of_runs(loaded.facts.d_model))
        stack.enter_context(fused_activations(loaded))
        if path.attention:
            stack.enter_context(attention_of_runs(loaded))
        if tokens is not None and path.head:
            stack.enter_context(only_tokens(loaded, tokens))
        else:
            stack.enter_context(_dense_input(loaded))
        yield


@contextmanager
def _dense_input(loaded: LoadedModel) -> Iterator[None]:
    """Give the head its input without gaps: a slice of one position takes the slowest matrix path there is."""
    head: Any = loaded.model.get_output_embeddings()
    if head is None:
        yield
        return
    handle = head.register_forward_pre_hook(lambda _module, args: tuple(arg.contiguous() for arg in args))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def only_tokens(loaded: LoadedModel, tokens: Sequence[int]) -> Iterator[None]:
    """Let the head compute the logits of these tokens only, in this order."""
    head = cast("nn.Linear", loaded.model.get_output_embeddings())
    if type(head) is not nn.Linear:
        raise HookPointUnavailable("The head is not a plain projection.")
    weight = head.weight[list(tokens)]
    bias = None if head.bias is None else head.bias[list(tokens)]

    def project(x: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    head.forward = project  # pyright: ignore[reportAttributeAccessIssue] - it calls its input 'input'
    try:
        yield
    finally:
        del head.forward


class Beginning(NamedTuple):
    """Where runs begin, and what of them is wanted."""

    block: int
    position: int
    final: bool
    """Logits of the last position only."""
    trim: bool
    """Compute the last block for the last position only."""


def run_rows(
    loaded: LoadedModel, bases: Sequence[BaseRun], n_rows: int, path: FastPath, *, begin: Beginning
) -> Float[Tensor, "row pos logit"]:
    """Return the logits of `n_rows` runs of each prompt, inside `in_use` and while hooks do the editing."""
    cache = None
    if begin.position and path.attention:
        cache = passing_cache(len(loaded.blocks), begin.position)
    elif begin.position:
        (base,) = bases  # without the shortcut, runs of one text go together
        cache = copied_prefix(base.cache, begin.position, n_rows)
    with ExitStack() as stack:
        if begin.trim:
            stack.enter_context(only_last_position(loaded))
        if path.attention:
            last = len(loaded.blocks) - 1 if begin.trim else None
            stack.enter_context(sharing([base.cache for base in bases], begin.position, trimmed=last))
        return resumed(
            bases, n_rows, loaded, cache=cache, block=begin.block, position=begin.position, final=begin.final
        )


def _probe(loaded: LoadedModel) -> FastPath:
    """Runs of two texts, whole and from a position on, against the model's own forward passes."""
    n_vocab = cast("nn.Embedding", loaded.model.get_input_embeddings()).num_embeddings
    texts = [[(3 + 7 * i + 31 * text) % n_vocab for i in range(_LENGTH)] for text in range(2)]
    bases = base_runs(loaded, texts, [], keep_cache=True)
    plain = FastPath(attention=False, trim=False, head=False, errors={})
    errors = {
        "attention": _error(loaded, bases, plain._replace(attention=True), positions=(0, _POSITION, _LENGTH - 1)),
        "trim": _error(loaded, bases, plain, trim=True),
        "head": _error(loaded, bases, plain._replace(head=True), tokens=(5 % n_vocab, 1, 2 % n_vocab)),
    }
    limit = MAX_ERROR if loaded.dtype in (torch.float32, torch.float64) else _MAX_ERROR_HALF
    attention, trim, head = (errors[name] <= limit for name in ("attention", "trim", "head"))
    if attention and trim:
        both = _error(loaded, bases, plain._replace(attention=True), positions=(0, _POSITION), trim=True)
        errors["trim"] = max(both, errors["trim"])
        trim = errors["trim"] <= limit
    return FastPath(attention=attention, trim=trim, head=head, errors=errors)


def _error(
    loaded: LoadedModel,
    bases: Sequence[BaseRun],
    path: FastPath,
    *,
    positions: Sequence[int] = (0,),
    trim: bool = False,
    tokens: Sequence[int] | None = None,
) -> float:
    if path.attention and (not can_share(loaded) or any(base.cache is None for base in bases)):
        return float("inf")
    worst = 0.0
    try:
        with in_use(loaded, path, tokens=tokens):
            for position in positions:
                begin = Beginning(block=0, position=position, final=trim or tokens is not None, trim=trim)
                found = run_rows(loaded, bases, _N_ROWS, path, begin=begin)
                worst = max(worst, _distance(found, bases, tokens, position))
    except _FAILURES:
        return float("inf")
    return worst if worst == worst else float("inf")  # noqa: PLR0124 - a number that is not equal to itself


def _distance(found: Tensor, bases: Sequence[BaseRun], tokens: Sequence[int] | None, position: int) -> float:
    expected = torch.stack([base.logits[position:] for base in bases]).double()
    picked = expected if tokens is None else expected[..., list(tokens)]
    wanted = picked[:, -found.shape[1] :].repeat_interleave(_N_ROWS, 0)
    return float((found.double() - wanted).abs().max() / expected.abs().max().clamp(min=1e-30))
