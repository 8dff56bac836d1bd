from __future__ import annotations

import os
import subprocess
import sys

import counting_lab
import pytest

HEAVY = ("torch", "transformers", "sae_lens", "transformer_lens", "nnsight", "sklearn", "scipy", "pandas")
PROGRAM = f"""
import pathlib, sys, tempfile
import anyio
from mcp import Client
from interp_lab.settings import Settings
from interp_lab_server.app import build_server
import interp_lab_server.http, interp_lab_server.stdio, interp_lab_server.cli
from interp_lab_tools.lab import Lab

async def main(server):
    async with Client(server) as client:
        await client.list_tools()
        await client.call_tool("lab_overview", {{}})
        for tool in (await client.list_tools()).tools:
            for example in tool.input_schema["examples"]:
                await client.call_tool(tool.name, {{**example, "dry_run": True}} if tool.name == "inspect" else example)

with tempfile.TemporaryDirectory() as folder:
    with Lab.open(Settings(workspace=pathlib.Path(folder)), frozenset(["core", "ops"])) as lab:
        anyio.run(main, build_server(lab))
print(sorted(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.mark.guarantee("server-is-torch-free")
def test_the_server_process_never_imports_torch_or_its_like() -> None:
    environment = {**os.environ, "PYTHONPATH": counting_lab.python_path()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
