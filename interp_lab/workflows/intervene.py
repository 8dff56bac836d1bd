# pyright: standard
"""Intervene: what edits of units do to a behaviour, beside controls, from prompts to a published report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest, InterveneResult
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.contracts.unit_selection import UnitScreenFacts
from interp_lab.engine.edits import Unit
from interp_lab.engine.intervention.downstream import Downstream
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.intervening.behaviour import Chosen, choose, flags, words
from interp_lab.workflows.intervening.cards import unit_cards
from interp_lab.workflows.intervening.cost import idle_seconds, record_pace
from interp_lab.workflows.intervening.grading import associations, grade_units
from interp_lab.workflows.intervening.measure import Bench, Share, measure, spans_of
from interp_lab.workflows.intervening.records import record_lines
from interp_lab.workflows.intervening.registered import earlier_looks_of, with_memory
from interp_lab.workflows.intervening.report import Suggest, assemble, publish, short_form
from interp_lab.workflows.intervening.screening import screened
from interp_lab.workflows.intervening.smallest import smallest, told
from interp_lab.workflows.intervening.sources import Found, find_units
from interp_lab.workflows.intervening.trials import Maker
from interp_lab.workflows.intervening.units import Subject, open_subjects, with_companions
from interp_lab.workflows.intervening.values import read
from interp_lab.workflows.intervening.work import Halves, blocks_after, work_of
from interp_lab.workflows.intervening.writing import Writer
from interp_lab.workflows.memory.contents import input_name, read_input


def intervene(
    request: InterveneRequest, run: Run, *, settings: Settings, suggest: Suggest, share: Share | None = None
) -> InterveneResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    With a `share`, only its prompts are run, and their outcomes kept in the checkpoint.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts, before or while it is edited.
        ShareDone: the prompts of the share have been run.
    """
    clock = time.perf_counter(), time.process_time()
    run.progress(0, None, "opening the model and the prompts")
    inputs = open_inputs(_as_inspected(request), settings)
    plan = design(inputs)
    chosen = _words(request, inputs, plan, run)
    found, facts = _found(request, inputs, plan, chosen=chosen, settings=settings)
    subjects = open_subjects(found, inputs.loaded, settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance() | _units_read(request, found, settings)
    explore = plan.split.rows("explore")
    subjects = with_companions(
        subjects, inputs.loaded, [inputs.tokens[i] for i in explore], n=request.n_controls, seed=request.seed
    )
    bench, maker = _prepared(request, inputs, plan, chosen=chosen, subjects=subjects, run=run, settings=settings)
    with decided_matmul(run.checkpoint_dir):
        subjects, fewest = smallest(bench, maker, run)
        maker = replace(maker, subjects=subjects)
        measured = measure(replace(bench, share=share), maker.trials(), run)
    stuck = flags(request.metric, bench.chosen, measured.largest_change)
    seen = associations(inputs, plan, maker.reading, subjects)
    found = tuple(subject.found for subject in subjects)
    looks = earlier_looks_of(request, inputs.prompts, found, settings)
    counted = [looks.get(subject.key, 0) for subject in subjects]
    graded = grade_units(measured, seen, plan, can_move=not stuck, share=request.side_effect_share, looks=counted)
    cards = unit_cards(request, subjects, measured, graded=graded, found=seen, reading=maker.reading)
    report = assemble(request, inputs, plan, chosen=bench.chosen, measured=measured, flags=stuck, cards=cards, run=run)
    report = report.model_copy(
        update={"screen": facts, "smallest": fewest, "caveats": (*report.caveats, *told(fewest))}
    )
    report = with_memory(report, request, inputs.prompts, found=found, looks=looks, settings=settings)
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    tokens = {
        "target_token_strategy": "explicit" if bench.chosen.how == "given" else "auto",
        "target_tokens": list(words(inputs.loaded, bench.chosen.targets)),
        "alternative_tokens": list(words(inputs.loaded, bench.chosen.alternatives)),
    }
    lines = record_lines(
        inputs,
        subjects,
        measured,
        criterion=request.criterion,
        metric=request.metric,
        tokens=tokens,
        looks=counted,
        can_move=not stuck,
    )
    publish(report, list(lines), run)
    if request.shards == 1 and run.attempt < 2:  # of shards, and of a second attempt, only a part was done here
        _keep_pace(request, inputs, plan, subjects=subjects, seconds=idle_seconds(clock), settings=settings)
    return short_form(report)


def _as_inspected(request: InterveneRequest) -> InspectRequest:
    """The same model, prompts, threshold and seed, so that both split the prompts alike."""
    return InspectRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )


