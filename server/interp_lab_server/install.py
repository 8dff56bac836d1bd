"""What a client has to be told to start this server: one table of clients. Nothing is written."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from interp_lab.errors import RequestError

SERVER_NAME: Final = "interp"
"""Short, because clients prefix every tool with it."""


class Client(NamedTuple):
    """Where a client keeps its servers and in which shape."""

    where: str
    shape: Literal["mcpServers", "servers", "toml"]
    toolsets: str = "core,evidence"
    """What the server is started with: everything where a client loads tools as it needs them, or takes many."""
    adds: str = ""
    """Its own command that adds a server, up to the server's command."""


CLIENTS: Final[dict[str, Client]] = {
    "claude-code": Client(
        "Save as .mcp.json in the project folder.", "mcpServers", "all", f"claude mcp add {SERVER_NAME} --"
    ),
    "claude-desktop": Client(
        "Merge into claude_desktop_config.json (Settings, Developer, Edit Config), then start Claude Desktop again.",
        "mcpServers",
    ),
    "cursor": Client("Save as .cursor/mcp.json in the project folder.", "mcpServers"),
    "vscode": Client("Save as .vscode/mcp.json in the project folder.", "servers", "all"),
    "codex": Client("Append to ~/.codex/config.toml.", "toml"),
}


class Configuration(NamedTuple):
    """A configuration to paste, and where it goes."""

    where: str
    text: str
    instead: str = ""
    """A command of the client that does the same; empty if it has none."""


def client_configuration(name: str, workspace: Path) -> Configuration:
    """Return the configuration that connects a client to this installation and workspace.

    Raises:
        RequestError: no such client.
    """
    client = CLIENTS.get(name)
    if client is None:
        raise RequestError(f"There is no client '{name}'.", remedy=f"Use one of {', '.join(sorted(CLIENTS))}.")
    command, module = sys.executable, ["-m", "interp_lab_server", "serve"]
    arguments = [*module, "--workspace", str(workspace), "--toolsets", client.toolsets]
    if client.shape == "toml":
        return Configuration(client.where, _toml(command, arguments))
    entry: dict[str, Any] = {"type": "stdio", "command": command, "args": arguments}
    instead = f"{client.adds} {shlex.join([command, *arguments])}" if client.adds else ""
    return Configuration(client.where, json.dumps({client.shape: {SERVER_NAME: entry}}, indent=2), instead)


def _toml(command: str, arguments: list[str]) -> str:
    listed = ", ".join(json.dumps(argument) for argument in arguments)
    return (
        f"[mcp_servers.{SERVER_NAME}]\ncommand = {json.dumps(command)}\nargs = [{listed}]\n"
        "startup_timeout_sec = 30\ntool_timeout_sec = 120\n"
    )
