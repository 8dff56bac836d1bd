# pyright: standard
"""Effects of all trials: at every strength on explore prompts, on confirm prompts at the one that explore chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.intervene import EditName
from interp_lab.contracts.intervene_report import StoppingFacts
from interp_lab.engine.intervention.downstream import DOWNSTREAM, Downstream
from interp_lab.engine.intervention.measures import CROSS_ENTROPY, KL, LOGIT_DIFFERENCE, Behaviour
from interp_lab.engine.intervention.run import Outcome, Runner, Subject
from interp_lab.jobs.run import Run
from interp_lab.methods.causal_effect import Contrast, contrast
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.behaviour import Chosen
from interp_lab.workflows.intervening.kept import Kept
from interp_lab.workflows.intervening.stopping import LEVEL, Looks, looks_at
from interp_lab.workflows.intervening.trials import CONTROL_ROLES, Trial
from interp_lab.workflows.intervening.writing import SCORE, Writer

Floats = NDArray[np.float64]
Key = tuple[tuple[int, ...], EditName]
"""Subjects and edit."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Some trials on some prompts."""

    trials: tuple[Trial, ...]
    prompts: tuple[int, ...]
    base: Floats
    """`(n_prompts, n_measures)`."""
    change: Floats
    """Edited less unedited `(n_prompts, n_trials, n_measures)`."""
    sign: Floats
    """Whether the edit raised the unit's value or lowered it `(n_prompts, n_trials)`."""
    size: Floats
    """Relative length of the edit `(n_prompts, n_trials)`."""
    names: tuple[str, ...]
    """The measures."""

    @classmethod
    def empty(cls, trials: Sequence[Trial], rows: Sequence[int], names: tuple[str, ...]) -> Runs:
        """Return room for these trials; what is not measured stays NaN and must not be read."""
        n = (len(rows), len(trials))
        nothing = np.full((*n, len(names)), np.nan)
        return cls(tuple(trials), tuple(rows), nothing[:, 0].copy(), nothing, np.zeros(n), np.zeros(n), names)

    def take(self, outcome: Outcome, places: Sequence[int], names: Sequence[str]) -> None:
        """Keep what some of the trials did to one prompt; `names` are the measures of the outcome."""
        row, base, edited = self.prompts.index(outcome.prompt), outcome.base.numpy(), outcome.edited.numpy()
        columns = [self.names.index(name) for name in names]
        self.base[row, columns] = base
        self.change[row, np.asarray(places)[:, None], columns] = edited - base
        self.sign[row, places] = np.sign(outcome.dose.numpy())
        self.size[row, places] = outcome.size.numpy()

    def oriented(self, trial: Trial, metric: str) -> Floats:
        """Return the change per prompt, positive if more of the unit raises the metric; a divergence has no sign."""
        t = self.trials.index(trial)
        change = self.change[:, t, self.names.index(metric)]
        return change if metric == KL else change * self.sign[:, t]

    def plain(self, trial: Trial, metric: str) -> Floats:
        """Return the change per prompt as it is."""
        return self.change[:, self.trials.index(trial), self.names.index(metric)]


@dataclass(frozen=True, eq=False)
class Part:
    """One edit at one strength on one part: positives beside controls, and negatives."""

    trial: Trial
    contrast: Contrast
    q: float
    controls: dict[str, float]
    as_large: float
    """Share of control edits with at least as large an effect, either way."""
    wrong_sign: float
    placebo: float
    kl: float
    relative_size: float
    shift: MeanEstimate
    """Size of the metric's change on negatives."""
    shift_kl: float
    shift_cross_entropy: float


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that was measured."""

    doses: dict[Key, tuple[Part, ...]]
    """Every strength on explore prompts."""
    best: dict[Key, Part]
    """The strength that explore prompts chose."""
    confirm: dict[Key, Part]
    """The same trials on confirm prompts."""
    largest_change: float
    baseline: tuple[float, float]
    """Metric on explore positives and negatives."""
    floor: float
    """Smallest effect that matters, in the metric's unit."""
    n_runs: int
    records: tuple[Runs, ...]
    """Positives of each part, for the record of every run."""
    stopping: StoppingFacts | None = None
    """How confirming ended, where it was to stop early."""


class ShareDone(Exception):
    """The part of the work that other processes wait for is done."""


