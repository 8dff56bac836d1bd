"""What can go wrong when a dictionary is trained or measured."""

from __future__ import annotations

from interp_lab.errors.base import OperationError, RequestError


class TrainingSourceUnfit(RequestError):
    """The activations cannot be trained on as they are."""

    code = "training_source_unfit"
    default_remedy = "Give a store with a dense column at every address and prompts from at least two groups."


class TrainingDiverged(OperationError):
    """The training met a number that is not finite."""

    code = "training_diverged"
    default_remedy = "Check the activations first; then use a lower learning rate, a warm-up, or float32 activations."


class EvaluationUnfit(RequestError):
    """The dictionary cannot be measured on these activations as asked."""

    code = "evaluation_unfit"
    default_remedy = (
        "Give activations of at least two independent prompt groups at the place that the dictionary reads."
    )
