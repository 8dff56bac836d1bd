"""Files of the interp-lab package of PyPI, as they are asked about and answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, StringConstraints

from interp_lab.contracts.base import Contract
from interp_lab.contracts.results import Result

Value = str | bool | FiniteFloat | None


class PeerFileRequest(Contract):
    """Ask what a file is."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(examples=["peer/report.json"])
    """File of the workspace, JSON or JSON Lines; or ARTIFACT_ID/NAME, such as export_report gives."""
    limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Rows to show."""


class PeerFileRow(Contract):
    """One row of the file (untrusted text)."""

    name: str
    """What names it."""
    says: dict[str, Value]
    """What it says."""


class PeerFileResult(Result):
    """What a file is, what it holds and what that proves here."""

    kind: str
    """What it is, in words."""
    schema_id: str | None
    """Its schema; absent for kinds without one."""
    model: str | None
    """Model that it names (untrusted text)."""
    criterion: str | None
    """Criterion that it names (untrusted text)."""
    n_rows: NonNegativeInt
    """Rows: cards, matches, edges, lines."""
    rows: tuple[PeerFileRow, ...]
    """The first."""
    facts: dict[str, Value]
    """Single values that the document says of itself."""
    unreadable_there: tuple[str, ...]
    """Places that stop the package's own commands: a word or a null where its format has a number; the first 20."""
    provenance: Literal["imported", "asserted"]
    """Whether its rows are measurements that can be checked against others, or sums and opinions."""
    proves: str
    """What follows from it here."""


class ReportExportRequest(Contract):
    """Write one of our inspect reports as the package's report.json."""

    report: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Artifact of an inspect run."""


class ReportExportResult(Result):
    """The report that was written."""

    path: str
    """The file, on this machine, for the other package; read_peer_file takes ARTIFACT_ID/report.json."""
    n_cards: NonNegativeInt
    """Coordinates in it."""
    left_out: tuple[str, ...]
    """What of our report their format has no place for."""
