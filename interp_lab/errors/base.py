"""The root of the tree, and what every refusal is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple


class FieldProblem(NamedTuple):
    """One wrong field of a request: where it is and what is wrong with it."""

    field: str
    problem: str


class LabError(Exception):
    """Something in interp-lab failed."""

    code: ClassVar[str] = "lab_error"
    exit_code: ClassVar[int] = 1
    default_remedy: ClassVar[str] = "Read the job log, then report this with the code above."

    def __init__(
        self, what: str | None = None, *, remedy: str | None = None, fields: tuple[FieldProblem, ...] = ()
    ) -> None:
        self.what = what or (type(self).__doc__ or "").strip().splitlines()[0]
        self.remedy = remedy or self.default_remedy
        self.fields = fields
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.code}: {self.what} {self.remedy}"


class RequestError(LabError):
    """The request cannot be carried out as it stands."""

    code = "request_error"
    exit_code = 2
    default_remedy = "Correct the request and send it again."


class NotFoundError(LabError):
    """Nothing has that name."""

    code = "not_found"
    exit_code = 2
    default_remedy = "Call lab_overview to list what exists."


class StateError(LabError):
    """The request is right but the lab is not in a state to do it."""

    code = "state_error"
    default_remedy = "Look at the current state first, then try again."


class OperationError(LabError):
    """The work was started and failed."""

    code = "operation_failed"


def all_errors() -> Iterator[type[LabError]]:
    """Yield every error class, parents before children, in the order of definition."""
    pending: list[type[LabError]] = [LabError]
    while pending:
        current = pending.pop(0)
        yield current
        pending.extend(current.__subclasses__())
