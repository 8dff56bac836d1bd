"""The report of an intervention: every effect with its control, its sample and its side effects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Interval, Probability, Provenance
from interp_lab.contracts.doses import DosePoint
from interp_lab.contracts.hypothesis_outcome import HypothesisOutcome
from interp_lab.contracts.inspect_report import DatasetFacts, ModelFacts, ReasonCode, RunFacts
from interp_lab.contracts.intervene import EditName, EditWhere, Metric, UnitRef
from interp_lab.contracts.unit_selection import SmallestFacts, UnitScreenFacts


class Baseline(Contract):
    """The behaviour without any edit."""

    positives: FiniteFloat
    """Mean metric on positives."""
    negatives: FiniteFloat
    """Mean metric on negatives."""
    target_probability: Probability
    """Median over explore positives of the probability that the next token is a target."""


class BehaviourFacts(Contract):
    """What was measured of each run."""

    metric: Metric
    """The behaviour that is graded."""
    of: str | None = None
    """Of which later unit, or by which scorer."""
    unit: str
    """Its unit."""
    targets: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    target_tokens: Literal["given", "chosen"]
    """Given, or chosen from the model's predictions on explore prompts."""
    baseline: Baseline
    """Unedited, on explore prompts."""
    least_effect: FiniteFloat
    """Smallest effect that matters, in that unit."""
    flags: tuple[ReasonCode, ...]
    """Why the metric may be unable to move."""


class EffectFigures(Contract):
    """One edit on one part of the prompts, beside its controls."""

    part: Literal["explore", "confirm"]
    """Which part."""
    n_prompts: NonNegativeInt
    """Positives."""
    n_groups: NonNegativeInt
    """Their independent groups."""
    effect: FiniteFloat
    """Mean change of the metric, positive if more of the unit raises it."""
    effect_interval: Interval
    """Its interval."""
    control: FiniteFloat
    """Mean effect of the kind of control that goes farthest in the effect's direction, on the same prompts."""
    controls: dict[str, FiniteFloat]
    """Mean effect by kind of control; random directions with their opposites."""
    controls_as_large: Probability
    """Share of control edits with at least as large an effect, either way."""
    difference: FiniteFloat
    """Effect less control, or less the smallest effect that matters; 0, which estimates nothing, where it exceeds
    neither: the estimate is `effect`."""
    difference_interval: Interval
    """Test of both directions: holds `effect` and leaves 0 out only if that exceeds both in one direction."""
    p_value: Probability
    """Two-sided, over groups."""
    q_value: Probability
    """Benjamini-Hochberg over every effect tested on this part."""
    sign_consistency: Probability
    """Share of prompts that move the way of the mean."""
    wrong_sign: FiniteFloat
    """Mean change of the metric under the opposite edit, oriented as `effect`; a dose that acts has about the same."""
    placebo: FiniteFloat
    """Largest change under the same edit with strength zero."""
    detectable: FiniteFloat
    """Mean difference that this many groups, spread as they are, find with 80 % power."""
    kl: FiniteFloat
    """Mean divergence from the unedited prediction on positives, in nats."""


class SideEffects(Contract):
    """The same edit on negatives."""

    n_prompts: NonNegativeInt
    """Negatives."""
    shift: FiniteFloat
    """Mean size of the change of the metric."""
    shift_upper: FiniteFloat
    """Upper end of its 95 % interval."""
    bound: FiniteFloat
    """The largest shift that was stated as acceptable."""
    kl: FiniteFloat
    """Mean divergence from the unedited prediction, in nats."""
    cross_entropy: FiniteFloat
    """Mean change of the cross-entropy of the prompt's own tokens, in nats."""


class EditCard(Contract):
    """One kind of edit of one unit, at the strength that explore prompts chose."""

    edit: EditName
    """What was done."""
    where: EditWhere
    """At which tokens."""
    strength: FiniteFloat
    """Chosen on explore prompts."""
    relative_size: FiniteFloat
    """Length of the change over the length of what it was added to, at the token where that is largest; a mean over
    prompts."""
    explore: EffectFigures
    """On the prompts that chose it."""
    confirm: EffectFigures | None
    """On the others; absent if there were too few."""
    side_effects: SideEffects
    """On negatives, of the part that grades where there is one."""
    doses: tuple[DosePoint, ...]
    """All strengths, on explore prompts."""


class AssociationFigures(Contract):
    """How the unit goes with the criterion, on these prompts."""

    explore_auroc: Probability
    """As measured: above 0.5 means higher on positives."""
    confirm_auroc: Probability | None
    """On the other prompts."""
    explore_q: Probability
    """Over every coordinate of the report, or over the units named here."""
    n_tested: NonNegativeInt
    """How many that is."""


class StoppingFacts(Contract):
    """How confirming ended that was to stop once intervals were narrow enough."""

    planned: tuple[NonNegativeInt, ...]
    """Groups of positives at each planned look."""
    n_looks: NonNegativeInt
    """Looks that were made."""
    n_groups: NonNegativeInt
    """Groups at the last of them."""
    target: FiniteFloat
    """Half-width at which to stop, in the metric's unit."""
    widest: FiniteFloat
    """Largest half-width at the last look."""
    interval_level: Probability
    """Coverage of each interval by itself, so that all planned looks together have 95 %."""
    method: str
    """How that was found."""


class UnitCard(Contract):
    """One unit, or several edited together, with everything that was measured."""

    unit: str
    """Address and index, or the name given."""
    address: str
    """Where it is edited."""
    ref: UnitRef | None = None
    """The unit as a request names it; absent for units edited together."""
    members: tuple[str, ...] = ()
    """Of units edited together, their names."""
    typical: FiniteFloat | None
    """What one unit of strength is, in the unit's own values."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[ReasonCode, ...]
    """Why that grade."""
    association: AssociationFigures | None
    """Correlation, beside which the effects stand; absent for units edited together."""
    edits: tuple[EditCard, ...]
    """Every kind of edit, that with the clearest effect on explore prompts first."""
    provenance: Provenance = "measured"
    """Where the numbers come from."""


class InterveneReport(Contract):
    """The full report, published as report.json; Markdown and HTML show the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    criterion: str
    """As asked."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    model: ModelFacts
    """The model."""
    dataset: DatasetFacts
    """The prompts."""
    behaviour: BehaviourFacts
    """What was measured."""
    units: tuple[UnitCard, ...]
    """In the order asked; all together last."""
    controls: tuple[str, ...]
    """What the controls were."""
    n_runs: NonNegativeInt
    """Edited runs of the model."""
    report: str | None
    """The inspect report that the units come from."""
    stopping: StoppingFacts | None = None
    """How confirming ended, where it was to stop early; intervals and q are corrected for every planned look."""
    screen: UnitScreenFacts | None = None
    """The screen that chose the units, and how far its estimates are off."""
    smallest: SmallestFacts | None = None
    """What was left of units edited together, where the fewest were asked for."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""
    earlier_looks: dict[str, NonNegativeInt] = Field(default_factory=dict[str, int])
    """Units that runs before this one graded on the same confirm prompts with other settings, and how many did."""
    hypothesis: HypothesisOutcome | None = None
    """What was registered beforehand, and what came."""
