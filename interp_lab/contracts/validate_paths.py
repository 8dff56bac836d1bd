"""validate_paths as it is asked: claimed paths, rerun on prompts that had no part in finding them."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, PositiveFloat, StringConstraints, model_validator

from interp_lab.contracts.inspect import DictionaryRef
from interp_lab.contracts.intervene import ReportId, UnitRef
from interp_lab.contracts.trace_paths import PathRequest

MAX_PAIRS: Final = 64

PairText = Annotated[str, StringConstraints(min_length=3, max_length=1000, pattern=r"^[^=]+=[^=]+$")]


class ValidatePathsRequest(PathRequest):
    """Rerun exactly the claimed paths on held-out prompts and grade each."""

    trace: ReportId | None = None
    """Artifact of a trace_paths run: its strengths, pooling, holds and words are used, whatever stands here."""
    ranks: Annotated[tuple[Annotated[int, Field(ge=1, le=50)], ...], Field(max_length=50)] = ()
    """Which of its paths; empty means all."""
    pairs: Annotated[tuple[PairText, ...], Field(max_length=MAX_PAIRS)] = ()
    """Claims as 'SOURCE=TARGET': 'resid_post.1#5=resid_post.3#7', 'DICTIONARY#3=output', or names given in units."""
    units: Annotated[tuple[UnitRef, ...], Field(max_length=2 * MAX_PAIRS)] = ()
    """Units that pairs refer to by name."""
    records: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """Path-record JSON lines (interp-lab.path_patch.v1), a file of the workspace."""
    source_dictionary: DictionaryRef | None = None
    """Dictionary of source latents that records name only by number."""
    target_dictionary: DictionaryRef | None = None
    """Dictionary of target latents that records name only by number."""
    off_share: PositiveFloat = 1.0
    """Largest accepted mean size of the mediated effect on negatives, as a share of that on positives."""

    @model_validator(mode="after")
    def _has_claims(self) -> Self:
        if sum((self.trace is not None, bool(self.pairs), self.records is not None)) != 1:
            raise ValueError("give exactly one of trace, pairs and records")
        return self
