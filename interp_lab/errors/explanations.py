"""What can be wrong with explaining a latent and grading the explanation blind."""

from __future__ import annotations

from interp_lab.errors.base import NotFoundError, RequestError, StateError


class UnknownChallenge(NotFoundError):
    """There is no challenge of that id in this workspace."""

    code = "unknown_challenge"
    default_remedy = "Submit the explanation (explain_latent, step 'submit') and take the id from its answer."


class ChallengeSpent(StateError):
    """The challenge was scored before, and a key is used once."""

    code = "challenge_spent"
    default_remedy = "Submit the explanation again for a challenge with other contexts."


class TooFewContexts(StateError):
    """Too few held-out contexts are left to grade an explanation of this latent."""

    code = "too_few_contexts"
    default_remedy = "Encode a larger store, or ask for fewer items; contexts of earlier challenges are not used again."


class EncoderMismatch(RequestError):
    """Vectors of different text encoders cannot be compared."""

    code = "encoder_mismatch"
    default_remedy = "Embed both sides with the same encoder."
