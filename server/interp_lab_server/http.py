"""Serve Streamable HTTP: on the loopback, behind a bearer token, for exact hosts and origins."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from interp_lab.errors import UnsafeAddress, UnsafeToken
from interp_lab.settings import Settings
from interp_lab_server.app import LabServer, build_server
from interp_lab_server.logs import configure_logs
from interp_lab_tools.lab import Lab

PATH = "/mcp"
TOKEN_VARIABLE = "INTERP_LAB_TOKEN"  # noqa: S105 - the name of the variable, not a token
TOKEN_NAME = "http-token"  # noqa: S105 - the name of the file, not a token
TOKEN_CHARS_MIN = 32
BODY_BYTES_MAX = 4 * 2**20

_log = logging.getLogger(__name__)


def serve_http(
    settings: Settings,
    *,
    toolsets: frozenset[str],
    read_only: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    token_file: Path | None = None,
    origins: tuple[str, ...] = (),
) -> int:
    """Serve until a signal comes; returns the exit status.

    Raises:
        UnsafeAddress: others could reach the server without a token of the operator's choice.
        UnsafeToken: the token can be read or guessed by others.
    """
    loopback = is_loopback(host)
    with Lab.open(settings, toolsets, read_only=read_only) as lab:
        folder = lab.engine.paths.root
        configure_logs(folder / "logs")
        token = bearer_token(token_file, folder, chosen=not loopback)
        with _bound(host, port) as listener:
            bound = listener.getsockname()[1]
            app = mcp_app(build_server(lab), host, bound, origins)
            url = f"http://{_bracketed(host)}:{bound}{PATH}"
            _log.info("serving over HTTP", extra={"event": "serving", "url": url})
            _run(TokenGuard(app, token), listener)
    return 0


def mcp_app(server: LabServer, host: str, port: int, origins: tuple[str, ...] = ()) -> ASGIApp:
    """Return the ASGI application without its token guard, answering to exactly this host, port and these origins."""
    names = ("127.0.0.1", "localhost", "[::1]") if is_loopback(host) else (_bracketed(host),)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[f"{name}:{port}" for name in names],
        allowed_origins=list(origins),
    )
    return server.streamable_http_app(
        streamable_http_path=PATH, max_request_body_size=BODY_BYTES_MAX, transport_security=security, host=host
    )


class TokenGuard:
    """Lets a request through only with the bearer token in its Authorization header."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it before its body is read."""
        if scope["type"] == "lifespan" or self._allowed(scope):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"A bearer token is needed."})

    def _allowed(self, scope: Scope) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        return scope["type"] == "http" and len(given) == 1 and hmac.compare_digest(given[0], self._expected)


def bearer_token(
    token_file: Path | None, folder: Path, *, chosen: bool, environ: Mapping[str, str] | None = None
) -> str:
    """Return the token from the environment or from its file; one is made in `folder` unless it must be `chosen`.

    Raises:
        UnsafeAddress: a chosen token is needed and none was given.
        UnsafeToken: it is short, or its file can be read by others.
    """
    given = (os.environ if environ is None else environ).get(TOKEN_VARIABLE)
    if given:
        return _checked(given)
    path = token_file or folder / TOKEN_NAME
    if not path.exists():
        if chosen:
            raise UnsafeAddress
        _make(path)
    return _checked(_read(path))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server bound to the host.

    Raises:
        UnsafeAddress: the host means every address of this machine.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    if address.is_unspecified:
        raise UnsafeAddress(f"{host} means every address of this machine.", remedy="Bind one address by name.")
    return address.is_loopback


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    _log.info("made a bearer token in %s", path, extra={"event": "token"})


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise UnsafeToken(f"The token file cannot be opened: {error.strerror}.") from error
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise UnsafeToken("The token file is not a regular file of mode 0600.")
        return file.read(4096).strip()


def _checked(token: str) -> str:
    if len(token) < TOKEN_CHARS_MIN or not token.isascii() or not token.isprintable() or " " in token:
        raise UnsafeToken(f"The token must have at least {TOKEN_CHARS_MIN} printable characters without spaces.")
    return token


def _run(app: ASGIApp, listener: socket.socket) -> None:
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def _bound(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
