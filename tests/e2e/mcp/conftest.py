from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import counting_lab

from interp_lab_server.app import LabServer, build_server
from interp_lab_tools import catalogue
from interp_lab_tools.lab import Lab


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose catalogue can also count and misbehave, in this process and in its workers."""
    extra = (counting_lab.COUNT, counting_lab.MISBEHAVE)
    monkeypatch.setattr(catalogue, "CAPABILITIES", (*catalogue.CAPABILITIES, *extra))
    for capability in extra:
        monkeypatch.setitem(catalogue.BY_NAME, capability.name, capability)
    monkeypatch.setenv("PYTHONPATH", counting_lab.python_path())
    with Lab.open(counting_lab.settings(tmp_path), counting_lab.TOOLSETS) as opened:
        yield opened


@pytest.fixture
def server(lab: Lab) -> LabServer:
    return build_server(lab)
