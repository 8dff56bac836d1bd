"""How a running job is told to stop. Not errors: a workflow that catches errors must not swallow them."""

from __future__ import annotations


class StopJob(BaseException):
    """The job is to stop at once; what it has checkpointed stays."""


class CancelledJob(StopJob):
    """The job was cancelled: stop for good."""


class InterruptedJob(StopJob):
    """The process was asked to end: stop, to go on from the checkpoint later."""


class BrokenJob(StopJob):
    """A machine of several that do the work together was lost: stop, to be started anew with all of them."""
