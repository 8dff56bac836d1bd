"""A server process on a pipe: what is on the wire, what survives on it, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import counting_lab
import pytest
from mcp import Client, StdioServerParameters
from wire import DEADLINE_S, TASKS, Wire

from interp_lab.artifacts.workspace import ROOT_NAME
from interp_lab_tools.lab import Lab

WITH_TASKS = {"extensions": {TASKS: {}}}


@pytest.fixture(scope="module", params=[True, False], ids=["current era", "handshake era"])
def wire(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """One connection for every test that leaves nothing behind; that it survives them all is part of the test."""
    with Wire(tmp_path_factory.mktemp("wire"), modern=request.param) as connected:
        yield connected


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with Wire(tmp_path_factory.mktemp("shared")) as connected:
        yield connected


@pytest.fixture
def modern(tmp_path: Path) -> Iterator[Wire]:
    with Wire(tmp_path) as connected:
        yield connected


@pytest.mark.guarantee("stdout-is-the-protocol")
def test_nothing_that_a_tool_prints_reaches_the_wire(wire: Wire) -> None:
    assert not wire.call("misbehave", how="print").get("isError")
    assert not wire.call("misbehave", how="write").get("isError")
    assert not wire.call("job_list").get("isError")
    assert wire.noise == []
    assert all("forged" not in message["method"] for message in wire.notifications)


def test_what_would_kill_the_connection_is_an_answer_instead(wire: Wire) -> None:
    assert "\\ud83d" in wire.call("misbehave", how="surrogate")["structuredContent"]["summary"]
    assert wire.call("misbehave", how="exit")["structuredContent"]["code"] == "internal_error"
    assert wire.call("misbehave", how="raise")["structuredContent"]["code"] == "internal_error"
    assert len(wire.call("misbehave", how="huge")["content"][0]["text"]) <= 20_000
    assert not wire.call("job_list").get("isError")


def test_half_an_emoji_in_a_request_is_served(wire: Wire) -> None:
    request = wire.post("tools/call", {"name": "count", "arguments": {"request_key": "half \ud83d", "steps": 1}})
    result = wire.answer(request)["result"]
    assert result["isError"]
    assert result["structuredContent"]["fields"][0]["field"] == "request_key"


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        ('{"jsonrpc":"2.0","id":77,"method":', 77, -32700),
        (
            '{"jsonrpc":"2.0","id":"deep","method":"x","params":{"a":' + "[" * 50_000 + "]" * 50_000 + "}}",
            "deep",
            -32700,
        ),
        ('{"jsonrpc":"2.0","id":78}', 78, -32600),
        ("not json at all", None, -32700),
        ("[]", None, -32600),
    ],
)
def test_a_line_that_cannot_be_read_is_answered(shared: Wire, line: str, request_id: Any, code: int) -> None:
    shared.send(line)
    assert shared.answer(request_id)["error"]["code"] == code
    assert "tools" in shared.ask("tools/list")["result"]


def test_huge_and_odd_arguments_are_refused_and_the_server_lives(wire: Wire) -> None:
    odd: list[dict[str, Any]] = [
        {"job_id": "x" * 5_000_000},
        {"job_id": ["a"] * 100_000},
        {"job_id": "../../etc/passwd"},
        {"job_id": "a" * 31 + "\0"},
        {"job_id": "0" * 32, "wait_s": 1e308},
        {"job_id": "0" * 32, "wait_s": -1},
        {"job_id": "0" * 32, "wait_s": "Infinity"},
        {"job_id": None},
        {"JOB_ID": "0" * 32},
        {},
    ]
    for arguments in odd:
        result = wire.call("job_wait", **arguments)
        assert result["isError"], str(arguments)[:80]
        assert result["structuredContent"]["code"] == "invalid_request"
        assert len(result["content"][0]["text"]) < 4000
    assert wire.call("job_wait", job_id="0" * 32)["structuredContent"]["code"] == "unknown_job"


def test_a_client_that_goes_away_ends_the_server_and_not_the_job(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire:
        wire.post("tools/call", {"name": "count", "arguments": {"until": "go", "wait_s": 45}})
        with Lab.open(counting_lab.settings(tmp_path)) as lab:
            jobs = until(lambda: lab.engine.list_jobs().items)
            assert wire.leave() == 0
            (tmp_path / "go").touch()
            job_id = jobs[0].id
    with Wire(tmp_path) as second:
        assert second.finish(job_id)["state"] == "succeeded"
        assert len(second.call("job_list")["structuredContent"]["jobs"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_though_its_pipe_is_open(tmp_path: Path, number: signal.Signals) -> None:
    with Wire(tmp_path) as wire:
        wire.ask("tools/list")
        wire.process.send_signal(number)
        assert wire.process.wait(timeout=DEADLINE_S) == 128 + number


def test_two_servers_of_one_workspace_share_its_jobs(tmp_path: Path) -> None:
    with Wire(tmp_path) as one, Wire(tmp_path, modern=False) as other:
        first = one.call("count", until="go", wait_s=0)["structuredContent"]
        same = other.call("count", until="go", wait_s=0)["structuredContent"]
        assert same["job_id"] == first["job_id"]
        (tmp_path / "go").touch()
        assert other.finish(first["job_id"])["state"] == "succeeded"
        assert one.call("job_list")["structuredContent"]["jobs"][0]["state"] == "succeeded"


def test_the_log_is_json_lines_in_the_workspace_and_names_the_fault(modern: Wire, tmp_path: Path) -> None:
    error_id = modern.call("misbehave", how="raise")["structuredContent"]["error_id"]
    log = tmp_path / ROOT_NAME / "logs" / f"server-{modern.process.pid}.jsonl"
    whole_lines = log.read_text().rpartition("\n")[0].splitlines()
    records = [json.loads(line) for line in whole_lines]
    fault = next(record for record in records if record.get("error_id") == error_id)
    assert "secret detail" in fault["traceback"]


def test_a_call_becomes_a_task_whose_id_is_the_job(modern: Wire, tmp_path: Path) -> None:
    arguments = {"name": "count", "arguments": {"until": "go", "steps": 2}}
    task = modern.ask("tools/call", arguments, **WITH_TASKS)["result"]
    assert task["resultType"] == "task"
    assert task["status"] == "working"
    assert modern.call("job_list")["structuredContent"]["jobs"][0]["job_id"] == task["taskId"]
    (tmp_path / "go").touch()
    ended = until(lambda: finished(modern, task["taskId"]))
    assert ended["status"] == "completed"
    assert ended["result"]["structuredContent"]["result"]["total"] >= 2
    assert json.loads(ended["result"]["content"][0]["text"]) == ended["result"]["structuredContent"]


def test_a_task_outlives_its_server(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire:
        arguments = {"name": "count", "arguments": {"until": "go"}}
        task_id = wire.ask("tools/call", arguments, **WITH_TASKS)["result"]["taskId"]
        wire.process.kill()
    (tmp_path / "go").touch()
    with Wire(tmp_path) as second:
        assert until(lambda: finished(second, task_id))["status"] == "completed"


def test_a_task_is_cancelled_once_and_cancelling_again_changes_nothing(modern: Wire) -> None:
    arguments = {"name": "count", "arguments": {"until": "never"}}
    task_id = modern.ask("tools/call", arguments, **WITH_TASKS)["result"]["taskId"]
    for _ in range(2):
        ack = modern.ask("tasks/cancel", {"taskId": task_id}, **WITH_TASKS)["result"]
        assert {key for key in ack if key != "_meta"} == {"resultType"}
    assert until(lambda: finished(modern, task_id))["status"] == "cancelled"
    assert modern.ask("tasks/cancel", {"taskId": task_id}, **WITH_TASKS)["result"]["resultType"] == "complete"


def test_a_refusal_or_a_dry_run_needs_no_task(modern: Wire) -> None:
    refused = modern.ask("tools/call", {"name": "count", "arguments": {"steps": -1}}, **WITH_TASKS)["result"]
    planned = modern.ask("tools/call", {"name": "count", "arguments": {"dry_run": True}}, **WITH_TASKS)["result"]
    assert refused["isError"]
    assert planned["structuredContent"]["state"] == "planned"
    assert modern.call("job_list")["structuredContent"]["jobs"] == []


def test_a_client_that_did_not_declare_tasks_gets_none(wire: Wire) -> None:
    result = wire.call("count", steps=0, wait_s=45)
    assert "taskId" not in result
    assert wire.finish(result["structuredContent"]["job_id"])["state"] == "succeeded"
    error = wire.ask("tasks/get", {"taskId": "0" * 32})["error"]
    assert error["code"] == (-32021 if wire.modern else -32601)


@pytest.mark.parametrize("task_id", ["0" * 32, "", "x", "../" * 10, "0" * 31 + "\0", "0" * 33])
def test_a_task_id_that_names_nothing_is_an_invalid_parameter(shared: Wire, task_id: str) -> None:
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        assert shared.ask(method, {"taskId": task_id}, **WITH_TASKS)["error"]["code"] == -32602


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_real_client_drives_a_job_to_its_report(tmp_path: Path, era: str) -> None:
    environment = {**os.environ, "PYTHONPATH": counting_lab.python_path()}
    command = StdioServerParameters(
        command=sys.executable, args=[counting_lab.__file__, "serve"], cwd=tmp_path, env=environment
    )
    async with Client(command, mode=era) as client:
        view = {"state": "queued"}
        while view["state"] in {"queued", "starting", "running"}:
            view = (await client.call_tool("count", {"steps": 2, "wait_s": 45})).structured_content
        action = view["agent_next_actions"][0]
        report = await client.call_tool(action["tool"], action["arguments"])
    assert view["state"] == "succeeded"
    assert report.structured_content["text"].startswith("Counted to 2.")


def finished(wire: Wire, task_id: str) -> dict[str, Any] | None:
    task = wire.ask("tasks/get", {"taskId": task_id}, **WITH_TASKS)["result"]
    return task if task["status"] not in {"working", "input_required"} else None


def until(look: Any) -> Any:
    """Return what `look` sees once it sees something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_workspace_that_is_no_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    command = [sys.executable, "-m", "interp_lab_server.cli", "serve", "--workspace", str(missing)]
    environment = {**os.environ, "PYTHONPATH": counting_lab.python_path()}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert done.stdout == ""
    assert "workspace_unusable" in done.stderr
    assert not missing.exists()
