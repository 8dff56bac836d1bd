"""Which units a request means: those it names, or coordinates of an inspect report. Torch-free, so plans use it too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from pydantic import JsonValue, ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.features import ExplanationSearch, SearchFeaturesRequest
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport
from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.unit_selection import UnitSearch
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import DiscoveryRowsReused, InvalidRequest
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import dictionary_configs
from interp_lab.workflows.inspection.learned_files import KeptDirection, is_learned, kept_direction
from interp_lab.workflows.intervening.listed_units import ListedUnits
from interp_lab.workflows.memory.units import called, unit_id

_KIND = "inspect_report"
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """One unit to edit, and what an earlier run said of it."""

    ref: UnitRef
    explore_q: float | None = None
    """Over every coordinate that the report tested; None for a unit that the caller named."""
    n_tested: int | None = None
    """Among how many it was found; without a q of the report, its own p counts that many times."""
    candidates: frozenset[tuple[str, int]] = frozenset()
    """Dictionary and index of every latent that the report found to go with the criterion: none of them is a control,
    because it may be a cause itself."""
    unit: str | None = None
    """Id by which reports know it, where the reference has no name but its numbers."""
    explore_auroc: tuple[float, float, float] | None = None
    """Of a direction that explore prompts taught, its AUROC there as held out, with the interval: as it stands it
    would look better on them than it is."""

    @property
    def key(self) -> str:
        """How the unit is called."""
        return called(self.ref)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids that mean this unit, the one that reports use first."""
        return tuple(dict.fromkeys((self.unit or unit_id(self.ref), unit_id(self.ref))))


def find_units(request: InterveneRequest, prompts: PromptSet, settings: Settings) -> tuple[Found, ...]:
    """Return the units of a request, each with a name of its own.

    Raises:
        LabError: whatever is wrong with a search.
        DiscoveryRowsReused: The report's coordinates were chosen on rows that would grade them here.
        InvalidRequest: The report is about another model, or has no coordinate of that rank.
        UnknownArtifact, ArtifactCorrupt: There is no such report.
    """
    if request.search is not None:
        return _distinct(searched(request.search, settings))
    if request.report is None:
        return _distinct([Found(ref) for ref in request.units])
    report, dictionaries, asked = _read(request.report, settings)
    _refuse_other_question(report, request)
    _refuse_other_split(report, request, prompts)
    cards = {card.rank: card for card in report.coordinates}
    if missing := sorted(set(request.ranks) - set(cards)):
        raise InvalidRequest(f"The report describes ranks 1 to {len(cards)}, so there is no rank {missing[0]}.")
    keys = _lens_keys(dictionaries, settings)
    listed = ListedUnits(asked, settings)
    found = [
        _learned(cards[rank], request.report, report.n_tested, settings)
        or _of_card(cards[rank], keys, listed, report.n_tested)
        for rank in dict.fromkeys(request.ranks)
    ]
    candidates = frozenset(
        (keys[card.address], card.index) for card in report.coordinates if card.grade != "weak" and card.address in keys
    )
    return _distinct([replace(each, candidates=candidates) for each in found])


def searched(asked: UnitSearch, settings: Settings) -> list[Found]:
    """Return the best latents of a search.

    Raises:
        InvalidRequest: It is a search by explanation, or finds nothing.
        LabError: whatever is wrong with the store, the dictionary or the search.
    """
    from interp_lab.workflows.search_features import search_features  # lazy: numpy and pyarrow, only when asked

    if isinstance(asked.by, ExplanationSearch):
        raise InvalidRequest(
            "Latents are not taken from a search by explanation.", remedy="Call search_features and name the units."
        )
    stores = () if asked.store is None else (asked.store,)
    request = SearchFeaturesRequest(by=asked.by, stores=stores, dictionaries=(asked.dictionary,), limit=asked.n)
    table = search_features(request, settings=settings).table
    names = [header.name for header in table.headers]
    if not table.rows:
        raise InvalidRequest("The search finds no latent.", remedy="Search for something that the store has.")
    units = [
        int(str(row[names.index("unit")] if "unit" in names else row[names.index("feature")]).rpartition("#")[2])
        for row in table.rows
    ]
    return [Found(UnitRef(dictionary=asked.dictionary, index=unit)) for unit in dict.fromkeys(units)]