def _prepared(
    request: InterveneRequest,
    inputs: Inputs,
    plan: Design,
    *,
    chosen: Chosen,
    subjects: tuple[Subject, ...],
    run: Run,
    settings: Settings,
) -> tuple[Bench, Maker]:
    """Read the unedited model: the scales of units, from explore prompts only."""
    explore = plan.split.rows("explore")
    run.progress(0, None, "reading the units")
    targets = [target for subject in subjects for target in (subject.target, *subject.companions)]
    latents = frozenset(t for s in subjects if s.is_latent for t in (s.target, *s.companions))
    reading = read(inputs.loaded, inputs.tokens, targets, explore=explore, latents=latents, check=run.check)
    bench = Bench(
        inputs=inputs,
        design=plan,
        chosen=chosen,
        metric=request.metric,
        spans=spans_of(inputs),
        side_effect_share=request.side_effect_share,
        least_effect=request.least_effect,
        question=request.model_dump(mode="json", exclude=set(RUN_CONTROLS)),
        seed=request.seed,
        precise_to=request.precise_to,
        downstream=_downstream(request, inputs, settings),
        writer=None if request.scorer is None else Writer.of(request.scorer, inputs.loaded, request.seed, run.check),
    )
    return bench, Maker(request, subjects, reading, partners_of(inputs))


def _keep_pace(
    request: InterveneRequest,
    inputs: Inputs,
    plan: Design,
    *,
    subjects: tuple[Subject, ...],
    seconds: float,
    settings: Settings,
) -> None:
    """Let the next plan know how long this run took; a run that went on after an interruption does not tell."""
    labels, facts = plan.sample.labels, inputs.loaded.facts
    sizes: list[tuple[int, int]] = []
    for part in ("explore", "confirm"):
        rows = plan.split.rows(part)
        n_on = sum(bool(labels[i]) for i in rows)
        sizes.append((n_on, len(rows) - n_on))
    work = work_of(
        request,
        facts,
        Halves(*sizes),
        kinds=[3 if s.is_latent else 2 if isinstance(s.target, Unit) else 1 for s in subjects],
        blocks=[blocks_after(s.target.writes, facts.n_layers) for s in subjects],
        lengths=inputs.lengths,
    )
    record_pace(work, seconds, request.model, settings)


def _words(request: InterveneRequest, inputs: Inputs, plan: Design, run: Run) -> Chosen:
    """Target tokens, from explore prompts only."""
    labels, explore = plan.sample.labels, plan.split.rows("explore")
    run.progress(0, None, "choosing target tokens")
    on = [inputs.tokens[i] for i in explore if labels[i]]
    return choose(inputs.loaded, request, on, [inputs.tokens[i] for i in explore if not labels[i]], check=run.check)


def _found(
    request: InterveneRequest, inputs: Inputs, plan: Design, *, chosen: Chosen, settings: Settings
) -> tuple[tuple[Found, ...], UnitScreenFacts | None]:
    """The units that are edited, and what a screen says of how it chose them."""
    if request.screen is None:
        return find_units(request, inputs.prompts, settings), None
    behaviour = chosen.behaviour(cross_entropy=False, distribution=False)
    return screened(request.screen, inputs, plan, behaviour=behaviour, settings=settings, seed=request.seed)


def _units_read(request: InterveneRequest, found: Sequence[Found], settings: Settings) -> dict[str, str]:
    """The report and the dictionaries that the units come from, as the run notes them."""
    named = dict.fromkeys(each.ref.dictionary for each in found if each.ref.dictionary is not None)
    report = {"report": request.report} if request.report else {}
    return report | {input_name(name): read_input(name, settings) for name in named}


def _downstream(request: InterveneRequest, inputs: Inputs, settings: Settings) -> Downstream | None:
    if request.downstream is None:
        return None
    (subject,) = open_subjects([Found(request.downstream)], inputs.loaded, settings)
    assert isinstance(subject.target, Unit)
    return Downstream(subject.key, subject.target.site, subject.target.index, request.pooling)


def partners_of(inputs: Inputs) -> tuple[int | None, ...]:
    """Return for each prompt the other one of its pair, where there is exactly one."""
    members: dict[str, list[int]] = {}
    for place, prompt in enumerate(inputs.prompts.prompts):
        if prompt.pair is not None:
            members.setdefault(prompt.pair, []).append(place)
    other = {place: pair[1 - pair.index(place)] for pair in members.values() if len(pair) == 2 for place in pair}
    return tuple(other.get(place) for place in range(len(inputs.prompts.prompts)))
