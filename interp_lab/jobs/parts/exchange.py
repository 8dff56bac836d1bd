"""The object store by which shards hand over what they made, where the operator names one: every hash is checked.

Nodes then need the shared folder for small files only: requests, checkpoints' names, signs of life, outcomes.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from interp_lab.artifacts.durable import disk_full_as_error
from interp_lab.errors import ClusterUnavailable, DiskFull
from interp_lab.jobs.parts.record import MadeFile, PartFolder
from interp_lab.settings import Settings

_LOOK_S = 0.2
_FOLDERS = ("file:", "local:")
"""Folders that every node sees; unlike prefixes of objects they have to be made."""


class Exchange:
    """A place such as s3://bucket/prefix, or none."""

    def __init__(self, settings: Settings, job_id: str) -> None:
        self._url = settings.exchange.rstrip("/")
        self._job_id = job_id

    def hand_over(self, part: PartFolder, number: int, files: tuple[MadeFile, ...], check: Callable[[], None]) -> str:
        """Put what a try of a shard made into the store, and remove it here; return where, for its outcome.

        What earlier tries left in the store goes. `check` is called while files are under way, and may raise.

        Raises:
            ClusterUnavailable: The store does not take it.
        """
        if not self._url:
            return ""
        place = f"{self._job_id}/{part.name}/{number}"
        store, base = self._open(place)
        try:
            for file in files:
                source, target = str(part.output / file.name), f"{base}/{file.name}"
                _heeding(check, lambda source=source, target=target: store.put_file(source, target))
        except Exception as error:  # every library behind fsspec has errors of its own
            raise ClusterUnavailable(f"{self._url} did not take a shard: {_in_words(error)}") from error
        for file in files:
            (part.output / file.name).unlink()
        self._drop_earlier(part, number)
        return place

    def fetch(self, part: PartFolder, check: Callable[[], None]) -> None:
        """Bring what a shard made; what is not there is found missing by whoever checks the hashes.

        Raises:
            ClusterUnavailable: The store does not answer.
            DiskFull: There is no space for it here.
        """
        outcome = part.read_outcome()
        if not outcome or not outcome.objects or outcome.state != "done":
            return
        part.output.mkdir(parents=True, exist_ok=True)
        for file in outcome.files:
            if not (part.output / file.name).exists():
                self._fetch(part, outcome.objects, file, check)

    def _fetch(self, part: PartFolder, place: str, file: MadeFile, check: Callable[[], None]) -> None:
        """Bring one file as a whole: half of one would pass for a damaged shard, which is made again."""
        store, base = self._open(place)
        half = part.path / f".{secrets.token_hex(6)}.tmp"
        try:
            with disk_full_as_error(part.path, file.bytes):
                _heeding(check, lambda: store.get_file(f"{base}/{file.name}", str(half)))
                half.replace(part.output / file.name)
        except FileNotFoundError:
            return
        except DiskFull:
            raise
        except Exception as error:  # as above
            raise ClusterUnavailable(f"{self._url} did not give a shard: {_in_words(error)}") from error
        finally:
            half.unlink(missing_ok=True)

    def drop(self, part: PartFolder) -> None:
        """Remove what all tries of a shard put into the store, once others have it."""
        outcome = part.read_outcome()
        places = {f"{self._job_id}/{part.name}"}
        if outcome is not None and outcome.objects:
            places.add(outcome.objects.rpartition("/")[0])  # of a job that this one repeats
            for place in places:
                self._remove(place)

    def withdraw(self, part: PartFolder, number: int) -> None:
        """Remove what a try put into the store that nobody waits for any more."""
        if self._url and part.name.shard is not None:
            self._remove(f"{self._job_id}/{part.name}/{number}")

    def _drop_earlier(self, part: PartFolder, number: int) -> None:
        place = f"{self._job_id}/{part.name}"
        with suppress(Exception):  # as below
            store, base = self._open(place)
            for path in store.ls(base, detail=False):
                name = str(path).rstrip("/").rpartition("/")[2]
                if name.isdigit() and int(name) < number:
                    self._remove(f"{place}/{name}")

    def _remove(self, place: str) -> None:
        with suppress(Exception):  # what stays costs space, not results
            store, base = self._open(place)
            store.rm(base, recursive=True)

    def _open(self, place: str) -> tuple[Any, str]:
        folder = {"auto_mkdir": True} if self._url.startswith(_FOLDERS) else {}
        try:
            import fsspec  # lazy: an optional package  # pyright: ignore[reportMissingTypeStubs]

            options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False, **folder}
            store, base = fsspec.core.url_to_fs(self._url, **options)  # pyright: ignore
        except (ImportError, ValueError) as error:
            raise ClusterUnavailable(
                f"{self._url} cannot be opened: {error}", remedy="pip install 'interp-lab-mcp[remote]' on every node."
            ) from error
        return store, f"{base}/{place}"


def _heeding(check: Callable[[], None], work: Callable[[], None]) -> None:
    """Do work that may take long and cannot be asked to end, calling `check` meanwhile; if that raises, leave it."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            failed.append(error)

    thread = threading.Thread(target=body, name="interp-lab-exchange", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_S)
        check()
    if failed:
        raise failed[0]


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
