"""The files of a policy, read without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from interp_lab.contracts.policy import MlpPolicy
from interp_lab.errors import PolicyUnusable

CONFIG = "policy.json"
WEIGHTS = "model.safetensors"


def read_config(folder: Path) -> MlpPolicy:
    """Return the description in a policy's folder.

    Raises:
        PolicyUnusable: it is missing or damaged.
    """
    try:
        return MlpPolicy.model_validate_json((folder / CONFIG).read_bytes())
    except OSError as error:
        raise PolicyUnusable(f"There is no readable {CONFIG} in the policy's folder.") from error
    except ValidationError as error:
        raise PolicyUnusable(f"{CONFIG} does not describe a policy: {str(error)[:400]}") from error
