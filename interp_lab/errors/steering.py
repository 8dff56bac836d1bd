"""What can be wrong with a steering vector or with what is claimed of it."""

from __future__ import annotations

from interp_lab.errors.base import RequestError


class VectorNotValidated(RequestError):
    """This steering vector is not validated."""

    code = "vector_not_validated"
    default_remedy = "Run steer with it, then give that report as 'steered'; or leave require_validated out."
