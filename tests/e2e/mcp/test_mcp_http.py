"""Streamable HTTP as an attacker on the same machine, a web page and the real client meet it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import counting_lab
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from interp_lab.artifacts.workspace import ROOT_NAME
from interp_lab_server.http import TOKEN_NAME, TOKEN_VARIABLE

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}


class Response(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Served(NamedTuple):
    """A server over HTTP."""

    url: str
    token: str
    workspace: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port
        return port

    def post(self, body: bytes | None = None, path: str = "/mcp", **headers: str) -> Response:
        """Send a request that is right but for what is given."""
        right = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/list",
        }
        given: Mapping[str, str] = {**right, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
        data = json.dumps(LIST).encode() if body is None else body
        for name, value in {**given, "Content-Length": str(len(data))}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # a refusal may come before the whole body is sent
            connection.send(data)
        with closing(connection), connection.getresponse() as response:
            return Response(response.status, response.read())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace = tmp_path_factory.mktemp("http")
    environment = {**os.environ, "PYTHONPATH": counting_lab.python_path()}
    environment.pop(TOKEN_VARIABLE, None)
    process = subprocess.Popen(
        [sys.executable, counting_lab.__file__, "http"],
        cwd=workspace,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = _url(process)
        yield Served(url, (workspace / ROOT_NAME / TOKEN_NAME).read_text().strip(), workspace)
    finally:
        process.terminate()
        process.communicate(timeout=600)


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("{") and "url" in (record := json.loads(line)):
            return record["url"]
    raise AssertionError("".join(seen))


def test_the_right_request_is_answered(served: Served) -> None:
    response = served.post()
    assert response.status == 200
    assert b"lab_overview" in response.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
def test_without_the_token_nothing_is_served(served: Served, headers: dict[str, str]) -> None:
    response = served.post(**headers)
    assert response.status == 401
    assert b"lab_overview" not in response.body


def test_a_token_in_the_address_does_not_count(served: Served) -> None:
    for path in (f"/mcp?token={served.token}", f"/mcp?access_token={served.token}"):
        assert served.post(path=path, Authorization="").status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:{port}", "localhost:evil.com", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.com"],
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(served: Served, host: str) -> None:
    assert served.post(Host=host.replace("{port}", str(served.port))).status == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://localhost:1", "http://localhost:{port}", "http://127.0.0.1:{port}"]
)
def test_no_web_page_may_talk_to_the_server(served: Served, origin: str) -> None:
    assert served.post(Origin=origin.replace("{port}", str(served.port))).status == 403


def test_a_body_over_the_limit_or_of_another_kind_is_refused(served: Served) -> None:
    assert served.post(body=b" " * (4 * 2**20 + 1)).status == 413
    assert served.post(Content_Type="text/plain").status in {400, 415}
    assert served.post(body=json.dumps([LIST]).encode()).status == 400
    assert served.post(body=b'{"jsonrpc":').status == 400


def test_a_routing_header_that_names_another_task_is_refused(served: Served) -> None:
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
    params = {"taskId": "0" * 32, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": params}).encode()
    mismatch = served.post(body=body, Mcp_Method="tasks/get", Mcp_Name="1" * 32).body
    match = served.post(body=body, Mcp_Method="tasks/get", Mcp_Name="0" * 32).body
    assert b"-32020" in mismatch
    assert b"-32602" in match


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_real_client_drives_a_job(served: Served, era: str) -> None:
    headers = {"Authorization": f"Bearer {served.token}"}
    calls: list[list[float]] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        calls[-1].append(progress)
        (served.workspace / f"go-{era}").touch()  # the job counts on until it has been seen to

    async with httpx2.AsyncClient(headers=headers, timeout=600) as session:
        transport = streamable_http_client(served.url, http_client=session)
        async with Client(transport, mode=era) as client:
            view = {"state": "queued"}
            while view["state"] in {"queued", "starting", "running"}:
                arguments = {"until": f"go-{era}", "wait_s": 45, "request_key": era}
                calls.append([])
                view = (await client.call_tool("count", arguments, progress_callback=watch)).structured_content
    assert view["state"] == "succeeded"
    assert all(seen == sorted(seen) for seen in calls)
    assert any(calls)


def test_a_token_file_that_others_can_read_stops_the_server(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 40)
    token.chmod(0o644)
    program = (
        "import pathlib, sys; from interp_lab.settings import Settings; from interp_lab_server.http import serve_http; "
        "here = Settings(workspace=pathlib.Path('.')); "
        "serve_http(here, toolsets=frozenset(), token_file=pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(token)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": counting_lab.python_path()},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode
    assert "UnsafeToken" in done.stderr
