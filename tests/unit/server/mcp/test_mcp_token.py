from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from interp_lab.errors import UnsafeAddress, UnsafeToken
from interp_lab_server.http import TOKEN_NAME, TOKEN_VARIABLE, TokenGuard, bearer_token, is_loopback

TOKEN = "t" * 40


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = bearer_token(None, tmp_path, chosen=False, environ={})
    assert len(first) >= 32
    assert (tmp_path / TOKEN_NAME).stat().st_mode & 0o777 == 0o600
    assert bearer_token(None, tmp_path, chosen=False, environ={}) == first


def test_an_address_that_others_can_reach_needs_a_token_that_the_operator_chose(tmp_path: Path) -> None:
    with pytest.raises(UnsafeAddress):
        bearer_token(None, tmp_path, chosen=True, environ={})
    assert not (tmp_path / TOKEN_NAME).exists()
    assert bearer_token(None, tmp_path, chosen=True, environ={TOKEN_VARIABLE: TOKEN}) == TOKEN


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    with pytest.raises(UnsafeToken):
        bearer_token(file, tmp_path, chosen=True, environ={})
    file.chmod(0o600)
    assert bearer_token(file, tmp_path, chosen=True, environ={}) == TOKEN


def test_a_token_file_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(TOKEN)
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe"):
        with pytest.raises(UnsafeToken):
            bearer_token(tmp_path / name, tmp_path, chosen=True, environ={})


@pytest.mark.parametrize("token", ["short", "x" * 31, "a b" * 20, "é" * 40, "a\nb" * 20])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(UnsafeToken):
        bearer_token(None, tmp_path, chosen=False, environ={TOKEN_VARIABLE: token})


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("10.0.0.1", "example.org", "localhost.evil.com"))
    for everything in ("0.0.0.0", "::"):
        with pytest.raises(UnsafeAddress):
            is_loopback(everything)


def status(*headers: tuple[bytes, bytes], kind: str = "http") -> int | None:
    """Return the status that the guard answers with; 200 is the guarded application's."""
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(200)

    async def send(message: Any) -> None:
        seen.append(message.get("status", 0))

    anyio.run(TokenGuard(app, TOKEN), {"type": kind, "headers": headers}, None, send)
    return seen[0]


def test_only_the_exact_token_in_one_authorization_header_is_let_through() -> None:
    right = (b"authorization", b"Bearer " + TOKEN.encode())
    assert status(right) == 200
    assert status(kind="lifespan") == 200
    wrong = [
        (),
        ((b"authorization", b"Bearer " + TOKEN.encode() + b"x"),),
        ((b"authorization", b"bearer " + TOKEN.encode()),),
        ((b"authorization", b"Basic " + TOKEN.encode()),),
        ((b"authorization", TOKEN.encode()),),
        ((b"authorization", b""),),
        ((b"x-token", TOKEN.encode()),),
        (right, right),
    ]
    assert {status(*headers) for headers in wrong} == {401}
    assert status(right, kind="websocket") == 401
