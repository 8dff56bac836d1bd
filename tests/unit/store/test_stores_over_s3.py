"""A store in an S3 bucket: published and read over the real protocol, with a server of this machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from interp_lab import errors
from interp_lab.store.remote import open_store_at, publish_store
from tests.s3 import s3_server
from tests.unit.store.interchange.stores import codes, dense, make_store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any], Any]:
    """Address of a new bucket, what opens it, and a client of the maker's own that looks at it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    name = f"b{uuid.uuid4().hex[:12]}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=name)
    return name, {"endpoint_url": endpoint, "skip_instance_cache": True}, client


def test_a_store_in_a_bucket_reads_as_the_one_on_disk(tmp_path: Path, bucket: tuple[str, dict[str, Any], Any]) -> None:
    name, options, client = bucket
    store = make_store(tmp_path / "s")
    publish_store(tmp_path / "s", f"s3://{name}/run", options=options)
    listed = {row["Key"] for row in client.list_objects_v2(Bucket=name)["Contents"]}
    assert listed == {f"run/{file.name}" for file in store.manifest.files} | {"run/store.json"}
    far = open_store_at(f"s3://{name}/run", cache=tmp_path / "cache", options=options)
    assert far.manifest == store.manifest
    assert np.array_equal(dense(far), dense(store))
    assert np.array_equal(codes(far), codes(store))


def test_a_changed_object_is_never_served(tmp_path: Path, bucket: tuple[str, dict[str, Any], Any]) -> None:
    name, options, client = bucket
    store = make_store(tmp_path / "s")
    publish_store(tmp_path / "s", f"s3://{name}/run", options=options)
    for file in store.manifest.files:
        body = (tmp_path / "s" / file.name).read_bytes()
        client.put_object(Bucket=name, Key=f"run/{file.name}", Body=body[:-1] + b"!")
    far = open_store_at(f"s3://{name}/run", cache=tmp_path / "cache", options=options)
    with pytest.raises(errors.StoreCorrupt, match="does not have the bytes"):
        dense(far)


def test_another_store_in_the_bucket_is_never_replaced(tmp_path: Path, bucket: tuple[str, dict[str, Any], Any]) -> None:
    name, options, _ = bucket
    make_store(tmp_path / "s", seed=1)
    make_store(tmp_path / "t", seed=2)
    publish_store(tmp_path / "s", f"s3://{name}/run", options=options)
    with pytest.raises(errors.StoreConflict):
        publish_store(tmp_path / "t", f"s3://{name}/run", options=options)


def test_a_bucket_that_is_not_there_holds_no_store(tmp_path: Path, bucket: tuple[str, dict[str, Any], Any]) -> None:
    _, options, _ = bucket
    with pytest.raises((errors.NotAStore, errors.RemoteStoreFailed)):
        open_store_at("s3://no-such-bucket-here/run", cache=tmp_path / "cache", options=options)
