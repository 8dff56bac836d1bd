"""The base of every record that crosses a boundary, and the constrained words they share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

Probability = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]
"""A finite number in [0, 1]."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A short human-readable name."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed for every random choice of one request."""

Grade = Literal["validated", "needs_causal_evidence", "plausible", "contradicted", "weak"]
"""How far the evidence for a claim carries; see docs/concepts.md."""

Provenance = Literal["measured", "imported", "asserted"]
"""Measured by this software, imported from a named file or service, or merely said by a person or an agent."""

HypothesisId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Hash of a registered hypothesis."""


class Contract(BaseModel):
    """Base of every wire record: immutable, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )


class Interval(Contract):
    """An interval estimate in the unit of the number that it belongs to."""

    low: FiniteFloat
    """Lower bound."""
    high: FiniteFloat
    """Upper bound."""
    level: Probability = 0.95
    """Coverage the interval is built for."""
    method: str
    """How it was computed, for example 'cluster bootstrap, 2000 resamples'."""
