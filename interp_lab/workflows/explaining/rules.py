"""A stated rule against the latent: which tokens it names, how often that is right, and where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.explain import Breaks, FindBreaks, TokenRule
from interp_lab.contracts.features import FeatureContext
from interp_lab.errors import InvalidCondition, QueryTooLarge, TooFewGroups
from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.statistics.clustered_mean import INTERVAL_METHOD
from interp_lab.statistics.clustered_ratio import clustered_ratio
from interp_lab.store.arrow import arrow
from interp_lab.workflows.explaining.halves import Explained
from interp_lab.workflows.features.contexts import Chosen, shown_contexts
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.querying.texts import token_texts, window
from interp_lab.workflows.querying.view import StoreView

BEFORE = 8
"""Tokens before a token that a pattern of its context sees."""
MAX_CONTEXT_ROWS = 300_000
_WIDTH = 8


def find_breaks(explained: Explained, step: FindBreaks) -> Breaks:
    """Return where rule and latent disagree in the explore half, and how often they agree.

    Raises:
        InvalidCondition: A pattern is not RE2.
        QueryTooLarge: A context pattern would have to be tried on too many tokens.
    """
    rows = np.flatnonzero(explained.explores)
    fits = np.zeros(explained.view.n_rows, np.bool_)
    fits[rows[matching(explained.view, rows, step.rule)]] = True
    active = explained.signal.is_active & explained.explores
    groups = explained.view.prompt_group[explained.view.row_prompt[rows]]
    precision, above = _share(active[rows], fits[rows], groups)
    recall, found = _share(fits[rows], active[rows], groups)
    strongest = explained.explore_signal.active
    return Breaks(
        precision=precision,
        precision_interval=above,
        recall=recall,
        recall_interval=found,
        unexplained=_shown(explained, strongest[~fits[strongest]], step.limit),
        silent=_shown(explained, np.flatnonzero(fits & ~active), step.limit),
    )


def matching(view: StoreView, rows: Ints, rule: TokenRule) -> Bools:
    """Return which of these rows fit a rule `(len(rows),)`; errors as `find_breaks`."""
    codes, texts = view.tokens
    known = np.ones(len(texts), np.bool_)
    if rule.one_of:
        known &= np.isin(np.array([text.as_py() for text in texts], dtype=object), list(rule.one_of))
    if rule.matches is not None:
        known &= _matches(texts, rule.matches)
    fits = (codes[rows] >= 0) & known[codes[rows]] if len(texts) else np.zeros(rows.size, np.bool_)
    if rule.context is None:
        return fits
    tried = np.flatnonzero(fits)
    if tried.size > MAX_CONTEXT_ROWS:
        raise QueryTooLarge(
            f"The context pattern would be tried on {tried.size} tokens, more than {MAX_CONTEXT_ROWS}.",
            remedy="Narrow the rule with one_of or matches.",
        )
    seen = arrow().array(["".join(_before(view, int(row))) for row in rows[tried]], arrow().string())
    fits[tried] = _matches(seen, rule.context)
    return fits


def context_at(explained: Explained, rows: Ints) -> tuple[FeatureContext, ...]:
    """Return rows as contexts with their values, marked as of no band."""
    chosen = [Chosen(int(row), 0, window(explained.view, int(row), _WIDTH)) for row in rows]
    return shown_contexts(explained.signal, chosen)


def one_per_prompt(view: StoreView, rows: Ints, n: int) -> Ints:
    """Return the first `n` rows of different prompts, in their order."""
    first = np.sort(np.unique(view.row_prompt[rows], return_index=True)[1])
    return rows[first[:n]]


def _before(view: StoreView, row: int) -> Iterator[str]:
    start = row
    while start > max(0, row - BEFORE) and view.row_prompt[start - 1] == view.row_prompt[row]:
        start -= 1
    yield from token_texts(view, start, row + 1)


def _matches(texts: Any, pattern: str) -> Bools:
    pa = arrow()
    try:
        found = pa.compute.match_substring_regex(texts, pattern)
    except pa.ArrowInvalid as error:
        raise InvalidCondition(f"{pattern[:80]!r} is not an RE2 pattern: {str(error)[:120]}") from error
    return found.fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_)  # noqa: FBT003


def _share(part: Bools, whole: Bools, groups: Ints) -> tuple[float | None, Interval | None]:
    """Return the share of `whole` that is in `part`, over the groups that have any of `whole`."""
    if not whole.any():
        return None, None
    both = (part & whole)[whole].astype(np.float64)
    try:
        found = clustered_ratio(both, np.ones(both.size), groups[whole])
    except TooFewGroups:
        return rounded(float(both.mean())), None
    low, high = rounded(max(0.0, found.low)), rounded(min(1.0, found.high))
    return rounded(found.ratio), Interval(low=low, high=high, method=INTERVAL_METHOD)


def _shown(explained: Explained, rows: Ints, n: int) -> tuple[FeatureContext, ...]:
    return context_at(explained, one_per_prompt(explained.view, rows, n))
