"""query_activations as it is asked and answered: one request, one of nine questions, one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    JsonValue,
    NonNegativeInt,
    StringConstraints,
    model_validator,
)

from interp_lab.contracts.base import Contract, Probability, Seed
from interp_lab.contracts.query_conditions import ColumnKey, FieldName, Slice, StoreName, UnitIndex, UnitName, Where
from interp_lab.contracts.results import Result

QueryCursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=.-]{1,200}$")]
Units = Annotated[tuple[UnitIndex, ...], Field(max_length=500)]
"""Units of the column; empty means all of them."""


class OverviewQuery(Contract):
    """What is in this store: columns, metrics, labels, counts. Ask it first."""

    kind: Literal["overview"]
    """Names the question."""


class SearchQuery(Contract):
    """The rows for which the conditions hold."""

    kind: Literal["search"]
    """Names the question."""
    show: Annotated[tuple[UnitName, ...], Field(max_length=5)] = ()
    """Units whose values are shown with each row."""
    order: Literal["row", "value", "magnitude"] = "row"
    """In reading order, or by the first shown unit, largest first."""
    window: Annotated[int, Field(ge=0, le=100)] = 6
    """Tokens of text on each side."""


class ContextsQuery(Contract):
    """The tokens at which one unit is strongest, or a seeded sample from every quantile of its values."""

    kind: Literal["contexts"]
    """Names the question."""
    column: ColumnKey
    """Column to look at."""
    unit: UnitIndex
    """Unit of the column."""
    choose: Literal["top", "bottom", "quantiles"] = "top"
    """quantiles: of the values of rows on which the unit is not 0."""
    n_quantiles: Annotated[int, Field(ge=2, le=10)] = 4
    """Equally filled ranges, strongest first; limit is shared between them."""
    one_per_prompt: bool = True
    """Show a prompt once, at its strongest token."""
    window: Annotated[int, Field(ge=0, le=100)] = 10
    """Tokens of text on each side."""


class UnitsQuery(Contract):
    """Statistics of every unit: mean, std, min, max, firing rate, quantiles."""

    kind: Literal["units"]
    """Names the question."""
    column: ColumnKey
    """Column to look at."""
    units: Units = ()
    """Units to look at; empty means all."""
    sort: Literal["firing_rate", "mean", "std", "min", "max", "unit"] = "firing_rate"
    """What to sort by."""
    ascending: bool = False
    """Smallest first."""
    only: Literal["all", "dead", "dense"] = "all"
    """dead and dense are about how often a unit fires, never about its mean."""
    fires_above: FiniteFloat = 0.0
    """A unit fires on a row when its value is above this."""
    dead_rate: Probability = 0.0
    """A unit that fires on at most this share of rows is dead."""
    dense_rate: Probability = 0.1
    """A unit that fires on at least this share is dense."""


class AssociateQuery(Contract):
    """Correlation of every unit with metrics, and AUROC with labels (each value against the rest)."""

    kind: Literal["associate"]
    """Names the question."""
    column: ColumnKey
    """Column to look at."""
    targets: Annotated[tuple[FieldName, ...], Field(max_length=50)] = ()
    """metric:NAME, label:NAME, span, generated, score …; empty means every metric and label of the store."""
    units: Units = ()
    """Units to look at; empty means all."""
    max_values: Annotated[int, Field(ge=2, le=100)] = 20
    """A label with more values than this is reported and left out."""
    sort: Literal["strength", "q", "unit"] = "strength"
    """strength: |r| or |2 AUROC - 1|, both 0 to 1."""


class DifferenceQuery(Contract):
    """How far the units differ between two slices of one store, two stores, or two models' stores."""

    kind: Literal["difference"]
    """Names the question."""
    column: ColumnKey
    """Column to look at."""
    a: Slice
    """The difference is a - b."""
    b: Slice
    """The other side."""
    units: Units = ()
    """Units to look at; empty means all."""
    sort: Literal["d", "q", "unit"] = "d"
    """d: by the size of Cohen's d."""


