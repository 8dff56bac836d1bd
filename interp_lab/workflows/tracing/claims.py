"""Which paths are claimed: of a trace, as SOURCE=TARGET, or in path records. Torch-free, so that plans use it too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pydantic import ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json_lines
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.intervene import UnitRef
from interp_lab.contracts.path_report import OUTPUT, TRACE_KIND, PathFigures, PathReport
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import DiscoveryRowsReused, InvalidAddress, InvalidRequest, MalformedPath, UnknownHookPoint
from interp_lab.evidence.groups import normalise
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.sources import Found

RECORD_SCHEMA = "interp-lab.path_patch.v1"
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed path, and what was said of it."""

    source: UnitRef
    target: UnitRef | None
    """None is the behaviour."""
    sign: int = 0
    """The claimed sign of its effect; 0 if none was."""
    found: PathFigures | None = None
    """What its discovery measured."""

    @property
    def key(self) -> str:
        """How the path is called."""
        return f"{Found(self.source).key}={OUTPUT if self.target is None else Found(self.target).key}"


@dataclass(frozen=True, slots=True)
class Claims:
    """All claims of a request, with what they may not be graded on."""

    claims: tuple[Claim, ...]
    n_searched: int
    imported: bool = False
    report: PathReport | None = None
    used_ids: frozenset[str] = field(default=frozenset())
    """Prompts by id that records name."""


