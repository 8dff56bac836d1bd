# pyright: standard
"""Assembles the report of a comparison, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.compare import (
    COMPARISON_KIND,
    ComparedUnit,
    CompareRequest,
    CompareResult,
    ComparisonReport,
    Component,
    DirectionMap,
    Match,
    ShortMatch,
    Transfer,
)
from interp_lab.contracts.inspect_report import ReasonCode, RunFacts
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.match import MatchEvidence, grade_match
from interp_lab.evidence.reasons import Reason
from interp_lab.jobs.run import Run
from interp_lab.reports.comparison import render_comparison, render_comparison_markdown
from interp_lab.reports.numbers import counted
from interp_lab.workflows.comparing.by_effects import Acted
from interp_lab.workflows.comparing.components import Effects, overlap, same_behaviour
from interp_lab.workflows.comparing.named import Named, peer_matches
from interp_lab.workflows.comparing.pairs import Pair, Tested
from interp_lab.workflows.comparing.sides import ReadSide
from interp_lab.workflows.comparing.words import Alike
from interp_lab.workflows.report_facts import run_facts

SHOWN = 12
"""Pairs in the short form."""
_COMPONENTS: tuple[Component, ...] = ("direction", "promoted_tokens", "explanation", "effect")
"""What may be left out of a pair."""
Suggest = Callable[[ComparisonReport], tuple[NextAction, ...]]


class Found(NamedTuple):
    """Everything that was measured of the pairs."""

    tested: Tested
    cosines: Mapping[Pair, float]
    maps: tuple[DirectionMap, ...]
    left_words: Mapping[int, tuple[str, ...]]
    right_words: Mapping[int, tuple[str, ...]]
    left_effects: Effects
    right_effects: Effects
    left_said: Mapping[int, str]
    right_said: Mapping[int, str]
    """Explanations by column."""
    alike: Alike
    named: Named | None = None
    """The pairs of a file, where they were not chosen here."""
    acted: Acted | None = None
    """What units do, where pairs were chosen by that."""
    transfers: Mapping[Pair, Transfer] = MappingProxyType({})


def assemble(
    left: ReadSide, right: ReadSide, found: Found, *, prompts: PromptSet, request: CompareRequest, run: Run
) -> ComparisonReport:
    """Return the report, without next actions."""
    matches = sorted(_matches(left, right, found), key=lambda match: (match.q_value, -abs(match.similarity)))
    matched = {(m.left.address, m.left.index) for m in matches if m.grade not in ("weak", "plausible")}
    rest = [_unit(left, pair.left, found, "left") for pair in found.tested.pairs]
    confirm = left.plan.rows("confirm")
    return ComparisonReport(
        headline=_headline(matches, left, right, request),
        criterion=request.criterion,
        left=left.inputs.facts,
        right=right.inputs.facts,
        dataset=prompts.name,
        dataset_sha256=prompts.sha256,
        n_explore=len(left.plan.rows("explore")),
        n_confirm=len(confirm),
        n_groups=len({int(group) for group in left.plan.sample.groups[confirm]}),
        n_right_units=right.values.shape[1],
        maps=found.maps,
        by=request.by,
        n_words=None if found.acted is None else len(found.acted.judging),
        imported=request.matches,
        text_encoder=found.alike.encoder,
        matches=tuple(matches),
        unmatched=tuple({(u.address, u.index): u for u in rest if (u.address, u.index) not in matched}.values()),
        caveats=tuple(_caveats(matches, left, right, found=found, request=request)),
        agent_next_actions=(),
        run=_run_facts(request, left, right, run),
    )


def publish(report: ComparisonReport, run: Run) -> None:
    """Write the report as JSON, Markdown and HTML."""
    with run.artifact(COMPARISON_KIND, f"{report.left.id} beside {report.right.id}: {report.criterion[:80]}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_comparison_markdown(report))
        files.write_text("report.html", render_comparison(report))
        files.write_json("matches.json", peer_matches(report))
        files.metrics |= {"n_tested": len(report.matches), "n_matched": _n_matched(report)}
        files.warnings += report.caveats


def short_form(report: ComparisonReport) -> CompareResult:
    """Return what an agent reads first."""
    return CompareResult(
        summary=report.headline,
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        criterion=report.criterion,
        left=report.left.id,
        right=report.right.id,
        n_groups=report.n_groups,
        n_tested=len(report.matches),
        n_matched=_n_matched(report),
        matches=tuple(_short(match) for match in report.matches[:SHOWN]),
    )


def name_of(unit: ComparedUnit) -> str:
    """Return how a unit is called: as interventions call it."""
    return f"{unit.address} #{unit.index}"


def _n_matched(report: ComparisonReport) -> int:
    return sum(match.q_value <= Q_LEVEL and match.grade != "weak" for match in report.matches)


def _matches(left: ReadSide, right: ReadSide, found: Found) -> Iterator[Match]:
    test, q = found.tested.test, found.tested.q
    for i, pair in enumerate(found.tested.pairs):
        one, two = _unit(left, pair.left, found, "left"), _unit(right, pair.right, found, "right")
        comparable = same_behaviour(found.left_effects.get(name_of(one)), found.right_effects.get(name_of(two)))
        evidence = None
        if test is not None and q is not None:
            evidence = MatchEvidence(
                explore_sign=1 if pair.explore >= 0 else -1,
                low=float(test.low[i]),
                high=float(test.high[i]),
                q=float(q[i]),
                left_effect=one.effect if one.effect_confirmed and comparable else None,
                right_effect=two.effect if two.effect_confirmed and comparable else None,
                like_control=found.acted is not None and not (one.effect_confirmed and two.effect_confirmed),
                side_effects=_side_effects(found.acted, one, two),
            )
        grading = grade_match(evidence)
        words = overlap(one.promoted, two.promoted) if one.promoted and two.promoted else None
        said = found.alike.cosines.get((pair.left, pair.right))
        measured = {"promoted_tokens": words is not None, "explanation": said is not None, "effect": comparable}
        agrees = {"effects_agree": True, "effects_disagree": False}
        yield Match(
            left=one,
            right=two,
            kind=pair.kind,
            similarity=_rounded(pair.explore if test is None else float(test.similarity[i])),
            interval=(-1.0, 1.0) if test is None else (_rounded(float(test.low[i])), _rounded(float(test.high[i]))),
            p_prompts=1.0 if test is None else float(test.p_prompts[i]),
            p_units=1.0 if test is None else float(test.p_units[i]),
            q_value=1.0 if q is None else float(q[i]),
            responses=_responses(found.acted, pair),
            transfer=found.transfers.get(pair),
            direction_cosine=_rounded(found.cosines[pair]) if pair in found.cosines else None,
            promoted_overlap=None if words is None else _rounded(words),
            explanation_cosine=None if said is None else _rounded(said),
            effect_agrees=next((agrees[r.value] for r in grading.reasons if r.value in agrees), None),
            left_out=tuple(_left_out({"direction": pair in found.cosines, **measured})),
            grade=grading.grade,
            reasons=tuple(ReasonCode(code=reason.value, text=reason.meaning) for reason in grading.reasons),
        )


def _side_effects(acted: Acted | None, one: ComparedUnit, two: ComparedUnit) -> bool:
    named = {f"left {name_of(one)}", f"right {name_of(two)}"}
    return acted is not None and bool(named & acted.side_effects)


def _left_out(measured: Mapping[str, bool]) -> Iterator[Component]:
    for component in _COMPONENTS:
        if not measured[component]:
            yield component


def _responses(acted: Acted | None, pair: Pair) -> float | None:
    """Return how alike the units of a pair respond; None without confirm prompts to tell."""
    known = None if acted is None else acted.responses.get(pair)
    return None if known is None else _rounded(known)


def _unit(side: ReadSide, column: int, found: Found, name: Literal["left", "right"]) -> ComparedUnit:
    words, effects, said = (
        (found.left_words, found.left_effects, found.left_said)
        if name == "left"
        else (found.right_words, found.right_effects, found.right_said)
    )
    site, index = side.locate(column)
    seen = side.confirm or side.explore
    effect = effects.get(f"{site} #{index}")
    return ComparedUnit(
        address=str(site),
        index=index,
        auroc=_rounded(float(seen.auroc[column])),
        promoted=words.get(column, ())[:10],
        explanation=said.get(column),
        effect=effect.value if effect else None,
        effect_confirmed=effect.confirmed if effect else None,
    )


def _headline(matches: list[Match], left: ReadSide, right: ReadSide, request: CompareRequest) -> str:
    names = f"{left.id} and {right.id}"
    held = [match for match in matches if match.grade in ("needs_causal_evidence", "validated", "contradicted")]
    if not held:
        return (
            f"None of {len(matches)} tested pairs of {names} ({_tried(matches)}) is matched beyond chance on confirm "
            f"prompts of “{request.criterion}”; other units were not tested{_carried(matches)}."
        )
    best = held[0]
    low, high = best.interval
    how = "respond alike to" if request.by == "responses" else "do the same to shared words when taken away on"
    return (
        f"{len(held)} of {len(matches)} pairs of {names} {how} “{request.criterion}” prompts beyond chance "
        f"(q ≤ {Q_LEVEL:g} on confirm prompts), {_causal(held, request)}; closest: {name_of(best.left)} with "
        f"{name_of(best.right)}, r = {best.similarity:.2f} [{low:.2f}, {high:.2f}]{_carried(matches)}. Alike is not "
        "the same mechanism."
    )


def _causal(held: list[Match], request: CompareRequest) -> str:
    """Return what interventions on both sides say of the pairs that hold."""
    validated = sum(match.grade == "validated" for match in held)
    if request.by == "responses":
        agree = f"{validated} with effects that agree on both sides"
        return agree if validated else "none tested by intervention on both"
    beside = sum(any(reason.code == Reason.SIDE_EFFECTS.value for reason in match.reasons) for match in held)
    return f"{validated or 'none'} validated" + (f", {beside} because negatives change too" if beside else "")


def _carried(matches: list[Match]) -> str:
    """Return how many directions that were carried over act as on the left; nothing where none was."""
    found = [match.transfer for match in matches if match.transfer is not None]
    if not found:
        return ""
    alike = [each for each in found if each.q_value is not None and each.q_value <= Q_LEVEL and each.interval[0] > 0]
    n = len(found)
    some = f"{len(alike)} (r up to {max(each.similarity for each in alike):.2f})" if alike else "none"
    return (
        f"; of {n} left direction{'s' * (n != 1)} carried to the right model {some} act there as on the left beyond "
        "random directions"
    )


def _tried(matches: list[Match]) -> str:
    """Return how many units of which addresses the pairs are of, left with right."""
    sides = ([match.left for match in matches], [match.right for match in matches])
    tried: list[str] = []
    for side in sides:
        units = {(unit.address, unit.index) for unit in side}
        addresses = sorted({unit.address for unit in side})
        more = f" and {counted(len(addresses) - 3, 'more address', 'more addresses')}" if len(addresses) > 3 else ""
        tried.append(f"{len(units)} unit{'s' * (len(units) != 1)} of {', '.join(addresses[:3])}{more}")
    return " with ".join(tried)


def _caveats(
    matches: list[Match], left: ReadSide, right: ReadSide, *, found: Found, request: CompareRequest
) -> Iterator[str]:
    if found.named is not None and not found.named.held_out:
        yield (
            f"The pairs are those of {request.matches}: if whoever chose them had seen these prompts, confirm prompts "
            "are not held out."
        )
    n_units = right.values.shape[1]
    if n_units * Q_LEVEL < 1:
        yield f"The right side has only {n_units} units: too few to tell a counterpart from the best of any."
    if found.named is not None and found.named.unread:
        unread = found.named.unread
        shown = ", ".join(unread[:3])
        yield f"{len(unread)} pairs of the file name units that are not read here and were left out: {shown}."
    if found.tested.test is None:
        yield "There were too few prompt groups to confirm anything: pairs are only put forward."
    solved = [score.name for score in left.plan.audit.flagged]
    if surface := [name for name in solved if name != BAG_OF_WORDS]:
        yield f"{', '.join(surface)} alone tells the prompts apart: no claim about the criterion rests on them."
    elif solved:
        yield "Single words tell the prompts apart: units that follow words would look the same."
    if all(match.direction_cosine is None for match in matches):
        yield "No direction was carried over: no map holds on confirm prompts, or a side has no residual stream here."
    behaviours = [{each.behaviour for each in side.values()} for side in (found.left_effects, found.right_effects)]
    if all(behaviours) and not behaviours[0] & behaviours[1]:
        yield "The interventions of the two sides measure different behaviours, so their effects are not compared."
    if all("effect" in match.left_out for match in matches):
        yield "Nothing was compared by intervention; likeness alone never shows the same mechanism."
    yield "Both models read the same words, so units that follow a word are alike; try prompts of other words too."


def _short(match: Match) -> ShortMatch:
    return ShortMatch(
        left=name_of(match.left),
        right=name_of(match.right),
        similarity=match.similarity,
        interval=match.interval,
        q_value=match.q_value,
        direction_cosine=match.direction_cosine,
        promoted_overlap=match.promoted_overlap,
        explanation_cosine=match.explanation_cosine,
        effect_agrees=match.effect_agrees,
        left_effect=match.left.effect if match.left.effect_confirmed else None,
        right_effect=match.right.effect if match.right.effect_confirmed else None,
        transfer=match.transfer,
        grade=match.grade,
        reasons=tuple(reason.code for reason in match.reasons),
    )


def _run_facts(request: CompareRequest, left: ReadSide, right: ReadSide, run: Run) -> RunFacts:
    checks = {
        f"{name} {row}": status
        for name, side in (("left", left), ("right", right))
        for row, status in side.inputs.checked.items()
    }
    return run_facts(run, seed=request.seed, checks=checks)


def _rounded(value: float) -> float:
    return round(value, 4)
