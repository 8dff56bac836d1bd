"""The call that would tell more of one path, ready to be made."""

from __future__ import annotations

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.path_report import OUTPUT, PathCard
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
    if isinstance(request.dataset, InlinePrompts) or card.source.unit is None or card.status == "candidate":
        return None
    base = request.model_dump(mode="json", exclude_defaults=True, include=set(COMMON))
    traced: dict[str, JsonValue] = {
        **base,
        "sources": [card.source.unit.model_dump(mode="json", exclude_none=True)],
        "targets": [] if card.target.unit is None else [card.target.unit.model_dump(mode="json", exclude_none=True)],
        "dry_run": True,
    }
    if card.status == "like_controls" and request.n_controls < _MANY_CONTROLS:
        why = "With few random sources a path has to be far larger than any of them; more tell a smaller one apart."
        return NextAction(tool="trace_paths", arguments={**traced, "n_controls": _MANY_CONTROLS}, why=why)
    if card.status in ("passes_along", "untested") and not request.behaviour:
        why = "What blocks mediate does not reach this target; see whether the behaviour follows the source."
        return NextAction(tool="trace_paths", arguments={**traced, "targets": [], "behaviour": True}, why=why)
    call = {**base, **_claim(card), "dry_run": False}
    if card.status == "validated" and not request.hold:
        why = "Held patterns and norms tell how much of the path is direct."
        return NextAction(tool="validate_paths", arguments={**call, "hold": ["attention", "norms"]}, why=why)
    if card.status in ("suggestive", "sign_reversed"):
        why = "A sweep shows whether sign and size hold at other strengths."
        graded = request.scales[0]
        swept: list[JsonValue] = [graded, *(scale for scale in _SWEEP if scale != graded)]
        return NextAction(tool="validate_paths", arguments={**call, "scales": swept}, why=why)
    return None


def _claim(card: PathCard) -> dict[str, JsonValue]:
    """The path as a pair of named units."""
    units: list[JsonValue] = []
    names: list[str] = []
    for end, name in ((card.source, "source"), (card.target, "target")):
        names.append(OUTPUT if end.unit is None else name)
        if end.unit is not None:
            units.append({**end.unit.model_dump(mode="json", exclude_none=True), "name": name})
    return {"pairs": ["=".join(names)], "units": units}
