"""What can be wrong with an edit of a model or with what it is measured by."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class ImpossibleEdit(RequestError):
    """This edit cannot be made at this place."""

    code = "impossible_edit"
    default_remedy = "Edit a latent, a coordinate or a direction, or ablate or patch a head."


class TargetTokensUnclear(RequestError):
    """The behaviour cannot be measured with these target tokens."""

    code = "target_tokens_unclear"
    default_remedy = "Give words that are one token each, with the space before them if they follow one, or 'auto'."


class ImpossiblePath(RequestError):
    """This path cannot be measured in this model."""

    code = "impossible_path"
    default_remedy = "Name sources at one address and targets at later ones, for example resid_post.1 and resid_post.3."


class BehaviourAbsent(RequestError):
    """The behaviour is not there to be explained."""

    code = "behaviour_absent"
    default_remedy = "Name other target_tokens, use metric 'kl', or another ablation."


class ImpossibleCircuit(RequestError):
    """The components of this model cannot be told apart, or what replaces them cannot be had."""

    code = "impossible_circuit"
    default_remedy = "Use a decoder whose blocks add to one residual stream, or ablate to 'zero' or 'mean'."


class MalformedPath(RequestError):
    """A path is not written in a form that can be read."""

    code = "malformed_path"
    default_remedy = "Write SOURCE=TARGET, for example 'resid_post.1#5=resid_post.3#7', or give path-record JSON lines."


class PlanChanged(RequestError):
    """What would be run is not what was planned under this id."""

    code = "plan_changed"
    default_remedy = "Plan again with dry_run=true and use the new plan_id, or leave plan_id out."
