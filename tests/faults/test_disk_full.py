"""F7: the disk fills up under an artifact, a checkpoint or the catalogue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Record
from tests.faults.rig import HERE

_CAN_MOUNT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def _isolated() -> list[str] | None:
    """Return how to run a command that may mount, or None where that is not allowed."""
    command = ["unshare", *_CAN_MOUNT, "--mount"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, timeout=600, check=False).returncode == 0
    except FileNotFoundError:
        return None
    return command if allowed else None


@pytest.mark.parametrize("where", ["artifact", "checkpoint", "catalogue"])
def test_a_full_disk_fails_the_job_in_words_and_the_request_succeeds_once_there_is_space(
    workspace: Path, record: Record, where: str
) -> None:
    isolated = _isolated()
    disk = "tmpfs" if isolated else "limit"
    done = subprocess.run(
        [*(isolated or []), sys.executable, "-P", str(HERE / "disk_full.py"), str(workspace), where, disk],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    seen = json.loads(done.stdout.splitlines()[-1])
    record(jobs_lost=int(seen["second"]["state"] != "succeeded"), full_disks=1)
    first, second = seen["first"], seen["second"]
    assert first["state"] == "failed"
    assert first["error"]["code"] == "disk_full"
    assert "bytes are free" in first["error"]["what"]
    assert "bytes were needed" in first["error"]["what"] or where == "catalogue"
    assert seen["old_artifact_readable"]
    assert seen["left_in_tmp"] == []
    assert second["state"] == "succeeded"
    assert seen["resumed_at"] >= 1
    assert seen["integrity"] == "ok"