def row_hash(text: str) -> str:
    """Return what a prompt is recognised by: equal for texts that differ in case, spaces or numbers only."""
    return hashlib.sha256(normalise(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def find_claims(request: ValidatePathsRequest, settings: Settings) -> Claims:
    """Return the claims of a request.

    Raises:
        InvalidRequest: The trace is about another model or criterion, or has no such path.
        MalformedPath: A pair or a record cannot be read.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    if request.trace is not None:
        return _of_trace(request, read_report(request.trace, settings))
    if request.records is not None:
        return _of_records(request, request.records, settings)
    claims = tuple(_of_pair(text, request.units) for text in dict.fromkeys(request.pairs))
    return Claims(claims, len(claims))


def read_report(artifact_id: str, settings: Settings) -> PathReport:
    """Return the report of a trace.

    Raises:
        InvalidRequest: It is an artifact of another kind, or of another version.
        UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
    """
    store = ArtifactStore(WorkspacePaths.of(settings))
    store.open_as(artifact_id, TRACE_KIND)
    try:
        return PathReport.model_validate_json(store.read_file(artifact_id, "report.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact_id} is not one this version reads.") from error


def as_traced(request: ValidatePathsRequest, report: PathReport | None) -> ValidatePathsRequest:
    """Return the request with the strengths, pooling, holds and words of the trace that it validates."""
    if report is None:
        return request
    settings = report.settings
    return request.model_copy(
        update={
            "scales": settings.scales,
            "rest": settings.rest,
            "pool": settings.pool,
            "hold": settings.hold,
            "hold_units": settings.hold_units,
            "behaviour": bool(settings.target_tokens),
            "target_tokens": settings.target_tokens,
            "alternative_tokens": settings.alternative_tokens,
            "n_controls": settings.n_controls,
            "least_share": settings.least_share,
        }
    )


def grading_rows(prompts: PromptSet, claims: Claims, *, confirm: Sequence[int]) -> list[int]:
    """Return the rows that may grade the claims: the confirm half, or all of another dataset.

    Raises:
        DiscoveryRowsReused: Among them is a prompt that may have suggested a path.
    """
    report = claims.report
    if report is None:
        ids = prompts.ids()
        if used := [ids[row] for row in confirm if ids[row] in claims.used_ids]:
            raise DiscoveryRowsReused(
                f"{len(used)} of the prompts that would grade the claims, {used[0]!r} among them, are in the records.",
                remedy="Call validate_paths with the same records and a dataset of other prompts.",
            )
        return list(confirm)
    same = report.dataset.sha256 == prompts.sha256
    rows = list(confirm) if same else list(range(len(prompts.prompts)))
    known = set(report.discovery_rows)
    used = [row for row in rows if row_hash(prompts.texts()[row]) in known]
    if used:
        what = f"seed {report.run.seed}" if same else f"dataset {report.dataset.name!r} and seed {report.run.seed}"
        raise DiscoveryRowsReused(
            f"{len(used)} of {len(rows)} prompts that would grade the claims were used to find them.",
            remedy=f"Call validate_paths with {what} and the trace's threshold, or with a dataset of other prompts.",
        )
    return rows


def _of_trace(request: ValidatePathsRequest, report: PathReport) -> Claims:
    for name, there, here in (
        ("model", report.model.id, request.model.id),
        ("criterion", report.criterion, request.criterion),
    ):
        if there != here:
            raise InvalidRequest(
                f"The trace's {name} is {there!r}, not {here!r}.", remedy=f"Ask with {name} {there!r}."
            )
    ranks = request.ranks or tuple(range(1, len(report.paths) + 1))
    if not report.paths or max(ranks) > len(report.paths):
        raise InvalidRequest(f"The trace describes {len(report.paths)} paths, so there is nothing of that rank.")
    chosen = [report.paths[rank - 1] for rank in dict.fromkeys(ranks)]
    claims = [
        Claim(card.source.unit, card.target.unit, _sign(card.explore), card.explore)
        for card in chosen
        if card.source.unit is not None
    ]
    return Claims(tuple(claims), report.n_searched, report=report)


def _sign(figures: PathFigures | None) -> int:
    return 0 if figures is None else (figures.mediated > 0) - (figures.mediated < 0)


def _of_pair(text: str, units: Sequence[UnitRef]) -> Claim:
    left, right = (part.strip() for part in text.split("=", 1))
    named = {unit.name: unit for unit in units if unit.name is not None}
    return Claim(_unit(left, named), None if right == OUTPUT else _unit(right, named))


def _unit(text: str, named: Mapping[str, UnitRef]) -> UnitRef:
    if text in named:
        return named[text]
    place, mark, index = text.rpartition("#")
    place = place.strip()
    if not mark or not index.isdigit() or not place:
        raise MalformedPath(f"{text[:80]!r} names no unit.")
    try:
        return UnitRef(address=Address.parse(place), index=int(index), name=text[:60])
    except (InvalidAddress, UnknownHookPoint):
        return UnitRef(dictionary=place, index=int(index), name=text[-60:])


def _of_records(request: ValidatePathsRequest, path: str, settings: Settings) -> Claims:
    deltas: dict[tuple[str, str], list[float]] = {}
    first: dict[tuple[str, str], Claim] = {}
    used: set[str] = set()
    with open_input(settings.workspace, path, read_roots=settings.read_roots, max_bytes=_MAX_BYTES) as file:
        for number, record in enumerate(read_json_lines(file, where=path), start=1):
            row = _Row(cast("dict[str, Any]", record) if isinstance(record, dict) else {}, f"{path} line {number}")
            used.add(row.text("prompt_id"))
            if row.is_control:
                continue
            key = (row.text("source_feature_id"), row.text("target_feature_id"))
            first.setdefault(key, row.claim(request))
            deltas.setdefault(key, []).append(row.oriented)
    if not first:
        raise MalformedPath(f"{path} holds no path record that is not a control.")
    claims = [replace(claim, sign=_mean_sign(deltas[key])) for key, claim in first.items()]
    return Claims(tuple(claims), len(claims), imported=True, used_ids=frozenset(used))


def _mean_sign(values: Sequence[float]) -> int:
    total = sum(values)
    return (total > 0) - (total < 0)


@dataclass(frozen=True, slots=True)
class _Row:
    """One path record as it was read: anything may be missing."""

    record: dict[str, Any]
    where: str

    @property
    def is_control(self) -> bool:
        return bool(self._metadata.get("control_type"))

    @property
    def oriented(self) -> float:
        """The change of the target, turned so that a stronger source counts as positive."""
        strength, delta = self.record.get("strength"), self.record.get("target_activation_delta")
        if not isinstance(strength, int | float) or not isinstance(delta, int | float):
            raise MalformedPath(f"{self.where} lacks a strength or a target_activation_delta.")
        return float(delta) * ((strength > 0) - (strength < 0))

    def text(self, name: str) -> str:
        value = self.record.get(name)
        if not isinstance(value, str) or not value:
            raise MalformedPath(f"{self.where} lacks {name}.")
        return value

    def claim(self, request: ValidatePathsRequest) -> Claim:
        """Return the path that the record is about."""
        source = self.end("source", request)
        if source is None:
            raise MalformedPath(f"{self.where} has no source.")
        return Claim(source, self.end("target", request))

    def end(self, side: str, request: ValidatePathsRequest) -> UnitRef | None:
        """Return the unit at one end; our own records carry it, others name a latent or a hidden dimension."""
        feature = self.text(f"{side}_feature_id")
        if side == "target" and feature == OUTPUT:
            return None
        if (given := self._metadata.get(f"{side}_unit")) is not None:
            try:
                return UnitRef.model_validate(given)
            except ValidationError as error:
                raise MalformedPath(f"{self.where} has a {side}_unit that names no unit.") from error
        return self._foreign(side, feature, request)

    def _foreign(self, side: str, feature: str, request: ValidatePathsRequest) -> UnitRef:
        parts = feature.split(":")
        layer, kind, index = self.record.get(f"{side}_layer"), parts[-1][:1], parts[-1][1:]
        if kind == "F" and index.isdigit():
            dictionary = request.source_dictionary if side == "source" else request.target_dictionary
            if dictionary is None:
                raise MalformedPath(
                    f"{feature[:80]} is a latent, and records do not hold its dictionary.",
                    remedy=f"Give {side}_dictionary, an imported dictionary.",
                )
            return UnitRef(dictionary=dictionary, index=int(index), name=feature[:60])
        if kind == "D" and index.isdigit() and isinstance(layer, int) and layer >= 0:
            # Layers of records count hidden states: 0 is the embedding, n + 1 the output of block n.
            address = Address("resid_pre", 0) if layer == 0 else Address("resid_post", layer - 1)
            return UnitRef(address=address, index=int(index), name=feature[:60])
        raise MalformedPath(f"{self.where}: {feature[:80]!r} names neither a latent nor a hidden dimension.")

    @property
    def _metadata(self) -> dict[str, Any]:
        found = self.record.get("metadata")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def record_line(values: Mapping[str, Any]) -> str:
    """Return one path record as a JSON line."""
    return json.dumps({"schema_version": RECORD_SCHEMA, **values}, allow_nan=False)


def ends_of(claims: Sequence[Claim]) -> tuple[tuple[UnitRef, ...], tuple[UnitRef, ...]]:
    """Return the sources and the targets of claims, each once; the behaviour is not among them."""
    sources = {Found(claim.source).key: claim.source for claim in claims}
    targets = {Found(claim.target).key: claim.target for claim in claims if claim.target is not None}
    return tuple(sources.values()), tuple(targets.values())


def lines_of(records: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """Yield records as JSON lines."""
    return (record_line(record) for record in records)
