# pyright: standard
"""The fewest units whose joint effect lasts: explore prompts leave out, one by one, what the effect does not need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.unit_selection import SmallestFacts
from interp_lab.engine.edits import Variant
from interp_lab.jobs.run import Run
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.workflows.intervening.measure import Bench
from interp_lab.workflows.intervening.plan import strengths_of
from interp_lab.workflows.intervening.trials import Maker, Trial
from interp_lab.workflows.intervening.units import Subject

MOST = 0.5
"""Share of the effect that the others must keep for a unit to be left out."""


def smallest(bench: Bench, maker: Maker, run: Run) -> tuple[tuple[Subject, ...], SmallestFacts | None]:
    """Return the units that are left, in the order asked, and how that came about; all where the fewest are not asked.

    Again and again the unit without which most is left is left out, as long as that is more than half of what there is:
    so of those that are left none can be missed. (Half of what all do would stop too early where many bystanders do
    something together; the price is that effects which add up dwindle step by step, and `told` says so.) Only explore
    positives are read, so that what is left can be graded on confirm prompts. Where all together have no effect, all
    are returned.
    """
    if not maker.request.smallest:
        return maker.subjects, None
    search = _Search(bench, maker, run)
    kept = tuple(range(len(maker.subjects)))
    (whole,) = search.effects([kept])
    moves = whole.low > 0 or whole.high < 0
    last = whole
    while moves and len(kept) > 1:
        rests = [tuple(other for other in kept if other != place) for place in kept]
        found = search.effects(rests)
        best = max(range(len(rests)), key=lambda i: found[i].mean / last.mean)
        if found[best].mean / last.mean <= MOST:
            break
        kept, last = rests[best], found[best]
    subjects = tuple(maker.subjects[place] for place in kept)
    facts = SmallestFacts(
        asked=tuple(subject.key for subject in maker.subjects),
        kept=tuple(subject.key for subject in subjects),
        moves=moves,
        all_together=float(f"{whole.mean:.5g}"),
        kept_together=float(f"{last.mean:.5g}"),
        n_sets=search.n_sets,
    )
    return subjects, facts


def told(facts: SmallestFacts | None) -> tuple[str, ...]:
    """Return what a reader of the report must know of it."""
    if facts is None:
        return ()
    n, whole, kept = len(facts.asked), facts.all_together, facts.kept_together
    if not facts.moves:
        return (f"All {n} units together had no effect on explore prompts ({whole:.3g}), so none was left out.",)
    return (
        f"Explore prompts left out {n - len(facts.kept)} of {n} units: all together had an effect of {whole:.3g}, "
        f"those that are left {kept:.3g}, and without any one of them at most half of that remains. Left are "
        f"{', '.join(facts.kept)[:400]}.{_spread(facts)}",
    )


def _spread(facts: SmallestFacts) -> str:
    """Say where most of the effect went with units that were left out: each took less than half of what there was."""
    if abs(facts.kept_together) > MOST * abs(facts.all_together):
        return ""
    return (
        f" That is {facts.kept_together / facts.all_together:.0%} of what all did: the rest went with the units that "
        "were left out, a little with each, so those that are left are a part of what acts, not all of it."
    )


@dataclass(eq=False)
class _Search:
    """Sets of units, edited together on explore positives."""

    bench: Bench
    maker: Maker
    run: Run
    n_sets: int = 0

    def effects(self, sets: Sequence[tuple[int, ...]]) -> list[MeanEstimate]:
        """Return the effect of each set, positive if more of it raises the metric."""
        rows = self.bench.rows("explore", positive=True)
        trials = [self._trial(places) for places in sets]
        what = f"leaving out {len(self.maker.subjects) - len(sets[0])}"
        found = self.bench.run(trials, rows, self.run, cross_entropy=False, what=what)
        groups = self.bench.design.sample.groups[rows]
        self.n_sets += len(sets)
        return [clustered_mean(found.oriented(trial, self.bench.metric), groups) for trial in trials]

    def _trial(self, places: tuple[int, ...]) -> Trial:
        request: InterveneRequest = self.maker.request
        (name,) = request.edits
        (strength,) = strengths_of(name, request)
        own = [self.maker.subjects[place] for place in places]
        edits = tuple(self.maker.edit(subject, subject.target, name, strength) for subject in own)
        return Trial(places, name, strength, "effect", Variant(f"together {places}", edits))
