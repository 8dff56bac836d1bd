"""Stores on an object store, through fsspec: published with the manifest last, read a file at a time through a cache.

Every file is checked against its hash in the manifest before anything reads it. An address never carries credentials:
fsspec takes them from the environment, and no message of its libraries, which may repeat them, reaches a log.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.durable import disk_full_as_error, replace_quickly
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.store import StoreFile, StoreManifest
from interp_lab.errors import (
    NotAStore,
    PackageMissing,
    RemoteRefused,
    RemoteStoreFailed,
    StoreConflict,
    StoreCorrupt,
)
from interp_lab.store.manifest import manifest_at, read_manifest
from interp_lab.store.names import MANIFEST
from interp_lab.store.reader import ActivationStore, open_store

Options = Mapping[str, Any]
"""What fsspec passes to the file system, for example {'endpoint_url': …}; never stored and never logged."""
MAX_MANIFEST_BYTES = 64 * 2**20
_LIBRARY_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)
_NOT_THERE = (404, 410)
"""What a web server answers for a file that it does not have."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s?#@:]*(:[0-9]+)?[^\s?#@]*")


def open_store_at(place: str | Path, *, cache: Path | None = None, options: Options | None = None) -> ActivationStore:
    """Return the store in a folder, or at an address such as 's3://bucket/folder'.

    Raises:
        LabError: See `open_store` for a folder and `open_remote_store` for an address.
    """
    if isinstance(place, Path) or "://" not in place:
        return open_store(Path(place))
    default = Path.home() / ".cache" / "interp-lab" / "stores"
    return open_remote_store(place, cache=cache or default, options=options)


def open_remote_store(url: str, *, cache: Path, options: Options | None = None) -> ActivationStore:
    """Return the store at an address; a file is fetched whole when it is first read, checked, and kept in `cache`.

    Raises:
        RemoteRefused: The address has credentials, a query or no scheme that is known.
        NotAStore: There is no store there, or its publication has not ended.
        StoreCorrupt, StoreTooNew: Its manifest is damaged or too new.
        PackageMissing: What reads such addresses is not installed.
        RemoteStoreFailed: The object store did not answer.
    """
    remote = _Remote(url, options)
    data = remote.read(MANIFEST, MAX_MANIFEST_BYTES)
    if data is None:
        raise NotAStore(f"There is no activation store at {remote.shown}, or its publication has not ended.")
    folder = cache / hashlib.sha256(data).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    replace_quickly(folder / MANIFEST, data)
    manifest = manifest_at(folder / MANIFEST)
    return ActivationStore(manifest, _Cache(remote, folder, manifest).path_of)


def publish_store(folder: Path, url: str, *, options: Options | None = None) -> StoreManifest:
    """Copy a finished store to an address, its manifest last, and return the manifest.

    A publication of the same store that was cut off goes on: what it sent whole is not sent again.

    Raises:
        StoreConflict: Another store is at that address; nothing of it is touched.
        StoreCorrupt: A file is not what the manifest says.
        RemoteRefused, PackageMissing, RemoteStoreFailed: See `open_remote_store`.
    """
    manifest = read_manifest(folder)
    data = readable_json(manifest.model_dump(mode="json"))
    remote = _Remote(url, options)
    there = remote.read(MANIFEST, MAX_MANIFEST_BYTES)
    if there == data:
        return manifest
    if there is not None:
        raise StoreConflict(f"Another activation store is at {remote.shown}.", remedy="Publish to an empty address.")
    begun = f"{hashlib.sha256(data).hexdigest()[:32]}.unfinished"
    goes_on = remote.size(begun) is not None
    remote.write(begun, b"")
    for file in manifest.files:
        _check(folder / file.name, file)
        if not goes_on or remote.size(file.name) != file.bytes:
            remote.put(folder / file.name, file.name)
    remote.write(MANIFEST, data)
    remote.remove(begun)
    return manifest