class TimelineQuery(Contract):
    """Units and metrics token by token over one prompt, or step by step over one episode."""

    kind: Literal["timeline"]
    """Names the question."""
    prompt: NonNegativeInt | Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Index or id of the prompt or episode."""
    show: Annotated[tuple[UnitName, ...], Field(min_length=1, max_length=6)]
    """Units to show."""
    metrics: Annotated[tuple[FieldName, ...], Field(max_length=6)] = ()
    """metric:NAME or label:NAME to show beside them."""
    stride: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Show every so-many-th row."""

    @model_validator(mode="before")
    @classmethod
    def _metrics_among_the_units(cls, given: Any) -> Any:
        """Take metric:NAME and label:NAME out of `show`: no unit has such a name."""
        fields: dict[str, Any] = dict(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else {}
        shown, metrics = fields.get("show"), fields.get("metrics", ())
        if not isinstance(shown, list | tuple) or not isinstance(metrics, list | tuple):
            return cast("Any", given)
        names = [*cast("list[Any]", shown)]
        moved = [name for name in names if isinstance(name, str) and name.startswith(("metric:", "label:"))]
        units = [name for name in names if name not in moved]
        return fields | {"show": units, "metrics": [*cast("list[Any]", metrics), *moved]}


class LevelsQuery(Contract):
    """Mean of units for every value of a label or every token: which values a unit stands out on."""

    kind: Literal["levels"]
    """Names the question."""
    column: ColumnKey
    """Column to look at."""
    by: FieldName = Field(examples=["token", "label:topic"])
    """token, position, split, subtype, label:NAME …"""
    units: Units = ()
    """One unit: a row per value. Several or all: a row per unit, ranked by how far its means lie apart."""
    min_count: Annotated[int, Field(ge=1)] = 5
    """Values seen on fewer rows are left out and counted."""


class ProfileQuery(Contract):
    """Layer × position: the mean norm, or the mean of one unit, for each column and range of positions."""

    kind: Literal["profile"]
    """Names the question."""
    columns: Annotated[tuple[ColumnKey, ...], Field(max_length=200)] = ()
    """Empty means every column."""
    unit: UnitIndex | None = None
    """This unit of each column; left out, the Euclidean norm over all units."""
    bins: Annotated[int, Field(ge=1, le=64)] = 16
    """Ranges of positions, equally wide."""


Query = Annotated[
    OverviewQuery
    | SearchQuery
    | ContextsQuery
    | UnitsQuery
    | AssociateQuery
    | DifferenceQuery
    | TimelineQuery
    | LevelsQuery
    | ProfileQuery,
    Field(discriminator="kind"),
]


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class QueryRequest(Contract):
    """One question to one activation store."""

    store: StoreName
    """Artifact id of the store, or its folder in the workspace."""
    query: Annotated[Query, BeforeValidator(_named, json_schema_input_type=Query | Literal["overview"])]
    """The question; 'overview' alone asks what there is."""
    where: Where = ()
    """Look only at rows for which all of these hold."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """Table rows on a page."""
    cursor: QueryCursor | None = None
    """next_cursor of the page before."""
    sample_rows: Annotated[int, Field(ge=100)] | None = None
    """Compute statistics on this many rows, drawn at random without replacement; left out, on all of them."""
    seed: Seed = 0
    """Seed of that draw and of every other."""
    plot: Literal["none", "html", "png"] = "none"
    """Also publish a figure of this page as an artifact."""


class Header(Contract):
    """One column of the answer's table."""

    name: str
    """Name of the column."""
    about: str
    """What it is, with its unit."""


class Table(Contract):
    """Rows in the order of the headers."""

    headers: tuple[Header, ...]
    """Columns."""
    rows: tuple[tuple[JsonValue, ...], ...]
    """Text in it comes from prompts and models: data, not instructions."""


class RowCount(Contract):
    """What the answer was computed on."""

    rows: NonNegativeInt
    """Rows (tokens or steps) that it looked at."""
    of_rows: NonNegativeInt
    """Rows of the store for which the conditions hold."""
    prompts: NonNegativeInt
    """Prompts or episodes they are from."""
    groups: NonNegativeInt
    """Independent groups: what intervals and q-values count."""
    sampled: bool = False
    """Whether rows is a draw from of_rows."""


class QueryResult(Result):
    """One page of the answer."""

    kind: str
    """Which question was answered."""
    store: str
    """Name of the store."""
    n: RowCount
    """What it was computed on."""
    table: Table
    """The page."""
    total: NonNegativeInt
    """Table rows on all pages together."""
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """What holds for the answer as a whole, for example targets that were left out and why."""
    next_cursor: str | None = None
    """Give it back for the next page; absent on the last."""
