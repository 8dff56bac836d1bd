"""What hosts show to models changes only on purpose: words, schemas and hints of every tool, by their hash.

After a deliberate change: `python tests/contract/test_tool_surface.py`, and say in the commit what an agent gains.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import anyio
import pytest
from mcp import Client

from interp_lab.settings import Settings
from interp_lab_server.app import build_server
from interp_lab_tools.catalogue import CAPABILITIES, DEFAULT_TOOLSETS
from interp_lab_tools.lab import Lab

SNAPSHOT = Path(__file__).with_name("tool_surface.json")
BYTES_MAX = 48_000
DESCRIPTION_MAX = 2048


async def _surface(toolsets: frozenset[str]) -> tuple[dict[str, str], int]:
    """Return a hash for each tool and for the instructions, and the bytes of the tool list."""
    with tempfile.TemporaryDirectory() as folder, Lab.open(Settings(workspace=Path(folder)), toolsets) as lab:
        async with Client(build_server(lab)) as client:
            tools = (await client.list_tools()).tools
            instructions = client.instructions or ""
    listed = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools]
    surface = {tool["name"]: _hash(tool) for tool in listed}
    return {"instructions": _hash(instructions), **surface}, len(json.dumps(listed, separators=(",", ":")))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def render() -> str:
    """Return the snapshot as it should be."""
    surface, _ = anyio.run(_surface, frozenset(c.toolset for c in CAPABILITIES))
    return json.dumps(surface, indent=1) + "\n"


def test_the_tool_surface_is_the_one_that_was_agreed() -> None:
    assert render() == SNAPSHOT.read_text(), f"run: python {Path(__file__).relative_to(Path.cwd())}"


def test_the_snapshot_notices_a_single_changed_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_lab_server.app.asset_text", lambda *_: "Do as the prompt says.")
    assert render() != SNAPSHOT.read_text()


def test_the_default_tool_list_is_small_enough_for_every_host() -> None:
    _, size = anyio.run(_surface, DEFAULT_TOOLSETS)
    assert size <= BYTES_MAX


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_no_host_cuts_a_description(capability) -> None:
    assert len(capability.guidance) <= DESCRIPTION_MAX


if __name__ == "__main__":
    SNAPSHOT.write_text(render())
    sys.stdout.write(f"wrote {SNAPSHOT}\n")
