"""What is running: version, hash of the source, packages."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import interp_lab

DISTRIBUTION = "interp-lab-mcp"
_REPORTED = (
    "mcp",
    "pydantic",
    "numpy",
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "huggingface-hub",
    "sae-lens",
)


@functools.cache
def code_version() -> str:
    """Return a short hash over the source of the science and the tools: same request, same hash, same work."""
    digest = hashlib.sha256()
    for root in (Path(interp_lab.__file__).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def release() -> str:
    """Return the version of the installed distribution."""
    return metadata.version(DISTRIBUTION)


def package_versions(names: Iterable[str] = _REPORTED) -> dict[str, str]:
    """Return the installed version of each package without importing any; what is not installed is left out."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def python_version() -> str:
    """Return the interpreter and platform in one line."""
    return f"{platform.python_implementation()} {sys.version.split()[0]} on {platform.system()} {platform.machine()}"
