"""What was said of the units of a dossier, in words or by other tools; none of it moves a standing."""

from __future__ import annotations

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Provenance
from interp_lab.contracts.explain import BlindScore


class DossierExplanation(Contract):
    """What was said of a unit in words; a score says how well the words foresee activity, never that it is a cause."""

    unit: str
    """The unit."""
    name: str
    """As the last report calls it."""
    text: str
    """Its beginning (untrusted text)."""
    provenance: Provenance
    """asserted by an agent, or imported."""
    source: str
    """Who said so."""
    scores: tuple[BlindScore, ...]
    """Measured here, blind; empty before that."""
    attempt: NonNegativeInt
    """Challenges that the latent had seen when it was scored."""
    imported_scores: dict[str, FiniteFloat]
    """Scores that the source reports; never mixed with those measured here."""


class ImportedStatement(Contract):
    """What a file of another tool says of a unit; it never moves a standing."""

    unit: str
    """As the file names it (untrusted text)."""
    text: str
    """Its label there (untrusted text)."""
    model: str
    """The model that the file names."""
    association: FiniteFloat | None
    """As that tool computes it, on whatever prompts."""
    effect: FiniteFloat | None
    """Signed effect, where the file counts interventions."""
    n_records: NonNegativeInt
    """Interventions behind it."""
    grade_there: str | None
    """Its grade in that tool's words."""
    file: str
    """Path of the file."""
    sha256: str
    """Hash of the file."""
