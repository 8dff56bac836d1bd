"""What holds for every real client of these tests."""

from __future__ import annotations

import pytest
from mcp.client import session, stdio

PATIENCE_S = 600.0


@pytest.fixture(autouse=True)
def _a_server_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine start and end the server: no other era after ten seconds, no kill after two."""
    monkeypatch.setattr(session, "DISCOVER_TIMEOUT_SECONDS", PATIENCE_S)
    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", PATIENCE_S)
    monkeypatch.setattr(stdio, "_KILL_REAP_TIMEOUT", PATIENCE_S)
