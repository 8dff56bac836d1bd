"""The object store by which shards hand over what they made, where the operator names one: every hash is checked.

Nodes then need the shared folder for small files only: requests, checkpoints' names, signs of life, outcomes.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Any

from interp_lab.artifacts.durable import disk_full_as_error
from interp_lab.errors import ClusterUnavailable, DiskFull
from interp_lab.jobs.parts.record import MadeFile, Outcome, PartFolder
from interp_lab.settings import Settings


class Exchange:
    """A place such as s3://bucket/prefix, or none."""

    def __init__(self, settings: Settings, job_id: str) -> None:
        self._url = settings.exchange.rstrip("/")
        self._job_id = job_id

    def hand_over(self, part: PartFolder, number: int, files: tuple[MadeFile, ...]) -> None:
        """Put what a try of a shard made into the store, and remove it here.

        Raises:
            ClusterUnavailable: The store does not take it.
        """
        if not self._url:
            return
        store, base = self._open(part, number)
        try:
            for file in files:
                store.put_file(str(part.output / file.name), f"{base}/{file.name}")
        except Exception as error:  # every library behind fsspec has errors of its own
            raise ClusterUnavailable(f"{self._url} did not take a shard: {_in_words(error)}") from error
        for file in files:
            (part.output / file.name).unlink()

    def fetch(self, part: PartFolder) -> None:
        """Bring what a shard made; what is not there is found missing by whoever checks the hashes.

        Raises:
            ClusterUnavailable: The store does not answer.
            DiskFull: There is no space for it here.
        """
        outcome = part.read_outcome()
        if not self._url or outcome is None or outcome.state != "done":
            return
        part.output.mkdir(parents=True, exist_ok=True)
        for file in outcome.files:
            if not (part.output / file.name).exists():
                self._fetch(part, outcome, file)

    def _fetch(self, part: PartFolder, outcome: Outcome, file: MadeFile) -> None:
        """Bring one file as a whole: half of one would pass for a damaged shard, which is made again."""
        store, base = self._open(part, outcome.number)
        half = part.path / f".{secrets.token_hex(6)}.tmp"
        try:
            with disk_full_as_error(part.path, file.bytes):
                store.get_file(f"{base}/{file.name}", str(half))
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
        """Remove what a shard made from the store, once others have it."""
        outcome = part.read_outcome()
        if self._url and outcome is not None and outcome.files:
            with suppress(Exception):  # what stays costs space, not results
                store, base = self._open(part, outcome.number)
                store.rm(base, recursive=True)

    def _open(self, part: PartFolder, number: int) -> tuple[Any, str]:
        try:
            import fsspec  # lazy: an optional package  # pyright: ignore[reportMissingTypeStubs]

            store, base = fsspec.core.url_to_fs(self._url, skip_instance_cache=True, use_listings_cache=False)  # pyright: ignore
        except (ImportError, ValueError) as error:
            raise ClusterUnavailable(
                f"{self._url} cannot be opened: {error}", remedy="pip install 'interp-lab-mcp[remote]' on every node."
            ) from error
        return store, f"{base}/{self._job_id}/{part.name}/{number}"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
