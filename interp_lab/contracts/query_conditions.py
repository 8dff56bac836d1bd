"""Which rows of an activation store a query looks at: a short list of typed conditions, all of which must hold."""

from __future__ import annotations

from typing import Annotated, Any, Self, cast

from pydantic import Field, FiniteFloat, StrictBool, StringConstraints, model_validator

from interp_lab.contracts.base import Contract

StoreName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""Artifact id of a store (64 hexadecimal digits), or the path of its folder in the workspace."""

ColumnKey = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^#\x00-\x1f]+$")]
"""A column of the store: an address ('resid_post.2'), or an address and a dictionary ('resid_post.2/NAME')."""

UnitIndex = Annotated[int, Field(ge=0, le=2**31 - 1)]

UnitName = Annotated[str, StringConstraints(max_length=310, pattern=r"^[^#\x00-\x1f]+#(0|[1-9][0-9]{0,9})$")]
"""One unit of a column: 'resid_post.2#17' is coordinate 17, 'resid_post.2/NAME#17' latent 17 of the dictionary."""

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=310, pattern=r"^[^\x00-\x1f]+$")]
"""A column of the row or prompt table, or a unit."""

Regex = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""RE2 syntax: linear in the text, no look-around, no back-references."""


class Condition(Contract):
    """One condition on a row (a token or an environment step); every part that is given must hold."""

    field: FieldName = Field(examples=["token", "label:topic", "metric:loss", "resid_post.2#17"])
    """token, text (of the prompt), id, prompt, position, token_id, group, special, generated, span, score, pair,
    subtype, split, metric:NAME, label:NAME, or a unit 'COLUMN#INDEX'."""
    one_of: Annotated[tuple[StrictBool | FiniteFloat | str, ...], Field(max_length=100)] = ()
    """The value is one of these."""
    matches: Regex | None = None
    """The text contains a match of this RE2 pattern."""
    at_least: FiniteFloat | None = None
    """The value is at least this."""
    at_most: FiniteFloat | None = None
    """The value is at most this."""
    negate: bool = False
    """Keep the rows for which the rest does not hold; a missing value never holds and is kept by this."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.one_of and self.matches is None and self.at_least is None and self.at_most is None:
            raise ValueError("give one_of, matches, at_least or at_most")
        return self


Where = Annotated[tuple[Condition, ...], Field(max_length=10)]
"""Conditions that must all hold; empty means every row."""


class Slice(Contract):
    """Some rows of a store."""

    store: StoreName | None = None
    """Another store; left out, the store of the request."""
    column: ColumnKey | None = None
    """Another column of the same width; left out, the column of the query."""
    where: Where = ()
    """Which rows; the request's own conditions hold as well."""

    @model_validator(mode="before")
    @classmethod
    def _conditions_alone(cls, given: Any) -> Any:
        """A list can only mean the conditions: that is how the request itself takes them."""
        return {"where": cast("list[Any]", given)} if isinstance(given, list) else given
