"""File names inside an artifact: plain, portable, and never twins on a disk that ignores case."""

from __future__ import annotations

import mimetypes
import re

from interp_lab.errors import InvalidName

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)

MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown",
    ".html": "text/html",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".safetensors": "application/vnd.safetensors",
    ".parquet": "application/vnd.apache.parquet",
}


def is_windows_device(name: str) -> bool:
    """Return whether Windows would open a device for this name."""
    return _WINDOWS.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return the name unchanged if every system can store it.

    Raises:
        InvalidName: It has separators, is too long, not ASCII, a device name, or ends with a dot.
    """
    if not _PLAIN.fullmatch(name) or is_windows_device(name) or name.endswith("."):
        raise InvalidName(f"{name[:120]!r} cannot be the name of a file in an artifact.")
    return name


def media_type_of(name: str) -> str:
    """Return the media type that a file name promises."""
    suffix = f".{name.rpartition('.')[2].lower()}"
    return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
