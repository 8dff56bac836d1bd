"""A claim: what is said of which latent, from which source, with its grade; a frozen record that grades itself.

Measured, imported and asserted sources are different types, because each must name different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from interp_lab.contracts.base import Provenance
from interp_lab.errors import InvalidRequest
from interp_lab.evidence.facts import AssociationEvidence, InterventionEvidence
from interp_lab.evidence.grade import Grading, grade
from interp_lab.evidence.reasons import Reason


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured by this software."""

    run: str
    """Job or artifact id."""
    code_version: str
    inputs: tuple[tuple[str, str], ...]
    """Name and sha256 of every input."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Read from a file or service that is named."""

    origin: str
    """File or service."""
    digest: str
    """Sha256 of what was read."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """Said by a person or an agent."""

    by: str


Source = Measured | Imported | Asserted

_PROVENANCE: dict[type[Source], Provenance] = {Measured: "measured", Imported: "imported", Asserted: "asserted"}


@dataclass(frozen=True, slots=True)
class Subject:
    """The latent that a claim is about: an index at an address of a model, in a dictionary or in the site itself."""

    model: str
    revision: str | None
    address: str
    dictionary: str | None
    latent: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about a latent with its source and its grade."""

    subject: Subject
    criterion: str
    statement: str
    source: Source
    association: AssociationEvidence | None = None
    interventions: tuple[InterventionEvidence, ...] = ()
    grading: Grading = field(init=False)

    def __post_init__(self) -> None:
        """Grade the claim; a source that is missing or at odds with its evidence is refused."""
        _require_named(self.source)
        object.__setattr__(self, "grading", _graded(self.source, self.association, self.interventions))

    @property
    def provenance(self) -> Provenance:
        """Measured, imported or asserted."""
        return _PROVENANCE[type(self.source)]


def _graded(
    source: Source, association: AssociationEvidence | None, interventions: Sequence[InterventionEvidence]
) -> Grading:
    if isinstance(source, Asserted):
        return Grading("weak", (Reason.ASSERTED,))
    if association is None:
        return Grading("weak", (Reason.NOT_FOUND,))
    return grade(association, interventions)


def _require_named(source: Source) -> None:
    match source:
        case Measured(run, code_version, inputs):
            complete = bool(run and code_version and inputs)
        case Imported(origin, digest):
            complete = bool(origin and digest)
        case Asserted(by):
            complete = bool(by)
    if not complete:
        raise InvalidRequest(f"A source must name everything it rests on, got {source}.")