class Share(NamedTuple):
    """One process's part of the prompts: every so-manyth group of those that share passes."""

    place: int
    n_shards: int
    last: Literal["explore", "confirm"]
    """Half of the prompts after which nothing more is asked of it."""

    def end(self, half: str) -> None:
        """Return if there is more to do after that half.

        Raises:
            ShareDone: There is not.
        """
        if half == self.last:
            raise ShareDone


@dataclass(frozen=True, eq=False)
class Bench:
    """What runs trials: the model, the prompts, their halves and the behaviour."""

    inputs: Inputs
    design: Design
    chosen: Chosen
    metric: str
    spans: tuple[tuple[bool, ...], ...]
    side_effect_share: float
    least_effect: float
    """Smallest effect that matters, as a share of how far prompts lie apart unedited."""
    question: Mapping[str, Any]
    """The request, without how it is waited for: outcomes of another one are never taken for its own."""
    seed: int = 0
    """Of the order in which confirm groups are looked at."""
    precise_to: float | None = None
    """Half-width at which confirming stops, as a share of how far prompts lie apart; None looks at all at once."""
    downstream: Downstream | None = None
    """The later unit that is the behaviour, if one is."""
    writer: Writer | None = None
    """What writes and scores, if that is the behaviour."""
    share: Share | None = None
    """The prompts that this process runs, if others run the rest."""

    def rows(self, part: str, *, positive: bool) -> list[int]:
        """Return the prompts of one part and label."""
        labels = self.design.sample.labels
        return [i for i in self.design.split.rows(part) if bool(labels[i]) is positive]  # pyright: ignore[reportArgumentType]

    def run(self, trials: Sequence[Trial], rows: Sequence[int], run: Run, *, cross_entropy: bool, what: str) -> Runs:
        """Run the trials on these prompts."""
        whole = self.chosen.behaviour(cross_entropy=cross_entropy or self.metric == CROSS_ENTROPY)
        whole = replace(whole, downstream=self.downstream)
        names = whole.names if self.writer is None else (*whole.names, SCORE)
        found = Runs.empty(trials, rows, names)
        subjects = [Subject(self.inputs.tokens[row], row, self.spans[row]) for row in rows]
        share = (0, 1) if self.share is None else (self.share.place, self.share.n_shards)
        for behaviour, places in self._parts_of(trials, whole):
            runner = Runner(self.inputs.loaded, [trials[i].variant for i in places], behaviour)
            kept = self._kept(run, what, [trials[i] for i in places], behaviour)
            known = {outcome.prompt: outcome for outcome in kept.read()}
            for outcome in known.values():
                found.take(outcome, places, behaviour.names)
            for done, outcome in enumerate(kept.add_all(runner.many(subjects, known=known, share=share))):
                run.progress(len(known) + done, len(rows), what, "prompts")
                found.take(outcome, places, behaviour.names)
        if self.writer is not None:
            kept = self._kept(run, f"{what} written", trials, whole)
            told = f"writing after {what}"
            base, change = self.writer.changes(
                [trial.variant for trial in trials],
                subjects,
                kept,
                lambda done: run.progress(done, len(trials), told, "edits"),
            )
            found.base[:, -1], found.change[:, :, -1] = base, change
        return found

    def _parts_of(self, trials: Sequence[Trial], whole: Behaviour) -> list[tuple[Behaviour, list[int]]]:
        """Of controls nothing but the metric is read: the logits of a few words are all they need, or a later unit."""
        lean = {
            LOGIT_DIFFERENCE: replace(whole, distribution=False),
            SCORE: replace(whole, distribution=False),
            DOWNSTREAM: replace(whole, logits=False),
        }.get(self.metric)
        if lean is None or whole.cross_entropy:
            return [(whole, list(range(len(trials))))]
        parts = [[i for i, t in enumerate(trials) if (t.role == "effect") is own] for own in (True, False)]
        return [(behaviour, places) for behaviour, places in zip((whole, lean), parts, strict=True) if places]

    def _kept(self, run: Run, what: str, trials: Sequence[Trial], behaviour: Behaviour) -> Kept:
        """Outcomes of these trials that an earlier attempt of the same job has left."""
        question = {
            "request": dict(self.question),
            "code": run.code_version,
            "inputs": self.inputs.provenance(),
            "what": what,
            "words": [list(behaviour.targets), list(behaviour.alternatives), list(behaviour.names)],
            "trials": [[list(t.subjects), t.edit, t.strength, t.role, t.variant.key] for t in trials],
        }
        lean = not (behaviour.distribution and behaviour.logits)
        name = f"{what} {'controls' if lean else 'effects'}".replace(" ", "-")
        return Kept.of(run.checkpoint_dir / f"{name}.jsonl", question)


