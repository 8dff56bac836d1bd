"""Intervention records (JSON Lines): the form in which tools exchange single edited runs, read strictly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Final, Literal, cast

from pydantic import Field, FiniteFloat, JsonValue, StringConstraints, ValidationError

from interp_lab.contracts.base import Contract
from interp_lab.errors import MalformedFile
from interp_lab.store.interchange.lines import numbered_objects

SCHEMA: Final = "interp-lab.intervention_record.v1"
DOWNWARD: Final = frozenset({"ablate", "clamp_down", "knockout", "remove", "suppress", "zero"})
"""Words for edits that take something away."""
UPWARD: Final = frozenset({"amplify", "clamp", "clamp_up", "patch", "patch_in", "steer"})
"""Words for edits that add something or put it there."""
CONTROLS: Final = frozenset({"control", "matched_frequency", "negative_control", "placebo", "random", "random_feature"})
"""Words for what a row is a control of; a row without one is an effect."""

_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class InterventionRecord(Contract):
    """One edited run of one prompt beside the unedited one; everything in it is untrusted."""

    schema_version: Literal["interp-lab.intervention_record.v1"] = SCHEMA
    """Absent in older files."""
    model: _Name
    """Id of the model."""
    feature_id: _Name
    """What was edited; of a control, what it is a control of."""
    intervention: _Name
    """How, in lower case."""
    baseline_score: FiniteFloat
    """The behaviour without the edit."""
    intervention_score: FiniteFloat
    """With it."""
    criterion: str | None = None
    """The question; absent fits any."""
    prompt_id: str | None = None
    """The prompt."""
    side_effect_score: FiniteFloat | None = None
    """Mean size of the shift on negatives, repeated on every row of a unit."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """What else the writer said."""

    @property
    def change(self) -> float:
        """Score with the edit less score without it."""
        return self.intervention_score - self.baseline_score

    @property
    def oriented(self) -> float:
        """The change, positive if more of the unit raises the score.

        Which way the edit moved the unit is what the writer says of this run, else what the word for it says; a steered
        direction may have been turned to the side of the positives before.
        """
        told = self.metadata.get("dose_sign")
        if isinstance(told, int | float) and told in (-1, 0, 1):
            return self.change * told
        turned = self.metadata.get("steer_sign")
        sign = -1.0 if isinstance(turned, int | float) and turned < 0 else 1.0
        return -self.change if self.intervention in DOWNWARD else self.change * sign

    @property
    def strength(self) -> float | None:
        """How strong the edit was, where the writer says so."""
        for name in ("requested_strength", "steer_strength", "strength"):
            value = self.metadata.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    @property
    def control_type(self) -> str | None:
        """What kind of control the row is, or None for an effect."""
        kind = self.metadata.get("control_type")
        return kind if isinstance(kind, str) and kind in CONTROLS else None


def read_interventions(
    file: BinaryIO, *, where: str, criterion: str | None = None
) -> Iterator[tuple[int, InterventionRecord]]:
    """Yield line number and record of every line; with a criterion, records of another one are left out.

    Raises:
        MalformedFile: A line is not such a record, or its intervention is none that is known; the message names it.
        FileTooLarge: A line is too long.
    """
    for number, value in numbered_objects(file, where=where):
        record = _record(value, f"{where}, line {number}")
        if criterion is None or record.criterion in (None, criterion):
            yield number, record


def _record(value: dict[str, Any], where: str) -> InterventionRecord:
    try:
        read = InterventionRecord.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in cast(tuple[Any, ...], first["loc"]))
        raise MalformedFile(f"{where}, is not an intervention record: {field[:80]}: {first['msg'][:120]}.") from error
    lowered = read.model_copy(update={"intervention": read.intervention.lower()})
    if lowered.intervention not in DOWNWARD | UPWARD:
        raise MalformedFile(f"{where}, names an intervention that is not known: {lowered.intervention[:40]!r}.")
    return lowered
