# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Many edited runs of each prompt: the part of the model before the first edit runs once, the rest in batches.

Rows of a batch are variants of one prompt, or of several of one length, so nothing is padded. Where edits begin late in
a prompt, the keys and values of the tokens before them are shared.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.edits import Variant
from interp_lab.engine.intervention.batch import Batch, Layout, Segment, applied
from interp_lab.engine.intervention.changes import Tokens
from interp_lab.engine.intervention.downstream import check_later, tapped, until_there, with_before
from interp_lab.engine.intervention.fast import Beginning, fast_path, in_use, run_rows
from interp_lab.engine.intervention.measures import Measures
from interp_lab.engine.intervention.order import Group, groups_of
from interp_lab.engine.intervention.resume import BaseRun, base_runs, entering
from interp_lab.engine.pass_sizes import edited_tokens
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address

CPU_TOKENS = 1024
"""Tokens of one unedited pass on a processor."""
ACCELERATOR_TOKENS = 16_384
ROUNDING = 1e-5
"""Relative difference up to which a run that changes nothing is the unedited run, computed in another shape."""
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


@dataclass(frozen=True, eq=False)
class Subject:
    """A prompt to run: `number` is what goals are asked for, `span` marks its tokens."""

    prompt: TokenizedPrompt
    number: int
    span: Sequence[bool] = ()


