"""What ended the work, in the form in which it is recorded."""

from __future__ import annotations

import errno
import logging
import traceback

from interp_lab.artifacts.durable import describe_full
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobFailure
from interp_lab.errors import DiskFull, LabError, OutOfMemory, UnexpectedFailure, all_errors

_log = logging.getLogger("interp_lab.worker")


def tell(error: BaseException) -> None:
    """Write to the log why the work ended: a refusal in its own words, anything else with its traceback."""
    if isinstance(error, LabError):
        _log.error("%s", error)
    else:
        traceback.print_exc()


def failure_of(error: BaseException, paths: WorkspacePaths) -> JobFailure:
    """Return the recorded form of what ended the work."""
    known = _as_lab_error(error, paths)
    return JobFailure(code=known.code, what=_printable(known.what), remedy=_printable(known.remedy))


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:2000]


def _as_lab_error(error: BaseException, paths: WorkspacePaths) -> LabError:
    if isinstance(error, LabError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(f"Out of memory: {error}" if str(error) else None)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DiskFull(describe_full(paths.root, None))
    return UnexpectedFailure(f"{type(error).__name__}: {error}")


def error_of(failure: JobFailure) -> LabError:
    """Return a recorded failure as the error that it was, so that another process can raise it again."""
    kind = next((kind for kind in all_errors() if kind.code == failure.code), UnexpectedFailure)
    return kind(failure.what, remedy=failure.remedy)
