"""Serve a lab with the suite's fixtures over HTTP on a free port, without a token, and write the address."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

import content_fixtures
import input_fixtures
import task_fixtures
import uvicorn

from interp_lab.settings import Settings
from interp_lab_server.app import LabServer, build_server
from interp_lab_server.http import PATH, mcp_app
from interp_lab_tools.lab import Lab


def fixtures(server: LabServer) -> None:
    """Add everything the suite asks for."""
    content_fixtures.register(server)
    input_fixtures.register(server)
    task_fixtures.register(server)


def main() -> None:
    """Serve until killed."""
    with tempfile.TemporaryDirectory() as folder, Lab.open(Settings(workspace=Path(folder))) as lab:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = f"http://localhost:{port}"
        app = mcp_app(build_server(lab, fixtures=fixtures), "127.0.0.1", port, (url,))
        sys.stdout.write(f"{url}{PATH}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
