"""What holds for every real client of these tests."""

from __future__ import annotations

import pytest
from mcp.client import session


@pytest.fixture(autouse=True)
def _a_server_may_take_its_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client not give the current era up on a machine that is busy while the server starts."""
    monkeypatch.setattr(session, "DISCOVER_TIMEOUT_SECONDS", 600.0)
