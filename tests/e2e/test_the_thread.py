"""The main job over a real MCP client and a real worker; every answer is looked at as an agent gets it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters

from interp_lab.reports.numbers import fixed
from interp_lab.reports.orientation import turned
from interp_lab_tools.catalogue import BY_NAME

REQUEST = {
    "model": "builtin:pocket-llama",
    "criterion": "the word is a person's name",
    "dataset": "builtin:person-name",
    "addresses": ["resid_post.0", "resid_post.3"],
    "pooling": "span",
    "top_k": 3,
}


class Agent:
    """A client that checks every answer against the tool's own schema and remembers what it was told to do next."""

    def __init__(self, client: Client, schemas: dict[str, Any]) -> None:
        self._client = client
        self._schemas = schemas
        self.actions: list[dict[str, Any]] = []
        self.progress: list[list[float]] = []
        """Of each call, since every call reports under a token of its own."""

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        self.progress.append([])
        result = await self._client.call_tool(tool, arguments, progress_callback=self._note)
        assert not result.is_error, result.content
        answer = result.structured_content
        assert json.loads(result.content[0].text) == answer
        Draft202012Validator(self._schemas[tool]).validate(answer)
        assert len(result.content[0].text) <= 20_000
        self.actions += answer["agent_next_actions"]
        assert answer["agent_next_actions"], tool
        for action in answer["agent_next_actions"]:
            assert action["cost"]
            assert action["changes"]
        return answer

    async def finish(self, view: dict[str, Any]) -> dict[str, Any]:
        while view["state"] not in ("succeeded", "failed", "cancelled"):
            view = await self.call("job_wait", job_id=view["job_id"], wait_s=20)
        return view

    async def read(self, uri: str) -> str:
        return (await self._client.read_resource(uri)).contents[0].text

    async def _note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress[-1].append(progress)


@asynccontextmanager
async def an_agent(workspace: Path, mode: str) -> AsyncIterator[Agent]:
    arguments = ["-m", "interp_lab_server", "serve", "--workspace", str(workspace), "--toolsets", "all"]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments), mode=mode) as client:
        tools = (await client.list_tools()).tools
        yield Agent(client, {tool.name: tool.output_schema for tool in tools})


@pytest.mark.guarantee("answers-complete-twice")
@pytest.mark.guarantee("next-actions-are-valid")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_an_agent_gets_from_a_sentence_to_a_graded_report(tmp_path: Path, mode: str) -> None:
    anyio.run(_from_sentence_to_report, tmp_path, mode)


async def _from_sentence_to_report(workspace: Path, mode: str) -> None:
    async with an_agent(workspace, mode) as agent:
        overview = await agent.call("lab_overview")
        assert REQUEST["model"] in {model["id"] for model in overview["models"]}
        plan = await agent.call("inspect", **REQUEST, dry_run=True)
        assert plan["state"] == "planned"
        assert plan["plan"]["n_forward_passes"] == plan["plan"]["n_prompts"]
        view = await agent.finish(await agent.call("inspect", **REQUEST, wait_s=20))
        assert view["state"] == "succeeded"
        assert view["result"]["n_tested"] == plan["plan"]["n_coordinates"]
        assert len(view["result"]["ranking"]) == REQUEST["top_k"]
        assert {row["grade"] for row in view["result"]["ranking"]} <= {"needs_causal_evidence", "plausible", "weak"}
        await _report_is_the_same_in_every_form(agent, view)
        again = await agent.call("inspect", **REQUEST)
        assert again["job_id"] == view["job_id"]
        listed = await agent.call("artifact_list", kind="inspect_report")
        assert [a["id"] for a in listed["artifacts"]] == [a["id"] for a in view["artifacts"]]
        await agent.call("job_logs", job_id=view["job_id"])
        await agent.call("job_list")
    assert any(agent.progress)
    assert all(values == sorted(set(values)) for values in agent.progress)
    for action in agent.actions:
        BY_NAME[action["tool"]].request.model_validate(action["arguments"])


async def _report_is_the_same_in_every_form(agent: Agent, view: dict[str, Any]) -> None:
    files = {file["name"]: f"{each['uri']}/{file['name']}" for each in view["artifacts"] for file in each["files"]}
    assert set(files) == {"report.json", "report.md", "report.html", "report.csv", "statistics.safetensors"}
    headline = view["summary"].splitlines()[0]
    first = view["result"]["ranking"][0]
    read = await agent.call(
        "artifact_read", artifact_id=view["artifacts"][0]["id"], name="report.json", pointer="/headline"
    )
    assert json.loads(read["text"]) == headline
    markdown = await agent.read(files["report.md"])
    assert f"{first['address']}" in markdown
    assert fixed(turned(first["confirm_auroc"], first["sign"])) in markdown
