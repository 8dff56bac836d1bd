"""The one loader of packaged data: `schemas/` and `prompts/`.

An installed wheel carries them in `interp_lab/_assets/`; a checkout has them beside the package. The
packaged copy wins. This module finds and reads files; what they mean is decided by who asks.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from interp_lab.errors import UnknownAsset

AssetKind = Literal["schemas", "prompts"]

_PACKAGE = Path(__file__).resolve().parent


def assets_root(kind: AssetKind) -> Path:
    """Return the folder that holds the assets of `kind`."""
    packaged = _PACKAGE / "_assets" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind


def asset_path(kind: AssetKind, name: str) -> Path:
    """Return the path of the asset `name`, a plain relative path such as `criteria/question.json`.

    Raises:
        UnknownAsset: There is no such file, or the name leads out of the folder.
    """
    root = assets_root(kind).resolve()
    relative = PurePosixPath(name)
    path = (root / relative).resolve()
    if relative.is_absolute() or not path.is_relative_to(root) or not path.is_file():
        raise UnknownAsset(f"There is no packaged file {name[:120]!r} among the {kind}.")
    return path


def asset_text(kind: AssetKind, name: str) -> str:
    """Return the text of the asset `name`; see `asset_path`."""
    return asset_path(kind, name).read_text(encoding="utf-8")


def asset_names(kind: AssetKind, pattern: str = "**/*") -> tuple[str, ...]:
    """Return the sorted relative names of all assets of `kind` that match the glob `pattern`."""
    root = assets_root(kind)
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()))
