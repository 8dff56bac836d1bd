# pyright: standard
"""Compare two models: read both, choose pairs on explore prompts, test them on confirm prompts, publish."""

from __future__ import annotations

from interp_lab.contracts.compare import CompareRequest, CompareResult
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.comparing.anchors import OTHER_PLACE, SAME_PLACE
from interp_lab.workflows.comparing.by_effects import compare_effects, transfers
from interp_lab.workflows.comparing.components import (
    direction_cosines,
    effects_of,
    fitted_maps,
    map_records,
    promoted,
)
from interp_lab.workflows.comparing.named import named_pairs
from interp_lab.workflows.comparing.opening import open_sides
from interp_lab.workflows.comparing.pairs import choose_pairs, judge
from interp_lab.workflows.comparing.report import Found, Suggest, assemble, publish, short_form
from interp_lab.workflows.comparing.sides import ReadSide
from interp_lab.workflows.comparing.words import alike_in_words, said_of


def compare(request: CompareRequest, run: Run, *, settings: Settings, suggest: Suggest) -> CompareResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the request, a model or the prompts.
    """
    run.progress(0, None, "opening the models and the prompts")
    left, right, prompts = open_sides(request, run, settings)
    run.seed, run.device = request.seed, left.inputs.facts.device
    run.inputs |= {f"{name} {key}": value for name, key, value in _inputs(left, right)}
    _refuse_same(left, right)
    run.progress(0, None, "choosing and testing pairs")
    found = _measured(left, right, request, run=run, settings=settings)
    report = assemble(left, right, found, prompts=prompts, request=request, run=run)
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, run)
    return short_form(report)


def _measured(left: ReadSide, right: ReadSide, request: CompareRequest, *, run: Run, settings: Settings) -> Found:
    named = named_pairs(left, right, request, settings) if request.matches else None
    given = None if named is None else named.pairs
    acted = compare_effects(left, right, request, named=given, run=run) if request.by == "effects" else None
    tested = judge(left, right, given or choose_pairs(left, right, request), request) if acted is None else acted.tested
    pairs = tested.pairs
    maps = fitted_maps(left, right, pairs, run)
    places = [(pair.left, pair.right) for pair in pairs]
    said = [said_of(side, [place[n] for place in places]) for n, side in enumerate((left, right))]
    return Found(
        tested,
        direction_cosines(left, right, pairs, maps),
        map_records(maps),
        promoted(left, [pair.left for pair in pairs]),
        promoted(right, [pair.right for pair in pairs]),
        effects_of(left) if acted is None else acted.left_effects,
        effects_of(right) if acted is None else acted.right_effects,
        said[0],
        said[1],
        alike_in_words(said[0], said[1], places, encoder=request.text_encoder, settings=settings),
        named,
        acted,
        {} if acted is None else transfers(left, right, acted, maps, request=request, run=run),
    )


def _inputs(left: ReadSide, right: ReadSide) -> list[tuple[str, str, str]]:
    sides = (("left", left), ("right", right))
    return [(name, key, value) for name, side in sides for key, value in side.inputs.provenance().items()]


def _refuse_same(left: ReadSide, right: ReadSide) -> None:
    """A model beside itself at the same places, in the same number format, would match every unit with itself."""
    places = [{str(site) for site in side.table.columns} for side in (left, right)]
    is_run = left.side.evidence is None and right.side.evidence is None  # values on disk have a format of their own
    differ = is_run and left.inputs.facts.dtype != right.inputs.facts.dtype
    if left.identity == right.identity and not differ and places[0] & places[1]:
        raise InvalidRequest(SAME_PLACE, remedy=OTHER_PLACE)
