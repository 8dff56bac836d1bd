"""Which rows of a store a search is about: those with certain tokens, within a phrase, or with a label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.contracts.features import LabelSearch, TextSearch, TokensSearch
from interp_lab.contracts.query_conditions import Condition
from interp_lab.errors import EmptySlice, InvalidRequest, LabelsUnusable
from interp_lab.statistics.arrays import Bools
from interp_lab.store.arrow import arrow
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.querying.conditions import rows_where
from interp_lab.workflows.querying.view import StoreView

RowSearch = TokensSearch | TextSearch | LabelSearch


class Match(NamedTuple):
    """Rows that match, among those on which that is known."""

    name: str
    rows: Bools
    """`(n_rows,)`."""
    known: Bools
    """`(n_rows,)`."""


def match(view: StoreView, by: RowSearch) -> Match:
    """Return the rows that a search is about.

    Raises:
        EmptySlice: None matches, or all do.
        InvalidCondition, UnknownField: The store does not have the field, or the pattern is none.
        LabelsUnusable, InvalidRequest: The label is no single value per row, or no value of it is named.
    """
    if isinstance(by, LabelSearch):
        found = _labelled(view, by)
    elif isinstance(by, TextSearch):
        found = Match(f"the phrase {by.phrase[:60]!r}", _within(view, by.phrase), np.ones(view.n_rows, dtype=np.bool_))
    else:
        found = _tokens(view, by)
    n = int(np.count_nonzero(found.rows))
    if n in {0, int(np.count_nonzero(found.known))}:
        how = "Every row matches" if n else "No row matches"
        raise EmptySlice(f"{how} {found.name} in {view.name[:80]!r}, so nothing can be told apart by it.")
    return found


def _tokens(view: StoreView, by: TokensSearch) -> Match:
    if not by.one_of and by.matches is None:
        raise InvalidRequest("Searching by tokens needs one_of or matches.")
    condition = Condition(field="token", one_of=by.one_of, matches=by.matches)
    parts = [repr(token) for token in by.one_of[:5]] + ([f"/{by.matches[:60]}/"] if by.matches else [])
    return Match(f"tokens {', '.join(parts)}", rows_where(view, [condition]), view.tokens.codes >= 0)


def _within(view: StoreView, phrase: str) -> Bools:
    """Return the rows whose token shares a character with an occurrence of the phrase."""
    text, ends = prepared(view).text
    inside = np.zeros(view.n_rows, dtype=np.bool_)
    begin = text.find(phrase)
    while begin >= 0:
        # Row r has characters ends[r - 1] to ends[r]; prompts are kept apart by a character that no phrase has.
        first = int(np.searchsorted(ends, begin, side="right"))
        last = int(np.searchsorted(ends, begin + len(phrase), side="left"))
        inside[first : last + 1] = True
        begin = text.find(phrase, begin + 1)
    return inside


def _labelled(view: StoreView, by: LabelSearch) -> Match:
    values = view.field(by.label) if view.where_is(by.label) == "row" else view.prompts.column(by.label)
    types = arrow().types
    if types.is_nested(values.type) or types.is_floating(values.type):
        raise LabelsUnusable(f"{by.label} holds {values.type}.", remedy="Ask query_activations associate.")
    if by.value is None and not types.is_boolean(values.type):
        raise InvalidRequest(f"{by.label} has several values; name one.", remedy="Set value in by.")
    wanted = "true" if by.value is None else by.value
    texts = values.cast("string")
    known = ~texts.is_null().to_numpy(zero_copy_only=False).astype(np.bool_)
    chosen = arrow().compute.equal(texts, wanted).fill_null(False)  # noqa: FBT003  # an absent value is not the value
    rows = chosen.to_numpy(zero_copy_only=False).astype(np.bool_)
    if view.where_is(by.label) == "prompt":
        rows, known = rows[view.row_prompt], known[view.row_prompt]
    return Match(f"{by.label}={wanted}", rows, known)
