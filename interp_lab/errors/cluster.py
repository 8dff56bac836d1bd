"""What can go wrong where a job's processes run on other machines."""

from __future__ import annotations

from interp_lab.errors.base import OperationError, RequestError


class ClusterUnavailable(OperationError):
    """The place where processes are to run did not take one."""

    code = "cluster_unavailable"
    default_remedy = "Run 'interp-lab doctor' for what is missing, then submit the same request again: it goes on."


class ClusterSilent(OperationError):
    """The place where processes run does not answer, and none of them gives a sign of life."""

    code = "cluster_silent"
    default_remedy = "When the cluster answers again ('interp-lab doctor'), submit the same request: it goes on."


class CannotBeSharded(RequestError):
    """The work cannot be cut into independent parts with the same result."""

    code = "cannot_be_sharded"
    default_remedy = "Leave shards out."