def _read(artifact_id: str, settings: Settings) -> tuple[InspectReport, tuple[str, ...], Mapping[str, JsonValue]]:
    """Return a report, the dictionaries that it ranked in their order, and what was asked."""
    store = ArtifactStore(WorkspacePaths.of(settings))
    manifest = store.open_as(artifact_id, _KIND)
    try:
        report = InspectReport.model_validate_json(store.read_file(artifact_id, "report.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact_id} is not one this version reads.") from error
    numbered = [name.split(" ", 2)[1:] for name in manifest.inputs if name.startswith("dictionary ")]
    asked = manifest.spec.get("request")
    names = tuple(name for _, name in sorted(numbered, key=lambda item: int(item[0])))
    return report, names, asked if isinstance(asked, dict) else {}


class Asked(Protocol):
    """A request about the prompts of a report."""

    @property
    def model(self) -> ModelRef:
        """Its model."""
        ...

    @property
    def criterion(self) -> str:
        """Its criterion."""
        ...

    @property
    def pooling(self) -> Pooling:
        """How values of tokens become one of a prompt."""
        ...

    @property
    def threshold(self) -> float:
        """What its positives score at least."""
        ...

    @property
    def seed(self) -> int:
        """Seed of its split."""
        ...


class LearnedRow(NamedTuple):
    """A direction that a report learned, and how surely it found it."""

    kept: KeptDirection
    explore_q: float


def learned_row(artifact_id: str, rank: int, request: Asked, *, prompts: PromptSet, settings: Settings) -> LearnedRow:
    """Return the direction at a rank of a report about the same question and the same split.

    Raises:
        DiscoveryRowsReused: The report's prompts or their split are others.
        InvalidRequest: The report is about another model or criterion, pooled otherwise, or has no direction of that
            rank. Its q is of its own pooling: beside values pooled otherwise it would be evidence of something else.
        UnknownArtifact, ArtifactCorrupt: There is no such report.
    """
    report, _, _ = _read(artifact_id, settings)
    _refuse_other_question(report, request)
    _refuse_other_split(report, request, prompts)
    card = next((card for card in report.coordinates if card.rank == rank), None)
    if card is None or not is_learned(card.address):
        raise InvalidRequest(
            f"Rank {rank} of artifact {artifact_id} is no direction that it learned.",
            remedy="Inspect with evidence 'directions'; for a latent, use source latent.",
        )
    q = card.explore.q_value
    return LearnedRow(kept_direction(artifact_id, card.address, card.index, settings), 1.0 if q is None else q)


def _refuse_other_question(report: InspectReport, request: Asked) -> None:
    _refuse_other(
        ("model", report.model.id, request.model.id),
        ("criterion", report.criterion, request.criterion),
        ("pooling", report.pooling, request.pooling),
    )


def _refuse_other(*asked: tuple[str, str, str]) -> None:
    for name, there, here in asked:
        if there != here:
            raise InvalidRequest(
                f"The report's {name} is {there!r}, not {here!r}.", remedy=f"Ask with {name} {there!r}."
            )


def _refuse_other_split(report: InspectReport, request: Asked, prompts: PromptSet) -> None:
    """The halves follow from prompts, threshold and seed; any other would grade on rows that chose the coordinates."""
    if report.dataset.sha256 != prompts.sha256:
        raise DiscoveryRowsReused(
            "These are not the prompts of the report, so which of them chose its coordinates is not known.",
            remedy=f"Use the report's dataset, {report.dataset.name!r}, as it was.",
        )
    if report.run.seed != request.seed or report.dataset.n_positive != sum(prompts.positive(request.threshold)):
        raise DiscoveryRowsReused(
            f"The report split its prompts with seed {report.run.seed} and {report.dataset.n_positive} positives; any "
            "other split would grade its coordinates on rows that chose them.",
            remedy=f"Use seed {report.run.seed} and the report's threshold.",
        )


def _learned(card: CoordinateCard, report: str, n_tested: int, settings: Settings) -> Found | None:
    """Return a direction that the report learned; None for any other coordinate."""
    if not is_learned(card.address):
        return None
    kept = kept_direction(report, card.address, card.index, settings)
    numbers = tuple(float(value) for value in kept.vector)
    ref = UnitRef(address=Address.parse(kept.record.address), direction=numbers, name=kept.record.name[:60])
    seen, q = card.explore.auroc, card.explore.q_value
    held_out = None if seen.interval is None else (seen.value, seen.interval.low, seen.interval.high)
    return Found(ref, 1.0 if q is None else q, n_tested, unit=f"{card.address}#{card.index}", explore_auroc=held_out)


def _of_card(card: CoordinateCard, keys: dict[str, str], listed: ListedUnits, n_tested: int) -> Found:
    q = card.explore.q_value
    name = f"{card.address} #{card.index}"[:60]
    ref = listed.unit(card, name)
    if ref is not None:
        pass
    elif "/" in card.address:
        if card.address not in keys:
            raise InvalidRequest(f"The dictionary of {name} is no longer where the report read it.")
        ref = UnitRef(dictionary=keys[card.address], index=card.index, name=name)
    else:
        ref = UnitRef(address=Address.parse(card.address), index=card.index, name=name)
    unit = None if ref.direction is None else f"{card.address}#{card.index}"
    return Found(ref, 1.0 if q is None else q, n_tested, unit=unit)


def _lens_keys(names: Sequence[str], settings: Settings) -> dict[str, str]:
    """Return the dictionary behind each address of latents, named as reports name them."""
    configs = dictionary_configs(names, settings)
    keys = [f"{'+'.join(c.addresses_in)}/{c.architecture}-{c.n_latents}" for c in configs]
    taken = Counter(keys)
    numbered = (key if taken[key] == 1 else f"{key}-{number}" for number, key in enumerate(keys))
    return dict(zip(numbered, dict.fromkeys(names), strict=True))


def _distinct(found: Sequence[Found]) -> tuple[Found, ...]:
    keys = [each.key for each in found]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRequest(f"Two units are called {twice!r}.", remedy="Give each a name of its own.")
    return tuple(found)