def measure(bench: Bench, trials: Sequence[Trial], run: Run) -> Measured:
    """Return the effects: explore prompts choose the strength of every edit, confirm prompts measure it again."""
    effects = [trial for trial in trials if trial.role == "effect"]
    on = bench.run(trials, bench.rows("explore", positive=True), run, cross_entropy=False, what="explore positives")
    off = bench.run(effects, bench.rows("explore", positive=False), run, cross_entropy=True, what="explore negatives")
    if bench.share is not None:
        bench.share.end("explore")
    column = on.names.index(bench.metric)
    baseline = (float(on.base[:, column].mean()), float(off.base[:, column].mean()))
    # Where the sides hardly differ, the metric's own variation is what an effect has to be seen against.
    spread = float(np.concatenate([on.base[:, column], off.base[:, column]]).std())
    apart = max(abs(baseline[0] - baseline[1]), spread)
    floor = bench.least_effect * apart
    doses = _by_key(_parts(bench, on, off, floor))
    best = {key: _best(parts, bench.side_effect_share) for key, parts in doses.items()}
    confirmed = _confirm(bench, trials, [part.trial for part in best.values()], scale=(floor, apart), run=run)
    return Measured(
        doses=doses,
        best=best,
        confirm={(part.trial.subjects, part.trial.edit): part for part in confirmed.parts},
        largest_change=float(np.abs(on.change[:, :, column]).max()),
        baseline=baseline,
        floor=floor,
        n_runs=sum(runs.change.shape[0] * runs.change.shape[1] for runs in (on, off, *confirmed.runs)),
        records=(on, *confirmed.runs[:1]),
        stopping=confirmed.stopping,
    )


class _Confirmed(NamedTuple):
    parts: list[Part]
    runs: list[Runs]
    stopping: StoppingFacts | None = None


def _confirm(
    bench: Bench, trials: Sequence[Trial], chosen: Sequence[Trial], *, scale: tuple[float, float], run: Run
) -> _Confirmed:
    """Measure the chosen strengths on prompts that had no part in choosing them, if there are any.

    `scale` has the smallest effect that matters, and what it is a share of.
    """
    positives, negatives = bench.rows("confirm", positive=True), bench.rows("confirm", positive=False)
    if not positives or not negatives:
        return _Confirmed([], [])
    same = {(trial.subjects, trial.edit, trial.strength) for trial in chosen}
    kept = [trial for trial in trials if (trial.subjects, trial.edit, trial.strength) in same]
    effects = [trial for trial in kept if trial.role == "effect"]
    groups, floor = bench.design.sample.groups, scale[0]
    if bench.precise_to is None or len(set(groups[positives].tolist())) < 2:
        on = bench.run(kept, positives, run, cross_entropy=False, what="confirm positives")
        off = bench.run(effects, negatives, run, cross_entropy=True, what="confirm negatives")
        if bench.share is not None:
            bench.share.end("confirm")
        return _Confirmed(list(_parts(bench, on, off, floor)), [on, off])
    looks = looks_at(positives, negatives, groups.tolist(), seed=bench.seed, target=bench.precise_to * scale[1])
    seen: list[tuple[Runs, Runs]] = []
    while True:
        number = len(seen)
        rows = looks.positives[number], looks.negatives[number]
        new = bench.run(kept, rows[0], run, cross_entropy=False, what=f"confirm positives look {number + 1}")
        side = bench.run(effects, rows[1], run, cross_entropy=True, what=f"confirm negatives look {number + 1}")
        seen.append((new, side))
        on, off = joined([one for one, _ in seen]), joined([other for _, other in seen])
        parts = list(_parts(bench, on, off, floor, looks=looks))
        widest = max((part.contrast.effect.high - part.contrast.effect.low) / 2 for part in parts)
        if widest <= looks.target or len(seen) == len(looks.positives):
            return _Confirmed(parts, [on, off], looks.facts(len(seen), widest))


