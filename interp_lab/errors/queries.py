"""What can be wrong with a question to an activation store."""

from __future__ import annotations

from interp_lab.errors.base import NotFoundError, RequestError, StateError


class UnknownField(NotFoundError):
    """The store has no field of that name."""

    code = "unknown_field"
    default_remedy = "Call query_activations with query 'overview' for the fields of this store."


class UnknownUnit(NotFoundError):
    """The column has no unit of that index."""

    code = "unknown_unit"
    default_remedy = "Units count from 0 to the width of the column less one; query 'overview' gives the width."


class UnknownPrompt(NotFoundError):
    """The store has no prompt or episode of that index or id."""

    code = "unknown_prompt"
    default_remedy = "Take the index from the column 'prompt' of another answer."


class InvalidCondition(RequestError):
    """A condition does not fit the field that it is on."""

    code = "invalid_condition"
    default_remedy = "Use one_of with values of the field's own type, matches on text, at_least and at_most on numbers."


class EmptySlice(RequestError):
    """No row of the store fulfils the conditions, and nothing can be said about no rows."""

    code = "empty_slice"
    default_remedy = "Loosen the conditions; query 'search' shows what there is."


class QueryTooLarge(RequestError):
    """The question would take too long to answer at once."""

    code = "query_too_large"
    default_remedy = "Name fewer units or targets, or set sample_rows."


class NoFigure(RequestError):
    """There is no figure of an answer to this question."""

    code = "no_figure"
    default_remedy = "Plots: contexts (token heat map), timeline (line), associate and levels (grid), profile (map)."


class PlotsNotInstalled(StateError):
    """PNG figures need matplotlib, which is not installed."""

    code = "plots_not_installed"
    default_remedy = "Ask for plot 'html', or install the extra: pip install 'interp-lab-mcp[plots]'."


class ReadOnlyLab(StateError):
    """This server was started read-only, and a figure would be written."""

    code = "read_only_lab"
    default_remedy = "Leave plot out, or start the server without --read-only."