class Runner:
    """Variants prepared for one model; call it with a prompt, or let it take many."""

    def __init__(
        self,
        loaded: LoadedModel,
        variants: Sequence[Variant],
        behaviour: Measures,
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
        self._budget = token_budget or _tokens_of_pass(loaded)
        if behaviour.downstream is not None:
            check_later(behaviour.downstream, self._variants)
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
        later = self._behaviour.downstream
        read += [] if later is None else [later.address]
        starts = [entering(group.block, len(self._loaded.blocks)) for group in self._groups if group.block]
        return tuple(dict.fromkeys([*read, *starts]))

    def __call__(self, prompt: TokenizedPrompt, number: int, span: Sequence[bool] = ()) -> Outcome:
        """Return what the variants do to a prompt; `number` is what goals are asked for, `span` marks its tokens."""
        return next(self.many([Subject(prompt, number, span)]))

    def many(
        self, subjects: Sequence[Subject], *, known: Container[int] = (), share: tuple[int, int] = (0, 1)
    ) -> Iterator[Outcome]:
        """Yield what the variants do to each prompt, the shortest prompts first; the order is the same every time.

        Prompts whose number is known are left out. Those that share passes with one that is not run once more, so that
        the numbers are the same to the last bit whatever is known. Of a `share` (which, of how many) every so-manyth
        group that shares passes is run, so that processes with different shares together run each group once.
        """
        which, n_shares = share
        n_groups = 0
        by_length = sorted(subjects, key=lambda subject: len(subject.prompt))
        for length, same in groupby(by_length, key=lambda subject: len(subject.prompt)):
            alike, n = list(same), max(1, self._budget // length)
            for start in range(0, len(alike), n):
                group = alike[start : start + n]
                n_groups += 1
                own = n_groups % n_shares == which
                if own and any(subject.number not in known for subject in group):
                    yield from (one for one in self._together(group) if one.prompt not in known)

    def _together(self, subjects: Sequence[Subject]) -> list[Outcome]:
        """Prompts of one length, few enough for one unedited pass."""
        loaded, behaviour = self._loaded, self._behaviour
        path = fast_path(loaded)
        late = any(group.reach != "all" for group in self._groups)
        with ExitStack() as stack:
            stack.enter_context(in_use(loaded, path._replace(attention=False), tokens=behaviour.tokens))
            texts = [subject.prompt.ids for subject in subjects]
            final = not behaviour.cross_entropy
            bases = base_runs(loaded, texts, self.addresses, keep_cache=late, final=final)
        tables = [
            _Table.of(base, behaviour, self.n_variants, tokens=self._tokens(subject))
            for base, subject in zip(bases, subjects, strict=True)
        ]
        with in_use(loaded, path, tokens=behaviour.tokens):
            for layout in self._layouts:
                batches = [
                    layout.begin(base, self._tokens(subject)) for base, subject in zip(bases, subjects, strict=True)
                ]
                for table, batch in zip(tables, batches, strict=True):
                    table.note(batch)
                for segments in self._segments(batches):
                    self._pass(segments, {id(batch): table for batch, table in zip(batches, tables, strict=True)})
        return [table.outcome(subject.number) for table, subject in zip(tables, subjects, strict=True)]

    def _tokens(self, subject: Subject) -> Tokens:
        device, prompt = self._loaded.device, subject.prompt
        text = torch.tensor([not special for special in prompt.special], device=device)
        marked = torch.tensor(list(subject.span) or [False] * len(prompt), device=device)
        return Tokens(subject.number, text, marked)

    def _segments(self, batches: Sequence[Batch]) -> Iterator[list[Segment]]:
        """What goes through the model in one pass: all variants of a few prompts, or some variants of one."""
        n_pos, n_rows = len(batches[0].base.ids), batches[0].n_rows
        begins = [self._begin(batch) for batch in batches]
        for begin in sorted(set(begins)):
            own = [batch for batch, start in zip(batches, begins, strict=True) if start == begin]
            most = max(1, self._budget // (n_pos - begin))
            n_together = most // n_rows if fast_path(self._loaded).attention or not begin else 1
            if n_together > 1:
                for place in range(0, len(own), n_together):
                    yield [Segment(batch, range(n_rows), begin) for batch in own[place : place + n_together]]
                continue
            for batch in own:
                for start in range(0, n_rows, most):
                    yield [Segment(batch, range(start, min(start + most, n_rows)), begin)]

    def _pass(self, segments: Sequence[Segment], tables: dict[int, _Table]) -> None:
        loaded, first = self._loaded, segments[0]
        n_rows, layout = len(first.rows), first.batch.layout
        path, final, later = fast_path(loaded), not self._behaviour.cross_entropy, self._behaviour.downstream
        trim = (
            final
            and path.trim
            and later is None
            and len(first.batch.base.ids) - first.begin > 1
            and self._last_block_is_whole(layout)
        )
        place = None if later is None else later.address
        with applied(segments), tapped(loaded, place, ends=not self._behaviour.logits) as seen:
            begin = Beginning(layout.group.block, first.begin, final=final, trim=trim)
            bases = [segment.batch.base for segment in segments]
            logits = until_there(lambda: run_rows(loaded, bases, n_rows, path, begin=begin))
        values = None
        if later is not None:
            x = seen[0] if seen[0].ndim == 3 else seen[0].unflatten(0, (n_rows * len(segments), -1))
            values = later.values(x)
        for number, segment in enumerate(segments):
            own = slice(number * n_rows, (number + 1) * n_rows)
            table = tables[id(segment.batch)]
            table.take(segment, None if logits is None else logits[own], None if values is None else values[own])

    def _begin(self, batch: Batch) -> int:
        if batch.base.cache is None or batch.layout.group.reach == "all":
            return 0
        first = batch.first_position
        return first if first * _WORTH_SHARING >= len(batch.base.ids) else 0

    def _last_block_is_whole(self, layout: Layout) -> bool:
        """Whether the last block runs, unedited, so that only its last position matters."""
        last = len(self._loaded.blocks) - 1
        return layout.group.block <= last and layout.deepest < last


def _tokens_of_pass(loaded: LoadedModel) -> int:
    if loaded.device.type != "cpu":
        return ACCELERATOR_TOKENS
    return edited_tokens(loaded.facts.d_model)


@dataclass(frozen=True, eq=False)
class _Table:
    """The results of one prompt as they come in."""

    base: BaseRun
    behaviour: Measures
    unedited: Float[Tensor, " measure"]
    edited: Float[Tensor, "variant measure"]
    dose: Float[Tensor, " variant"]
    size: Float[Tensor, " variant"]
    tokens: Tokens
    usual: Float[Tensor, " pos"] | None
    """Values of the later unit in the unedited run."""

    @classmethod
    def of(cls, base: BaseRun, behaviour: Measures, n_variants: int, *, tokens: Tokens) -> _Table:
        later = behaviour.downstream
        usual = None if later is None else later.values(base.seen[later.address].unsqueeze(0))[0]
        empty = torch.zeros((n_variants + 1, len(behaviour.names)), dtype=torch.float64)
        table = cls(
            base, behaviour, empty[0], empty[1:], torch.zeros(n_variants), torch.zeros(n_variants), tokens, usual
        )
        unedited = table.read(base.logits[None], None if usual is None else usual.unsqueeze(0))[0]
        return replace(table, unedited=unedited)

    def read(self, logits: Tensor | None, values: Tensor | None) -> Float[Tensor, "row measure"]:
        """Return the measures of some rows."""
        columns: list[Tensor] = []
        if logits is not None and self.behaviour.logits:
            columns.append(self.behaviour.read(logits, self.base.logits, self.base.ids))
        if values is not None and self.usual is not None and self.behaviour.downstream is not None:
            whole = with_before(values, self.usual)
            pooled = self.behaviour.downstream.pooled(whole, self.tokens.text, self.tokens.span)
            columns.append(pooled.double().unsqueeze(1))
        return torch.cat(columns, dim=1).cpu()

    def note(self, batch: Batch) -> None:
        members = torch.tensor(batch.layout.group.members)
        self.dose[members], self.size[members] = batch.dose.cpu(), batch.size.cpu()

    def take(self, segment: Segment, logits: Tensor | None, values: Tensor | None) -> None:
        """Keep the measures of a pass; a run that changes nothing is the unedited one, up to rounding."""
        found = self.read(logits, values)
        same = segment.batch.unchanged[segment.rows.start : segment.rows.stop, None].cpu()
        close = (found - self.unedited).abs() <= ROUNDING * self.unedited.abs().clamp(min=1.0)
        members = list(segment.batch.layout.group.members[segment.rows.start : segment.rows.stop])
        self.edited[members] = torch.where(same & close, self.unedited, found)

    def outcome(self, number: int) -> Outcome:
        return Outcome(number, self.unedited, self.edited, self.dose, self.size)
