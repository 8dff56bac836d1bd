"""The calls that would tell more of paths, ready to be made."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.path_report import OUTPUT, PathCard, PathEnd
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.contracts.trace_paths import PathRequest

COMMON = (
    "model", "criterion", "dataset", "threshold", "seed", "target_tokens", "alternative_tokens",
    "scales", "rest", "pool", "hold", "hold_units", "behaviour", "n_controls", "least_share", "shards",
)  # fmt: skip
"""Fields that say what a path is a path of and how it is measured, shards included; a call that follows keeps them."""
_MANY_CONTROLS = 20
_SWEEP: list[JsonValue] = [-1.0, -0.5, -0.25, 0.5, 1.0, 2.0]


def next_for(request: PathRequest, card: PathCard) -> NextAction | None:
    """Return the call for a path by what was found of it; none where nothing is open, or prompts came inline."""
    return next(iter(next_of(request, [card])), None)


def next_of(request: PathRequest, cards: Sequence[PathCard]) -> tuple[NextAction, ...]:
    """Return the calls for several paths, one for all those that the same call would tell more of."""
    if isinstance(request.dataset, InlinePrompts):
        return ()
    alike: dict[tuple[str, str], list[PathCard]] = {}
    changes: dict[tuple[str, str], dict[str, JsonValue]] = {}
    for card in cards:
        found = _open_question(request, card)
        if found is not None:
            tool, why, change = found
            alike.setdefault((tool, why), []).append(card)
            changes[tool, why] = change
    base: dict[str, JsonValue] = request.model_dump(mode="json", exclude_defaults=True, include=set(COMMON))
    return tuple(
        NextAction(tool=tool, arguments={**base, **_paths(tool, of), **changes[tool, why]}, why=why)
        for (tool, why), of in alike.items()
    )


def _open_question(request: PathRequest, card: PathCard) -> tuple[str, str, dict[str, JsonValue]] | None:
    """The tool, why, and what it is asked besides the path; None where nothing is open."""
    if card.source.unit is None or card.status == "candidate":
        return None
    if card.status == "like_controls" and request.n_controls < _MANY_CONTROLS:
        why = "With few random sources a path has to be far larger than any of them; more tell a smaller one apart."
        return "trace_paths", why, {"n_controls": _MANY_CONTROLS}
    if card.status in ("passes_along", "untested") and not request.behaviour:
        why = "What blocks mediate does not reach this target; see whether the behaviour follows the source."
        return "trace_paths", why, {"targets": [], "behaviour": True}
    if card.status == "validated" and not request.hold:
        why = "Held patterns and norms tell how much of the path is direct."
        return "validate_paths", why, {"hold": ["attention", "norms"]}
    if card.status in ("suggestive", "sign_reversed"):
        why = "A sweep shows whether sign and size hold at other strengths."
        graded = request.scales[0]
        return "validate_paths", why, {"scales": [graded, *(scale for scale in _SWEEP if scale != graded)]}
    return None


def _paths(tool: str, cards: Sequence[PathCard]) -> dict[str, JsonValue]:
    """The paths as ends of a trace, every source on every target, or as pairs of named units."""
    sources, targets = (_units(ends) for ends in ([c.source for c in cards], [c.target for c in cards]))
    if tool == "trace_paths":
        return {"sources": list(sources.values()), "targets": list(targets.values()), "dry_run": True}
    names = {
        **{key: "source" if len(sources) == 1 else f"source{n}" for n, key in enumerate(sources, start=1)},
        **{key: "target" if len(targets) == 1 else f"target{n}" for n, key in enumerate(targets, start=1)},
    }
    units: list[JsonValue] = [{**unit, "name": names[key]} for key, unit in {**sources, **targets}.items()]
    pairs: list[JsonValue] = [
        f"{names[card.source.key]}={OUTPUT if card.target.unit is None else names[card.target.key]}" for card in cards
    ]
    return {"pairs": pairs, "units": units, "dry_run": False}


def _units(ends: Sequence[PathEnd]) -> dict[str, dict[str, JsonValue]]:
    return {end.key: end.unit.model_dump(mode="json", exclude_none=True) for end in ends if end.unit is not None}
