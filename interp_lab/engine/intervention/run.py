# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Many edited runs of each prompt: the part of the model before the first edit runs once, the rest in batches.

Rows of a batch are variants of one prompt, so nothing is padded and shapes are those of a prompt run alone. Where
edits begin late in a prompt, the keys and values of the tokens before them are shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.edits import Variant
from interp_lab.engine.intervention.batch import Batch, Layout
from interp_lab.engine.intervention.changes import Tokens
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.order import Group, groups_of
from interp_lab.engine.intervention.resume import BaseRun, base_run, entering, only_last_position, resumed_logits
from interp_lab.engine.intervention.trim import can_trim
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

CPU_TOKENS = 512
"""Tokens of one pass on a processor: larger batches leave its cache."""
ACCELERATOR_TOKENS = 16_384
_WORTH_SHARING = 4
"""Keys and values are shared if at least one in so many tokens comes before the first edit."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What all variants did to one prompt."""

    prompt: int
    base: Float[Tensor, " measure"]
    edited: Float[Tensor, "variant measure"]
    dose: Float[Tensor, " variant"]
    """Sum over tokens of what was added to the unit's value; of slices, -1 where they are taken away and 1 else."""
    size: Float[Tensor, " variant"]
    """Length of the change over the length of what it was added to, at the token where that is largest."""


class Runner:
    """Variants prepared for one model; call it prompt by prompt."""

    def __init__(
        self,
        loaded: LoadedModel,
        variants: Sequence[Variant],
        behaviour: Behaviour,
        *,
        token_budget: int | None = None,
    ) -> None:
        """Check the variants against the model and lay them out.

        Raises:
            ImpossibleEdit: An address cannot be written to, or edits cannot be combined.
            HookPointUnavailable, LayerOutOfRange: The model does not have a place.
        """
        self._loaded = loaded
        self._variants = tuple(variants)
        self._behaviour = behaviour
        default = CPU_TOKENS if loaded.device.type == "cpu" else ACCELERATOR_TOKENS
        self._budget = token_budget or default
        self._layouts = [Layout.of(loaded, variants, group) for group in groups_of(loaded, self._variants)]

    @property
    def n_variants(self) -> int:
        """Edited runs per prompt."""
        return len(self._variants)

    @property
    def _groups(self) -> list[Group]:
        return [layout.group for layout in self._layouts]

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """Everything that is read of an unedited run."""
        edits = [edit for variant in self._variants for edit in variant.edits]
        read = [address for edit in edits for address in (*edit.target.reads, edit.target.writes)]
        starts = [entering(group.block, len(self._loaded.blocks)) for group in self._groups if group.block]
        return tuple(dict.fromkeys([*read, *starts]))

    def __call__(self, prompt: TokenizedPrompt, number: int, span: Sequence[bool] = ()) -> Outcome:
        """Return what the variants do to a prompt; `number` is what goals are asked for, `span` marks its tokens."""
        late = any(group.reach != "all" for group in self._groups)
        base = base_run(self._loaded, prompt.ids, self.addresses, keep_cache=late)
        tokens = self._tokens(prompt, number, span)
        shape = (self.n_variants, len(self._behaviour.names))
        edited = torch.zeros(shape, dtype=torch.float64)
        dose, size = torch.zeros(self.n_variants), torch.zeros(self.n_variants)
        for layout in self._layouts:
            batch = layout.begin(base, tokens)
            members = torch.tensor(layout.group.members)
            dose[members], size[members] = batch.dose.cpu(), batch.size.cpu()
            for rows, logits in self._passes(base, batch):
                edited[members[rows.start : rows.stop]] = self._behaviour.read(logits, base.logits, base.ids).cpu()
        unedited = self._behaviour.read(base.logits[None], base.logits, base.ids)[0]
        return Outcome(number, unedited.cpu(), edited, dose, size)

    def _tokens(self, prompt: TokenizedPrompt, number: int, span: Sequence[bool]) -> Tokens:
        device = self._loaded.device
        text = torch.tensor([not special for special in prompt.special], device=device)
        marked = torch.tensor(list(span) or [False] * len(prompt), device=device)
        return Tokens(number, text, marked)

    def _passes(self, base: BaseRun, batch: Batch) -> Iterator[tuple[range, Tensor]]:
        n_pos, block = len(base.ids), batch.layout.group.block
        begin = self._begin(base, batch)
        final = not self._behaviour.cross_entropy
        n_rows = max(1, min(self._budget // (n_pos - begin), 4 * self._budget // n_pos))
        for start in range(0, batch.n_rows, n_rows):
            rows = range(start, min(start + n_rows, batch.n_rows))
            with ExitStack() as stack:
                stack.enter_context(self._loaded.lock)
                if final and n_pos - begin > 1 and self._last_block_is_whole(batch):
                    stack.enter_context(only_last_position(self._loaded))
                stack.enter_context(batch.applied(rows, begin))
                yield rows, resumed_logits(self._loaded, base, len(rows), block=block, position=begin, final=final)

    def _begin(self, base: BaseRun, batch: Batch) -> int:
        if base.cache is None or batch.layout.group.reach == "all":
            return 0
        first = batch.first_position
        return first if first * _WORTH_SHARING >= len(base.ids) else 0

    def _last_block_is_whole(self, batch: Batch) -> bool:
        """Whether the last block runs, unedited, so that only its last position matters."""
        last = len(self._loaded.blocks) - 1
        return batch.layout.group.block <= last and batch.layout.deepest < last and can_trim(self._loaded)
