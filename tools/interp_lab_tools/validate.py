"""Arguments → request, with errors that an agent can act on: which field, what is wrong, what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interp_lab.contracts.base import Contract
from interp_lab.errors import FieldProblem, InvalidRequest
from interp_lab_tools.kinds import NO_KIND, kinds_at

Request = TypeVar("Request", bound=Contract)
_SHOWN = 8


def validate(model: type[Request], arguments: Mapping[str, Any]) -> Request:
    """Return the request that the arguments describe.

    Raises:
        InvalidRequest: with one entry per wrong field; input values are never echoed.
    """
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        raise _explain(model, arguments, error) from None
    except RecursionError:
        raise InvalidRequest("The arguments are nested too deeply.") from None


def _explain(model: type[Contract], arguments: Mapping[str, Any], error: ValidationError) -> InvalidRequest:
    details = error.errors(include_url=False, include_input=False)
    problems = tuple(FieldProblem(_path(d["loc"]), _text(model, arguments, d)) for d in details[:_SHOWN])
    more = f" (and {len(details) - _SHOWN} more)" if len(details) > _SHOWN else ""
    listed = "; ".join(f"{p.field or 'request'}: {p.problem}" for p in problems)
    return InvalidRequest(f"{listed}{more}".rstrip("?.") + ".", fields=problems)


def _path(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)[:200]


def _text(model: type[Contract], arguments: Mapping[str, Any], detail: ErrorDetails) -> str:
    if detail["type"] == "tuple_type":
        return "give a list: [...]"
    if detail["type"] == NO_KIND:
        return f"say its kind: {', '.join(kinds_at(model, arguments, detail['loc'])) or 'the schema names them'}"
    if detail["type"] != "extra_forbidden":
        return detail["msg"].removeprefix("Value error, ")[:300]
    name = str(detail["loc"][-1])
    known = list(model.model_fields) if len(detail["loc"]) == 1 else []
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"there is no such field; did you mean '{close[0]}'?"
    return f"there is no such field; there are {', '.join(known)}" if known else "there is no such field"
