# pyright: standard
"""Model snapshots of the Hugging Face hub: the cache of this machine first, safetensors only."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from interp_lab.errors import HubUnreachable, UnknownModel, UnsafeWeights
from interp_lab.models.weights import INDEX, SINGLE, read_json

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def snapshot(model_id: str, revision: str | None, *, offline: bool) -> Path | None:
    """Return the folder of the snapshot, named by its commit, or `None` if it is not here and `offline`.

    Raises:
        UnknownModel: The hub has no such model or revision.
        HubUnreachable: The hub did not answer or refused.
        UnsafeWeights: The repository has no safetensors weights.
    """
    try:
        folder = Path(
            snapshot_download(
                model_id, revision=revision, allow_patterns=_FILES, ignore_patterns=["*/*"], local_files_only=offline
            )
        )
    except LocalEntryNotFoundError as error:
        if offline:
            return None
        raise HubUnreachable(f"{model_id} is not on this machine and the hub did not answer.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise UnknownModel(f"The hub has no model {model_id!r} at revision {revision or 'main'!r}.") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(f"Fetching {model_id} failed: {type(error).__name__}.") from error
    if _has_weights(folder):
        return folder
    if offline:
        return None
    raise UnsafeWeights(f"The hub repository {model_id} has no safetensors weights.")


def _has_weights(folder: Path) -> bool:
    """Return whether every weight file is there; a download that was cut off leaves some shards, and goes on later."""
    index = folder / INDEX
    if (folder / SINGLE).is_file() or not index.is_file():
        return any(folder.glob("*.safetensors"))
    shards = read_json(index).get("weight_map")
    return isinstance(shards, dict) and all((folder / Path(str(name)).name).is_file() for name in shards.values())
