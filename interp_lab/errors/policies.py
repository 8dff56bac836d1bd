"""What can be wrong with a policy and with the environment it acts in."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class EnvironmentUnusable(RequestError):
    """The environment cannot be made, or has spaces that are not supported."""

    code = "environment_unusable"
    default_remedy = "Use a registered Gymnasium environment with a discrete or a box action space."


class PolicyUnusable(RequestError):
    """The policy does not fit its description or the environment."""

    code = "policy_unusable"
    default_remedy = "Compare policy.json, the weights and the environment's spaces; the message names what differs."
