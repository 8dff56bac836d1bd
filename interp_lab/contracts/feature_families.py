"""Features that several models share, and those of one alone, from comparisons of pairs: as asked and answered."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Grade, Probability
from interp_lab.contracts.intervene import ReportId
from interp_lab.contracts.results import Result

FAMILIES_KIND: Final = "feature_families"


class FamiliesRequest(Contract):
    """Say which features several models share, from comparisons of two models each."""

    comparisons: Annotated[tuple[ReportId, ...], Field(min_length=1, max_length=66)]
    """Artifacts of compare: one criterion, the same prompts, compared in the same way."""
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    """Families and lone units to list here; the report has all."""


class FamilyUnit(Contract):
    """One unit of one model."""

    model: str
    """Id of its model."""
    address: str
    """Address; of a latent with its dictionary behind a slash."""
    index: NonNegativeInt
    """Coordinate or latent."""
    promoted: tuple[str, ...] = ()
    """First tokens that it promotes (untrusted text)."""


class FamilyPair(Contract):
    """Two members of a family."""

    left: NonNegativeInt
    """Place among the members."""
    right: NonNegativeInt
    """Place among the members."""
    status: Literal["matched", "tested_and_not_matched", "not_tested"]
    """What was found of these two themselves."""
    q_value: Probability | None
    """Of the two themselves, over every pair of all comparisons; absent where they were not tested."""
    similarity: FiniteFloat | None
    """Of the two themselves."""
    weakest_q: Probability
    """Largest q on the best chain of matches between them."""


class FeatureFamily(Contract):
    """Units that a chain of matches holds together."""

    members: tuple[FamilyUnit, ...]
    """Units, in order of the models."""
    n_models: NonNegativeInt
    """Models that have one."""
    weakest_q: Probability
    """Largest q without which it would fall apart."""
    grade: Grade
    """Lowest of its matches; at most needs_causal_evidence where two members were not matched themselves."""
    pairs: tuple[FamilyPair, ...]
    """Members of different models that were tested themselves."""
    n_not_tested: NonNegativeInt = 0
    """Members of different models that hang together through others only."""


class LoneUnit(Contract):
    """A unit that was tested and matched none."""

    unit: FamilyUnit
    """The unit."""
    tested_against: tuple[str, ...]
    """Models of which some unit was tried."""
    complete: bool
    """Whether that is every other model: private as far as was tested. Not found is not absent."""
    closest_q: Probability
    """Smallest q of its pairs."""


class FamiliesReport(Contract):
    """The whole table."""

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    headline: str
    """One sentence that is true when quoted alone."""
    criterion: str
    """Of every comparison."""
    by: Literal["responses", "effects"]
    """How pairs were chosen and tested."""
    dataset_sha256: str
    """Anchor prompts of every comparison."""
    comparisons: tuple[str, ...]
    """Artifacts read."""
    models: tuple[str, ...]
    """Models, in the order of the columns: their ids, with number format and weights where several share one."""
    sides: tuple[tuple[str, str], ...] = ()
    """Left and right model of each comparison."""
    missing: tuple[tuple[str, str], ...]
    """Pairs of models that were not compared."""
    n_pairs: NonNegativeInt
    """Pairs of units tested, over which q was computed anew."""
    families: tuple[FeatureFamily, ...]
    """Shared features, those of most models first."""
    lone: tuple[LoneUnit, ...]
    """Units that matched none."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""


class FamiliesResult(Result):
    """The short form of the table."""

    models: tuple[str, ...]
    """Models."""
    n_pairs: NonNegativeInt
    """Pairs of units tested."""
    shared_by: dict[str, int]
    """Families by number of models that share them."""
    private: dict[str, int]
    """Units tested against every other model that matched none, by model."""
    families: tuple[FeatureFamily, ...]
    """The widest first."""
    lone: tuple[LoneUnit, ...]
    """Those tested against every other model first."""
