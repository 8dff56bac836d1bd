# pyright: standard
"""Assembles the report of an intervention, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.contracts.intervene import REPORT_KIND, InterveneRequest, InterveneResult, Metric, UnitEffect
from interp_lab.contracts.intervene_report import Baseline, BehaviourFacts, InterveneReport, UnitCard
from interp_lab.engine.intervention.fast import fast_path
from interp_lab.evidence.reasons import Reason
from interp_lab.jobs.run import Run
from interp_lab.reports.csv_table import intervention_csv
from interp_lab.reports.intervention import render_intervention, render_intervention_markdown
from interp_lab.workflows.inspection.inputs import Inputs, model_facts
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.behaviour import Chosen, words
from interp_lab.workflows.intervening.measure import Measured
from interp_lab.workflows.memory.confirming import registered_words
from interp_lab.workflows.memory.units import called
from interp_lab.workflows.report_facts import dataset_facts, run_facts

Suggest = Callable[[InterveneReport], tuple[NextAction, ...]]
_IN_FAVOUR = (Reason.CONFIRMED, Reason.EFFECT_CONFIRMED)
CROWDED = 0.5
"""Share of control edits as large as the effect from which a reader is warned."""
_UNITS: Mapping[Metric, str] = {
    "logit_difference": "logits",
    "log_probability": "nats",
    "kl": "nats",
    "cross_entropy": "nats per token",
    "downstream": "the unit's own values",
    "score": "points of the scorer",
}
_CALLED: Mapping[Metric, str] = {"kl": "divergence from the unedited prediction", "cross_entropy": "cross-entropy"}


def assemble(
    request: InterveneRequest,
    inputs: Inputs,
    design: Design,
    *,
    chosen: Chosen,
    measured: Measured,
    flags: tuple[ReasonCode, ...],
    cards: tuple[UnitCard, ...],
    run: Run,
) -> InterveneReport:
    """Return the report, without next actions."""
    kinds = dict.fromkeys(name for card in cards for edit in card.edits for name in edit.explore.controls)
    return InterveneReport(
        criterion=request.criterion,
        headline=headline(request, cards, flags),
        model=model_facts(inputs.loaded),
        dataset=dataset_facts(inputs, design),
        behaviour=BehaviourFacts(
            metric=request.metric,
            of=measured_of(request),
            unit=_UNITS[request.metric],
            targets=words(inputs.loaded, chosen.targets),
            alternatives=words(inputs.loaded, chosen.alternatives),
            target_tokens=chosen.how,
            baseline=Baseline(
                positives=measured.baseline[0],
                negatives=measured.baseline[1],
                target_probability=min(1.0, chosen.target_probability),
            ),
            least_effect=measured.floor,
            flags=flags,
        ),
        units=cards,
        controls=(*(f"{request.n_controls} {name.replace('_', ' ')}" for name in kinds), "wrong sign", "placebo"),
        n_runs=measured.n_runs,
        report=request.report,
        stopping=measured.stopping,
        caveats=caveats(request, design, cards),
        agent_next_actions=(),
        run=run_facts(
            run, seed=request.seed, checks=inputs.checked | {"edited runs": fast_path(inputs.loaded).in_words()}
        ),
    )


def publish(report: InterveneReport, records: Sequence[str], run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and every run as a record."""
    with run.artifact(REPORT_KIND, f"{report.criterion[:120].rstrip('.')} in {report.model.id}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_intervention_markdown(report))
        files.write_text("report.html", render_intervention(report))
        files.write_text("report.csv", intervention_csv(report))
        files.write_text("interventions.jsonl", "\n".join(records) + "\n")
        files.metrics |= {"n_runs": report.n_runs, "n_validated": sum(u.grade == "validated" for u in report.units)}
        files.warnings += report.caveats


def short_form(report: InterveneReport) -> InterveneResult:
    """Return what an agent reads first."""
    behaviour = report.behaviour
    grades: dict[str, int] = {}
    for unit in report.units:
        grades[unit.grade] = grades.get(unit.grade, 0) + 1
    registered = "".join(f"\n{line}" for line in registered_words(report.hypothesis))
    counted = ", ".join(f"{n} {grade}" for grade, n in grades.items())
    return InterveneResult(
        summary=f"{report.headline}\n{report.n_runs} edited runs; {counted}.{registered}",
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        criterion=report.criterion,
        model=report.model.id,
        metric=behaviour.metric,
        targets=behaviour.targets[:10],
        alternatives=behaviour.alternatives[:10],
        target_tokens=behaviour.target_tokens,
        flags=tuple(flag.code for flag in behaviour.flags),
        n_runs=report.n_runs,
        units=tuple(_short(card) for card in report.units),
        screen=report.screen,
        smallest=report.smallest,
    )


def headline(request: InterveneRequest, cards: Sequence[UnitCard], flags: Sequence[ReasonCode]) -> str:
    """Return one sentence that is true when quoted alone."""
    if flags:
        return f"Nothing is graded on '{request.criterion}': {flags[0].text}"
    validated = [card for card in cards if card.grade == "validated"]
    if not validated:
        n = len([card for card in cards if not card.members])
        none = f"None of {n} units is" if n > 1 else f"{cards[0].unit} is not"
        if cards[0].members:
            none = f"{len(cards[0].members)} units edited together are not"
        return f"{none} validated as a cause of '{request.criterion}' on these prompts{_against(cards)}."
    best = max(validated, key=lambda card: abs(card.edits[0].confirm.effect) if card.edits[0].confirm else 0.0)
    found = best.edits[0].confirm
    assert found is not None
    low, high = found.difference_interval.low, found.difference_interval.high
    way = "raises" if found.effect > 0 else "lowers"
    return (
        f"{best.unit} {way} the {_behaviour(request)} of '{request.criterion}' by {abs(found.effect):.3g} "
        f"({best.edits[0].edit}), beyond controls by [{low:.3g}, {high:.3g}], on {found.n_groups} held-out groups of "
        "these prompts."
    )


def _against(cards: Sequence[UnitCard]) -> str:
    """Return the reasons that speak against the first unit, or against how many units each of them speaks."""
    counts = Counter(reason.code for card in cards if len(cards) == 1 or not card.members for reason in card.reasons)
    for reason in _IN_FAVOUR:
        counts.pop(reason, None)
    if not counts:
        return "; the reasons tell what is missing"
    told = [code if len(cards) == 1 else f"{code} ({n})" for code, n in counts.most_common()]
    return f": {', '.join(told)}"


def measured_of(request: InterveneRequest) -> str | None:
    """Return which later unit, or which scorer, the metric is of."""
    if request.downstream is not None:
        return called(request.downstream)
    return None if request.scorer is None else request.scorer.name


def _behaviour(request: InterveneRequest) -> str:
    name = measured_of(request)
    if name is None:
        return _CALLED.get(request.metric, request.metric.replace("_", " "))
    return f"value of {name} on prompts" if request.metric == "downstream" else f"{name} of text written after prompts"


def caveats(request: InterveneRequest, design: Design, cards: Sequence[UnitCard]) -> tuple[str, ...]:
    """Return what a careful reader must know before using the numbers."""
    lines = ["An effect is of this edit, at these tokens, on these prompts and target words; other edits may differ."]
    if request.metric == "kl":
        lines.append("A divergence has no direction: it says that the prediction changes, never which way.")
    if request.metric == "score":
        lines.append("A scorer stands for the criterion, it is not it; edits act on every token that is written.")
    if request.screen is not None:
        lines.append(
            "A linear estimate of the logit difference on explore positives chose the units. It is an attribution, no "
            "effect; what it overlooks is not in this report, and how far it is off stands beside it."
        )
    elif request.search is not None:
        lines.append(
            "A search chose the units; if its store has these prompts, they had a part in that, and associations "
            "here are those of units that were looked for."
        )
    elif request.report is None:
        lines.append(
            "The units were named by the caller, so q covers only them; if these prompts suggested them, "
            "give the inspect report instead."
        )
    if not design.split.rows("confirm"):
        lines.append("There were too few independent prompt groups to set some aside, so nothing is graded.")
    if any(card.unit for card in cards if not card.members and card.grade != "validated") and len(cards) == 1:
        lines.append("A cause that another unit can replace shows no effect alone; edit candidates together.")
    if any(name.startswith("ablate_zero") for name in request.edits) and any("#" in card.unit for card in cards):
        lines.append("Zero is a rare value for a coordinate of the stream; compare with ablate_mean.")
    if crowded := [u.unit for u in cards if u.edits[0].explore.controls_as_large > CROWDED]:
        lines.append(
            f"Most random edits of the same length move the metric as far as those of {', '.join(crowded)[:120]}, one "
            "way or the other: the place is sensitive, so look at wrong_sign, doses and smaller strengths."
        )
    return tuple(lines)


def _short(card: UnitCard) -> UnitEffect:
    edit = card.edits[0]
    found = edit.confirm
    interval = None if found is None else found.difference_interval
    return UnitEffect(
        unit=card.unit,
        grade=card.grade,
        reasons=tuple(reason.code for reason in card.reasons),
        edit=edit.edit,
        strength=edit.strength,
        effect=None if found is None else found.effect,
        control=None if found is None else found.control,
        controls_as_large=None if found is None else found.controls_as_large,
        beyond_control=None if interval is None else (interval.low, interval.high),
        q_value=None if found is None else found.q_value,
        side_effect=edit.side_effects.shift_upper,
        sign_consistency=None if found is None else found.sign_consistency,
        n_groups=0 if found is None else found.n_groups,
    )
