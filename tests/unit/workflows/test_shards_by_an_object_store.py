# pyright: standard
"""Shards that hand over what they made by an S3 server: the files of one process, a changed object done again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.errors import ClusterUnavailable, DiskFull, InvalidSetting
from interp_lab.jobs.parts.exchange import Exchange
from interp_lab.jobs.parts.record import Outcome, PartName
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_server.worker import find_work
from tests.contract import part_worker
from tests.parts_here import JOB, HerePlace, in_parts, job_of, part
from tests.s3 import s3_server

REQUEST: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "dataset": "corpus.txt",
    "addresses": ["resid_post.1"],
    "shards": 2,
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the maker's own that looks at the bucket 'lab'; nodes find the server by their environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="lab")
    return client


def keys(bucket: Any) -> list[str]:
    return [row["Key"] for row in bucket.list_objects_v2(Bucket="lab").get("Contents", ())]


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def test_a_harvest_by_an_object_store_has_the_files_of_one_process_though_an_object_was_changed(
    tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(stretches, "BUFFER_BYTES", 2**19)
    monkeypatch.setattr(record, "SHARD_BYTES", 2**18)
    told = "the men went down to town and came home before night fell by water"
    (tmp_path / "corpus.txt").write_text("\n\n".join([" ".join([told] * 8)] * 16))
    settings = Settings(workspace=tmp_path, exchange="s3://lab/exchange")
    seen: dict[str, list[str]] = {}

    def after(task: str) -> None:
        seen[task] = keys(bucket)
        if task == "shard-0-00001-1":
            assert not list(part(settings, PartName(0, 1)).output.iterdir()), "nothing of it is in the shared folder"
            changed = next(key for key in seen[task] if "shard-0-00000" in key and key.endswith(".safetensors"))
            body = bucket.get_object(Bucket="lab", Key=changed)["Body"].read()
            bucket.put_object(Bucket="lab", Key=changed, Body=body[:-1] + bytes([body[-1] ^ 1]))

    run = job_of(settings, "harvest", REQUEST)
    place = HerePlace(find_work, settings.to_env(), after=after)
    in_parts(run, settings, place)
    again = ["lead-1-1", "shard-0-00000-2", "lead-1-2"]
    assert place.started == ["lead-0-1", "shard-0-00000-1", "shard-0-00001-1", *again]
    assert all(key.startswith(f"exchange/{JOB}/shard-0-0000") for key in seen["shard-0-00001-1"])
    assert keys(bucket) == [], "taken, then removed, also what the first try of the changed one had put there"
    (store,) = run.sealed
    with LocalRun(tmp_path / "whole", workspace=tmp_path) as one:
        harvest(HarvestRequest.model_validate(REQUEST), one, settings=settings)
        (whole,) = one.written
    assert files_in(store.folder) == files_in(whole)


def test_a_store_that_is_not_there_fails_the_job_in_words(tmp_path: Path, bucket: Any) -> None:
    settings = Settings(workspace=tmp_path, exchange="s3://no-such-bucket/x")
    asked = {"book": str(tmp_path / "book.txt"), "steps": 2, "shards": 2}
    run = job_of(settings, "count", asked)
    with pytest.raises(ClusterUnavailable, match="did not take a shard"):
        in_parts(run, settings, HerePlace(part_worker.find_work, settings.to_env()))


def test_an_exchange_that_is_no_address_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="s3://bucket/prefix"):
        Settings(workspace=tmp_path, exchange="bucket/prefix")


def test_what_breaks_off_while_it_is_fetched_is_no_file_and_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(workspace=tmp_path, exchange="memory://exchange")
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    job_of(settings, "count", {"book": str(tmp_path / "book.txt"), "steps": 2, "shards": 2})
    shard, exchange = part(settings, PartName(0, 0)), Exchange(settings, JOB)
    shard.path.mkdir(parents=True)
    shard.output.mkdir()
    (shard.output / "rows.bin").write_bytes(b"many rows")
    files = shard.made()
    objects = exchange.hand_over(shard, 1, files, lambda: None)
    shard.write_outcome(Outcome(number=1, state="done", files=files, objects=objects))

    whole = MemoryFileSystem.get_file

    def broken(_: object, source: str, target: str, **__: object) -> None:
        Path(target).write_bytes(b"many")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MemoryFileSystem, "get_file", broken)
    with pytest.raises(DiskFull):
        exchange.fetch(shard, lambda: None)
    assert not list(shard.output.iterdir())
    assert not list(shard.path.glob(".*.tmp"))
    monkeypatch.setattr(MemoryFileSystem, "get_file", whole)
    exchange.fetch(shard, lambda: None)
    assert shard.is_whole()
