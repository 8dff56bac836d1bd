"""The questions of one request, each as a request of its own. Torch-free."""

from __future__ import annotations

from interp_lab.contracts.inspect import InspectRequest


def further(request: InspectRequest) -> tuple[InspectRequest, ...]:
    """Return the further criteria of a request, each as it would be asked alone."""
    return tuple(
        request.model_copy(
            update={
                "criterion": one.criterion,
                "dataset": one.dataset or request.dataset,
                "label": one.label,
                "also": (),
                "hypothesis": None,
            }
        )
        for one in request.also
    )


def asking(request: InspectRequest, criterion: str) -> InspectRequest:
    """Return the question of a request that has these words; the request itself if it is the first."""
    return next((one for one in further(request) if one.criterion == criterion), request)