class _Remote:
    """One folder of an object store."""

    def __init__(self, url: str, options: Options | None) -> None:
        if not _ADDRESS.fullmatch(url) or "::" in url:
            raise RemoteRefused(f"{shown_address(url)!r} is not SCHEME://BUCKET/FOLDER without credentials or a query.")
        self.shown = shown_address(url)
        with self._asked():
            self._files, root = _file_system(url, options)
        self._root = str(root).rstrip("/")

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a small file, or None if it is not there."""
        with self._asked():
            try:
                size = self._files.size(self._path(name))
                if size is not None and size > limit:
                    raise StoreCorrupt(f"{name!r} at {self.shown} has {size} bytes; at most {limit} are read.")
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError as error:
                return _absent(error)

    def size(self, name: str) -> int | None:
        """Return the size of a file, or None if it is not there."""
        with self._asked():
            try:
                return self._files.size(self._path(name))
            except FileNotFoundError as error:
                return _absent(error)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file from there."""
        with self._asked(), disk_full_as_error(target.parent):
            self._files.get_file(self._path(name), str(target))

    def put(self, source: Path, name: str) -> None:
        """Copy a file there."""
        with self._asked():
            self._files.put_file(str(source), self._path(name))

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is there whole or not at all."""
        with self._asked():
            self._files.makedirs(self._root, exist_ok=True)
        with self._asked(), self._files.transaction, self._files.open(self._path(name), "wb") as file:
            file.write(data)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._asked():
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _asked(self) -> Generator[None]:
        """Turn what a library raises into one sentence without its own words, which may repeat a secret."""
        try:
            yield
        except ImportError as error:
            package = error.name or "the package for that scheme"
            raise PackageMissing(
                f"{self.shown} needs {package}.", remedy="Install interp-lab-mcp[remote] and what fsspec names for it."
            ) from None
        except (OSError, ValueError, RuntimeError, NotImplementedError, *_library_errors()) as error:
            raise RemoteStoreFailed(f"{self.shown} failed: {type(error).__name__}.") from None


class _Cache:
    """Fetched files of one store, each checked before it gets its name."""

    def __init__(self, remote: _Remote, folder: Path, manifest: StoreManifest) -> None:
        self._remote = remote
        self._folder = folder
        self._files = {file.name: file for file in manifest.files}
        self._lock = Lock()

    def path_of(self, name: str) -> Path:
        """Return where a file lies here, fetched if it does not yet."""
        path = self._folder / name
        with self._lock:
            if not path.is_file():
                self._fetch(name, path)
        return path

    def _fetch(self, name: str, path: Path) -> None:
        temporary = self._folder / f".{name[:60]}.{secrets.token_hex(6)}.tmp"
        try:
            self._remote.fetch(name, temporary)
            _check(temporary, self._files[name])
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def shown_address(url: str) -> str:
    """Return an address without whatever in it may be a secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{host}{parts.path}"[:200]


def _check(path: Path, file: StoreFile) -> None:
    digest, size = hash_file(path)
    if (digest, size) != (file.sha256, file.bytes):
        raise StoreCorrupt(f"{file.name!r} does not have the bytes that the manifest promises.")


def _absent(error: FileNotFoundError) -> None:
    """Return None if a file is not there; a server that is gone, broken or refuses is not a file that is not there."""
    cause = error.__cause__  # fsspec's HTTP says 'not found' of every failure and keeps what it was as the cause
    if getattr(cause, "status", None) in _NOT_THERE:
        return
    if isinstance(cause, _library_errors()) or (
        isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    ):
        raise cause


def _library_errors() -> tuple[type[Exception], ...]:
    """Return the errors of loaded libraries behind fsspec that are of no kind of Python's own."""
    loaded = ((sys.modules.get(module), name) for module, name in _LIBRARY_ERRORS)
    return tuple(getattr(module, name) for module, name in loaded if hasattr(module, name))


def _file_system(url: str, options: Options | None) -> tuple[Any, str]:
    import fsspec  # lazy: optional, and only an address needs it  # pyright: ignore[reportMissingTypeStubs]

    found: tuple[Any, str] = fsspec.core.url_to_fs(url, **(options or {}))  # pyright: ignore
    return found
