"""What grades are worth: shares of latents that are what they were called, with intervals that count models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

from interp_lab.contracts.base import Grade
from interp_lab.contracts.calibrate import Bar, BarState, GradeRow, Share, Verdict
from interp_lab.contracts.calibration_report import CurvePoint, DecoyRow, LatentScore, WorldScore
from interp_lab.statistics.clustered_share import clustered_share

PRECISION, DECOYS, SIGNS, REDUNDANCY, RECALL = 0.95, 0.05, 0.95, 0.9, 0.5
"""What must hold: causes among validated latents, at least; decoys called causes, at most; right signs of suppressors
whose effect is confirmed, redundant pairs found, and causes validated, at least."""

DECOY_KINDS = ("inert", "confounded", "redundant", "echo", "impostor", "bystander")


class _Found(NamedTuple):
    """One latent of one model."""

    world: int
    latent: LatentScore

    @property
    def called(self) -> bool:
        """Whether it was called a cause."""
        return self.latent.grade == "validated" or self.latent.confirmed


def summarise_grades(worlds: Sequence[WorldScore]) -> tuple[GradeRow, ...]:
    """Return the probability of being a cause for each grade."""
    found = _found(worlds)
    return tuple(
        GradeRow(grade=grade, causal=_share((f.latent.causal, f.world) for f in found if f.latent.grade == grade))
        for grade in get_args(Grade)
    )


def summarise_decoys(worlds: Sequence[WorldScore]) -> tuple[DecoyRow, ...]:
    """Return how often each kind of latent that is no cause was called one."""
    found = [f for f in _found(worlds) if not f.latent.causal]
    kinds = [kind for kind in DECOY_KINDS if any(f.latent.kind == kind for f in found)]
    return tuple(
        DecoyRow(
            kind=kind,
            called_causal=_share((f.called, f.world) for f in found if f.latent.kind == kind),
            validated=_share((f.latent.grade == "validated", f.world) for f in found if f.latent.kind == kind),
        )
        for kind in kinds
    )


def curve_point(worlds: Sequence[WorldScore]) -> CurvePoint:
    """Return what was found in the models of one setting."""
    found = _found(worlds)
    causes = [f for f in found if _is_cause(f)]
    return CurvePoint(
        axis=worlds[0].axis,
        value=worlds[0].value,
        recall=_share((f.latent.grade == "validated", f.world) for f in causes),
        confirmed=_share((f.latent.confirmed, f.world) for f in causes),
        precision=_share((f.latent.causal, f.world) for f in found if f.latent.grade == "validated"),
        decoys=_share((f.called, f.world) for f in found if _is_decoy(f)),
        redundancy=_share((w.joint.found == w.joint.planted, w.seed) for w in worlds if w.joint.planted),
        seconds=round(sum(w.seconds for w in worlds) / len(worlds), 3),
    )


def bars(worlds: Sequence[WorldScore]) -> tuple[Bar, ...]:
    """Return what must hold, over the models to which bars apply."""
    held = [world for world in worlds if world.meant_to_hold]
    found = _found(held)
    suppressors = [f for f in found if f.latent.kind == "suppressor" and f.latent.confirmed]
    return (
        _bar(
            "precision",
            "latents graded validated that are causes",
            _share((f.latent.causal, f.world) for f in found if f.latent.grade == "validated"),
            at_least=PRECISION,
        ),
        _bar(
            "decoys",
            "planted latents that are no cause, called one",
            _share((f.called, f.world) for f in found if _is_decoy(f)),
            at_most=DECOYS,
        ),
        _bar(
            "suppressor_sign",
            "suppressors with a confirmed effect whose sign is right",
            _share(((f.latent.effect or 0.0) < 0, f.world) for f in suppressors),
            at_least=SIGNS,
        ),
        _bar(
            "redundancy",
            "redundant pairs found by joint ablation, exactly",
            _share((w.joint.found == w.joint.planted, w.seed) for w in held if w.joint.planted),
            at_least=REDUNDANCY,
        ),
        _bar(
            "recall",
            "causes graded validated",
            _share((f.latent.grade == "validated", f.world) for f in found if _is_cause(f)),
            at_least=RECALL,
        ),
    )


def judge(found: Sequence[Bar]) -> Verdict:
    """Return the verdict that the intervals allow: calling what is no cause one weighs more than missing a cause."""
    missed = {bar.name for bar in found if bar.state == "missed"}
    if missed & {"precision", "decoys", "suppressor_sign"}:
        return "overclaims"
    if missed:
        return "misses"
    return "as_stated" if all(bar.state == "met" for bar in found) else "undecided"


def missed_because(worlds: Sequence[WorldScore]) -> dict[str, int]:
    """Return why causes were not validated, most frequent reason first; a latent may have several."""
    causes = [f.latent for f in _found(worlds) if _is_cause(f) and f.latent.grade != "validated"]
    settled = {"association_confirmed", "words_alone_solve", "effect_confirmed"}
    counts = Counter(
        reason for latent in causes for reason in latent.reasons or ("not_described",) if reason not in settled
    )
    return dict(counts.most_common())


def _bar(
    name: str, text: str, found: Share | None, *, at_least: float | None = None, at_most: float | None = None
) -> Bar:
    return Bar(
        name=name,
        text=text,
        found=found,
        at_least=at_least,
        at_most=at_most,
        holds=found is not None and _within(found.share, at_least, at_most),
        state="undecided" if found is None else _state(found, at_least, at_most),
    )


def _state(found: Share, at_least: float | None, at_most: float | None) -> BarState:
    low, high = (_within(end, at_least, at_most) for end in (found.low, found.high))
    return "undecided" if low != high else "met" if low else "missed"


def _within(share: float, at_least: float | None, at_most: float | None) -> bool:
    return (at_least is None or share >= at_least) and (at_most is None or share <= at_most)


def _is_cause(found: _Found) -> bool:
    return found.latent.causal and found.latent.kind != "bystander"


def _is_decoy(found: _Found) -> bool:
    return not found.latent.causal and found.latent.kind != "bystander"


def _found(worlds: Sequence[WorldScore]) -> list[_Found]:
    return [_Found(world.seed, latent) for world in worlds for latent in world.latents]


def _share(rows: Iterable[tuple[bool, int]]) -> Share | None:
    kept = list(rows)
    if not kept:
        return None
    found = clustered_share([yes for yes, _ in kept], [world for _, world in kept])
    return Share(
        share=round(found.share, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        n=found.n_rows,
        n_worlds=found.n_groups,
    )
