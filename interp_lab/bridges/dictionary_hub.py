# pyright: standard
"""Folders of dictionaries on the Hugging Face hub: the cache of this machine first, known files only."""

from __future__ import annotations

from pathlib import Path

from interp_lab.bridges.dictionary_formats import FORMATS, SAELENS, files_of
from interp_lab.errors import HubUnreachable, InvalidDictionary


def fetch_folder(repo: str, folder: str, revision: str | None, *, offline: bool) -> tuple[Path, str]:
    """Return where the folder of a repository is on this machine, and its commit.

    Raises:
        InvalidDictionary: The repository or folder does not exist.
        HubUnreachable: It is not here and could not be fetched.
    """
    try:
        from huggingface_hub import snapshot_download  # lazy: an optional extra, and slow to import
        from huggingface_hub.errors import (  # lazy: as above
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise HubUnreachable(f"{repo} is a hub repository.", remedy="Install interp-lab-mcp[torch].") from error
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    names = [f"{prefix}{file}" for name in (SAELENS, *(each.name for each in FORMATS)) for file in files_of(name)]
    try:
        root = Path(snapshot_download(repo, revision=revision, allow_patterns=names, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        raise HubUnreachable(f"{repo} is not on this machine and could not be fetched.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InvalidDictionary(f"The hub has no {repo} at revision {revision or 'main'!r}.") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(f"Fetching {repo} failed: {type(error).__name__}.") from error
    found = root / prefix if prefix else root
    if not found.is_dir():
        raise InvalidDictionary(f"{repo} has no folder {folder!r} with a dictionary in a known format.")
    return found, root.name
