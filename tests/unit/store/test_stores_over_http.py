"""A store on a web server: read over the real protocol from a server of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.store.remote import open_store_at, publish_store
from tests.unit.store.interchange.stores import CODES, codes, dense, make_store


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as a broken server below `/broken`."""
        if self.path.startswith("/broken"):
            self.send_error(503)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer the same without the file."""
        if self.path.startswith("/broken"):
            self.send_error(503)
        else:
            super().do_HEAD()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of the test's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_store_on_a_web_server_reads_as_the_one_on_disk(tmp_path: Path, site: str) -> None:
    store = make_store(tmp_path / "s")
    far = open_store_at(f"{site}/s", cache=tmp_path / "cache")
    assert far.manifest == store.manifest
    assert np.array_equal(dense(far), dense(store))
    assert np.array_equal(codes(far), codes(store))
    assert far.prompts().equals(store.prompts())


def test_a_byte_that_changed_on_the_web_server_is_never_served(tmp_path: Path, site: str) -> None:
    store = make_store(tmp_path / "s")
    for file in store.manifest.files:
        path = tmp_path / "s" / file.name
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    far = open_store_at(f"{site}/s", cache=tmp_path / "cache")
    with pytest.raises(errors.StoreCorrupt, match="does not have the bytes"):
        far.codes(CODES).row_block(0, 2)


def test_a_web_server_without_a_store_says_so(tmp_path: Path, site: str) -> None:
    with pytest.raises(errors.NotAStore):
        open_store_at(f"{site}/none", cache=tmp_path / "cache")


def test_a_server_that_is_broken_or_gone_is_not_taken_for_one_without_a_store(tmp_path: Path, site: str) -> None:
    for address in (f"{site}/broken", "http://127.0.0.1:1/none"):
        with pytest.raises(errors.RemoteStoreFailed):
            open_store_at(address, cache=tmp_path / "cache")


def test_nothing_can_be_published_to_a_web_server(tmp_path: Path, site: str) -> None:
    make_store(tmp_path / "s")
    with pytest.raises(errors.RemoteStoreFailed):
        publish_store(tmp_path / "s", f"{site}/new")
