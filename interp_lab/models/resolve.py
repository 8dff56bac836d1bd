"""Where a named model is: packaged, in the workspace, or on the Hugging Face hub. Torch-free; loads nothing.

Confining a local path to the workspace is the caller's task: it passes the confined path, or `None` if there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from interp_lab.errors import HubUnreachable, InvalidRequest, UnknownModel

SourceKind = Literal["builtin", "local", "hub"]

_BUILTIN_ROOT = Path(__file__).resolve().parents[1] / "pocket" / "weights"
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")


@dataclass(frozen=True)
class ModelSource:
    """A model directory on this machine, and where it came from."""

    kind: SourceKind
    id: str
    directory: Path
    commit: str | None = None
    """Commit of the hub repository."""


def source_kind(model_id: str, *, exists_locally: bool) -> SourceKind:
    """Return what kind of name `model_id` is: an existing local directory wins over a hub id of the same spelling.

    Raises:
        UnknownModel: It is a path without a directory behind it, or no well-formed name at all.
    """
    if model_id.startswith("builtin:"):
        return "builtin"
    if exists_locally:
        return "local"
    if model_id in builtin_models():
        raise UnknownModel(f"{model_id!r} comes with the lab.", remedy=f"Name it 'builtin:{model_id}'.")
    if _HUB_ID.fullmatch(model_id) and ".." not in model_id:
        return "hub"
    raise UnknownModel(f"There is no model directory {model_id[:120]!r} in the workspace.{_suggest(model_id)}")


def builtin_models() -> tuple[str, ...]:
    """Return the names of the packaged models, each to be used as `builtin:NAME`."""
    return tuple(sorted(path.parent.name for path in _BUILTIN_ROOT.glob("*/config.json")))


def locate_model(model_id: str, *, revision: str | None = None, local: Path | None = None) -> ModelSource | None:
    """Return where the model is on this machine, or `None` for a hub model that has not been fetched. No network.

    Raises:
        UnknownModel: No such packaged model or directory.
        InvalidRequest: A revision is given for a model that has none.
    """
    kind = source_kind(model_id, exists_locally=local is not None and local.is_dir())
    if kind == "hub":
        return _snapshot(model_id, revision, offline=True)
    if revision is not None:
        raise InvalidRequest(f"{model_id} has no revisions; only hub models do.", remedy="Leave revision out.")
    if kind == "local" and local is not None:
        return ModelSource("local", model_id, local)
    return _builtin(model_id)


def fetch_model(
    model_id: str, *, revision: str | None = None, local: Path | None = None, offline: bool = False
) -> ModelSource:
    """Return where the model is on this machine, after fetching it from the hub if need be and allowed.

    Raises:
        UnknownModel: No such model.
        HubUnreachable: It is not here and could not be fetched.
        UnsafeWeights: The hub has its weights only as pickle.
        InvalidRequest: A revision is given for a model that has none.
    """
    found = locate_model(model_id, revision=revision, local=local)
    if found is None and not offline:
        found = _snapshot(model_id, revision, offline=False)
    if found is None:
        raise HubUnreachable(f"{model_id} is not on this machine.{_suggest(model_id)}")
    return found


def _builtin(model_id: str) -> ModelSource:
    name = model_id.removeprefix("builtin:")
    if name not in builtin_models():
        raise UnknownModel(f"There is no packaged model {name[:120]!r}.{_suggest(model_id)}")
    return ModelSource("builtin", model_id, _BUILTIN_ROOT / name)


def _suggest(model_id: str) -> str:
    known = [f"builtin:{name}" for name in builtin_models()]
    near = get_close_matches(model_id, known, n=3, cutoff=0.3) or known
    return f" Packaged: {', '.join(near)}." if near else ""


def _snapshot(model_id: str, revision: str | None, *, offline: bool) -> ModelSource | None:
    if find_spec("huggingface_hub") is None:
        raise HubUnreachable(
            f"{model_id} is a hub id.", remedy="Install interp-lab-mcp[torch], which has the hub client."
        )
    from interp_lab.models.hub import snapshot  # lazy: the hub client is an optional extra, and slow to import

    folder = snapshot(model_id, revision, offline=offline)
    return None if folder is None else ModelSource("hub", model_id, folder, commit=folder.name)
