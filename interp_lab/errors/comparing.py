"""What can be wrong with comparing models."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class DifferentAnchors(RequestError):
    """The two sides did not read the same prompts, so their responses cannot be compared."""

    code = "different_anchors"
    default_remedy = "Harvest both sides on one dataset, or name the dataset whose prompts both have."


class InvalidMatches(RequestError):
    """The file does not hold pairs of units that can be tested here."""

    code = "invalid_matches"
    default_remedy = "Give matches.json of a comparison; every match needs left_feature_id and right_feature_id."