def joined(parts: Sequence[Runs]) -> Runs:
    """Return the runs of the same trials on several sets of prompts as one."""
    rows = tuple(row for part in parts for row in part.prompts)
    base, change, sign, size = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("base", "change", "sign", "size")
    )
    return Runs(parts[0].trials, rows, base, change, sign, size, parts[0].names)


def _parts(bench: Bench, on: Runs, off: Runs, floor: float, *, looks: Looks | None = None) -> Iterator[Part]:
    groups = bench.design.sample.groups
    effects = [trial for trial in on.trials if trial.role == "effect"]
    level = LEVEL if looks is None else looks.level
    found = [_compare(bench, on, trial, floor, level=level) for trial in effects]
    p = [each.contrast.p if looks is None else looks.sequence.adjusted(each.contrast.p) for each in found]
    q = benjamini_hochberg(p)
    for place, (trial, (one, controls, as_large)) in enumerate(zip(effects, found, strict=True)):
        shift = np.abs(off.plain(trial, bench.metric))
        yield Part(
            trial=trial,
            contrast=one,
            q=float(q[place]),
            controls=controls,
            as_large=as_large,
            wrong_sign=float(np.mean([on.oriented(t, bench.metric).mean() for t in _like(on, trial, "wrong_sign")])),
            placebo=max(float(np.abs(on.plain(t, bench.metric)).max()) for t in _like(on, trial, "placebo")),
            kl=float(on.plain(trial, KL).mean()),
            relative_size=float(on.size[:, on.trials.index(trial)].mean()),
            shift=clustered_mean(shift, groups[list(off.prompts)], level=level),
            shift_kl=float(off.plain(trial, KL).mean()),
            shift_cross_entropy=float(off.plain(trial, CROSS_ENTROPY).mean()),
        )


class _Compared(NamedTuple):
    contrast: Contrast
    controls: dict[str, float]
    as_large: float


def _compare(bench: Bench, on: Runs, trial: Trial, floor: float, *, level: float) -> _Compared:
    kinds = {role: [on.oriented(t, bench.metric) for t in _like(on, trial, role)] for role in CONTROL_ROLES}
    means = {role: np.mean(rows, axis=0) for role, rows in kinds.items() if rows}
    stacked = np.stack(list(means.values())) if means else np.zeros((0, len(on.prompts)))
    groups = bench.design.sample.groups[list(on.prompts)]
    one = contrast(on.oriented(trial, bench.metric), stacked, groups, floor=floor, level=level)
    sizes = [abs(float(rows.mean())) for found in kinds.values() for rows in found]
    as_large = float(np.mean([size >= abs(one.effect.mean) for size in sizes])) if sizes else 0.0
    return _Compared(one, {role: float(rows.mean()) for role, rows in means.items()}, as_large)


def _like(runs: Runs, trial: Trial, role: str) -> list[Trial]:
    same = (trial.subjects, trial.edit, trial.strength)
    return [t for t in runs.trials if t.role == role and (t.subjects, t.edit, t.strength) == same]


def _by_key(parts: Iterator[Part]) -> dict[Key, tuple[Part, ...]]:
    found: dict[Key, tuple[Part, ...]] = {}
    for part in parts:
        key = (part.trial.subjects, part.trial.edit)
        found[key] = (*found.get(key, ()), part)
    return found


def _best(parts: Sequence[Part], share: float) -> Part:
    """The strength with the largest effect beyond its control among those whose side effects are within the bound."""

    def order(part: Part) -> tuple[bool, float, float]:
        within = part.shift.high <= share * abs(part.contrast.effect.mean)
        return within, abs(part.contrast.difference), abs(part.contrast.effect.mean)

    return max(parts, key=order)


def spans_of(inputs: Inputs) -> tuple[tuple[bool, ...], ...]:
    """Return which tokens of each prompt lie in one of its labelled spans."""
    found: list[tuple[bool, ...]] = []
    for prompt, tokens in zip(inputs.prompts.prompts, inputs.tokens, strict=True):
        covered = [tokens.covers((span.start, span.end)) for span in prompt.spans] if tokens.offsets else []
        found.append(tuple(map(any, zip(*covered, strict=True))) if covered else _nowhere(tokens))
    return tuple(found)


def _nowhere(tokens: TokenizedPrompt) -> tuple[bool, ...]:
    return (False,) * len(tokens)
