"""The units that a report of inspect describes, as a side of a comparison. Torch-free, so plans use it too."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.compare import CompareRequest, Side
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import DiscoveryRowsReused, InvalidRequest
from interp_lab.points import Address
from interp_lab.settings import Settings

_KIND = "inspect_report"
_MAX_BYTES = 64 * 2**20


class Described(NamedTuple):
    """A side as its report has it, and the units to compare, by address and index, best first."""

    side: Side
    units: tuple[tuple[str, int], ...]


def described(side: Side, request: CompareRequest, prompts: PromptSet | None, settings: Settings) -> Described:
    """Return the side with the places of its report; a side without a report as it is, with no units named.

    Raises:
        InvalidRequest: The report is of another model or was pooled otherwise.
        DiscoveryRowsReused: It chose its units on other halves of the prompts than this comparison would.
        UnknownArtifact, ArtifactCorrupt: There is no such report.
    """
    if side.report is None:
        return Described(side, ())
    report, dictionaries = _read(side.report, settings)
    for name, there, here in (("model", report.model.id, side.model.id), ("pooling", report.pooling, request.pooling)):
        if there != here:
            raise InvalidRequest(f"The {name} of report {side.report} is {there!r}, not {here!r}.")
    if report.model.source is not None and side.evidence is None:
        raise InvalidRequest(
            f"Report {side.report} is of {report.model.source}, which no model was run for.",
            remedy="Give the same evidence beside the report.",
        )
    _refuse_other_halves(side.report, report, request, prompts)
    units = tuple((card.address, card.index) for card in sorted(report.coordinates, key=lambda card: card.rank))
    if side.evidence is not None:
        return Described(side, units)
    addresses = tuple(Address.parse(row.address) for row in report.layers if "/" not in row.address)
    places = {"addresses": addresses, "dictionaries": side.dictionaries or dictionaries}
    return Described(side.model_copy(update=places), units)


def _read(artifact: str, settings: Settings) -> tuple[InspectReport, tuple[str, ...]]:
    store = ArtifactStore(WorkspacePaths.of(settings))
    manifest = store.open_as(artifact, _KIND)
    try:
        report = InspectReport.model_validate_json(store.read_file(artifact, "report.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact} is not one this version reads.") from error
    numbered = [name.split(" ", 2)[1:] for name in manifest.inputs if name.startswith("dictionary ")]
    return report, tuple(name for _, name in sorted(numbered, key=lambda item: int(item[0])))


def _refuse_other_halves(
    artifact: str, report: InspectReport, request: CompareRequest, prompts: PromptSet | None
) -> None:
    """The halves follow from prompts, threshold and seed; others would test units on rows that chose them."""
    if prompts is not None and report.dataset.sha256 != prompts.sha256:
        raise DiscoveryRowsReused(
            f"Report {artifact} is not about these prompts, so which of them chose its units is not known.",
            remedy=f"Use the report's dataset, {report.dataset.name!r}, as it was.",
        )
    positive = None if prompts is None else sum(prompts.positive(request.threshold))
    if report.run.seed != request.seed or positive not in (None, report.dataset.n_positive):
        raise DiscoveryRowsReused(
            f"Report {artifact} split its prompts with seed {report.run.seed} and {report.dataset.n_positive} "
            "positives; any other split would test its units on rows that chose them.",
            remedy=f"Use seed {report.run.seed} and the report's threshold.",
        )
