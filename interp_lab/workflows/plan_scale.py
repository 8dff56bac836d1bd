"""Plan a large run: what it takes, and every route with its time and what decides it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.intervene import MAX_RANK
from interp_lab.contracts.machine import PROFILE_FILE, PROFILE_KIND, MachineProfile
from interp_lab.contracts.plan_scale import PlanScaleRequest, PlanScaleResult, RoutePlan
from interp_lab.contracts.sizes import bytes_in_words, in_words, time_in_words
from interp_lab.errors import ArtifactCorrupt, InvalidMachineProfile, UnknownModelSize
from interp_lab.machine.scale.costs import quantities
from interp_lab.machine.scale.own_times import NOTHING_LEARNED
from interp_lab.machine.scale.routes import places, planned_route
from interp_lab.machine.scale.shape import Shape, assumed_shape
from interp_lab.models.facts import ModelFacts, read_facts
from interp_lab.models.rates import macs_per_token
from interp_lab.models.reference import locate
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.scale_calls import planned_calls
from interp_lab.workflows.scale_edits import planned_edits
from interp_lab.workflows.scale_learned import learned


class OwnProfile(NamedTuple):
    """What is known of this machine."""

    profile: MachineProfile | None = None
    skipped: int = 0
    """Newer profiles that cannot be read: another version of the lab wrote them."""


def own_profile(recent: Sequence[str], settings: Settings) -> OwnProfile:
    """Return the newest profile of this machine that can be read, of artifacts that are given newest first."""
    for skipped, name in enumerate(recent):
        with suppress(InvalidMachineProfile, ArtifactCorrupt):
            return OwnProfile(_profile(name, settings), skipped)
    return OwnProfile(None, len(recent))


def plan_scale(request: PlanScaleRequest, *, settings: Settings, own: OwnProfile = OwnProfile()) -> PlanScaleResult:  # noqa: B008  # frozen
    """Return the plan, for the profile that the request names, else for `own`.

    Raises:
        UnknownModelSize: The model is not here and no size was given.
        InvalidMachineProfile: What should be a profile is none.
        LabError: as `locate`, `open_input` and `ArtifactStore.open`.
    """
    shape = _shape(request, settings)
    if request.profile is not None:
        own = OwnProfile(_profile(request.profile, settings))
    profile = own.profile
    costs, rows = quantities(request, shape, planned_edits(request, shape))
    known = NOTHING_LEARNED if profile is None else learned(request, costs, profile, settings)
    found = [planned_route(request, place, costs) for place in places(request, profile, costs, known)]
    routes = tuple(sorted(found, key=lambda route: (not route.fits, route.seconds is None, route.seconds or 0.0)))
    return PlanScaleResult(
        summary=_in_words(request, shape, costs.kept_bytes, routes),
        warnings=(*_warnings(request, shape, profile), *_of_skipped(own)),
        quantities=rows,
        routes=routes,
        calls=planned_calls(request, shape, routes[0] if routes else None),
    )


def _shape(request: PlanScaleRequest, settings: Settings) -> Shape:
    source = locate(request.model, settings) if request.model is not None else None
    if source is not None:
        return _of_files(read_facts(source.directory))
    if request.parameters is None:
        raise UnknownModelSize(f"{request.model.id if request.model else 'The model'} is not on this machine.")
    return assumed_shape(
        request.parameters, request.active_parameters, n_layers=request.n_layers, d_model=request.d_model
    )


def _of_files(facts: ModelFacts) -> Shape:
    blocks = macs_per_token(facts, facts.n_layers - 1) or facts.weights.n_parameters
    d_kv = (facts.n_kv_heads or 0) * (facts.d_head or 0) or facts.d_model
    head = (facts.n_vocab or 0) * facts.d_model
    return Shape(facts.weights.n_parameters, blocks, facts.n_layers, facts.d_model, d_kv, "files", head)


def _profile(name: str, settings: Settings) -> MachineProfile:
    if is_artifact_id(name):
        data = ArtifactStore(WorkspacePaths.of(settings)).read_file(name, PROFILE_FILE)
        return _validated(data, name)
    with open_input(settings.workspace, name, read_roots=settings.read_roots) as file:
        read_json(file, where=Path(name).name)  # strictly: refuses what pydantic's reader would let pass
        file.seek(0)
        return _validated(file.read(), name)


def _of_skipped(own: OwnProfile) -> Iterator[str]:
    if not own.skipped:
        return
    used = "none is left" if own.profile is None else f"that of {own.profile.measured_at:%Y-%m-%d %H:%M} is used"
    newest = "The newest profile" if own.skipped == 1 else f"The {own.skipped} newest profiles"
    yield f"{newest} of this machine cannot be read by this version of the lab; {used}. Call profile_env again."


def _validated(data: bytes, name: str) -> MachineProfile:
    try:
        return MachineProfile.model_validate_json(data)
    except ValidationError as error:
        raise InvalidMachineProfile(
            f"{name[:80]} is no {PROFILE_KIND}: {error.error_count()} fields are wrong."
        ) from None


def _in_words(request: PlanScaleRequest, shape: Shape, kept: float, routes: tuple[RoutePlan, ...]) -> str:
    size = (
        f"{in_words(shape.parameters)} parameters, {in_words(request.tokens)} tokens, "
        f"{counted(request.n_addresses, 'address', 'addresses')}"
    )
    held = f"{bytes_in_words(kept)} {'held in memory' if request.storage == 'streamed' else 'stored'}"
    if not routes:
        return f"{size}: {held}; no machine to plan for: run profile_env, or name a device."
    best = routes[0]
    time = f"about {time_in_words(best.seconds)}" if best.seconds is not None else "time unknown"
    verdict = f"fits {best.route} ({best.machine}), {time}" if best.fits else f"does not fit {best.route} as it is"
    return f"{size}: {held}; {verdict}; bottleneck: {best.bottleneck}. An estimate, not a measurement of this run."


def _warnings(request: PlanScaleRequest, shape: Shape, profile: MachineProfile | None) -> tuple[str, ...]:
    found: list[str] = []
    if shape.known == "assumed":
        found.append(
            f"{shape.n_layers} layers of width {shape.d_model} are only usual for this size; give n_layers and d_model."
        )
    if profile is None:
        found.append("This machine has not been profiled: no local route is planned.")
    elif not profile.work:
        found.append("The profile has no short runs of the lab's own work; times rest on published utilisation.")
    if request.units > MAX_RANK:
        found.append(f"A report ranks {MAX_RANK} coordinates: calls for more units have to name them (units).")
    if request.device is not None:
        found.append("Times on accelerators rest on published figures; the lab has not been measured on them.")
    return tuple(found)
