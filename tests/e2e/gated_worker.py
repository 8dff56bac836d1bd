"""The worker with small shards that waits at a gate, says that it is there, and goes on when the test opens the gate.

So a test knows in which line the worker is, however fast or slow either of them runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from interp_lab.store.shard_log import ShardLog, WholeShard
from interp_lab.workflows.harvesting import record, stretches
from interp_lab.workflows.harvesting.reading import Reading
from interp_lab.workflows.harvesting.stretches import Stretch
from interp_lab_server.worker import main
from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES

BETWEEN_STRETCHES = "between-stretches"
"""Some shards are recorded, and no row of the next ones is read."""
BEFORE_A_RECORD = "before-a-record"
"""The files of a shard are all there, two shards before it are recorded, and it is not."""
_WAIT_S = 900.0
"""The test may have failed long ago."""


class Gate:
    """A file that holds the worker as long as it is there, and another that says that the worker has come to it."""

    def __init__(self, workspace: Path, name: str) -> None:
        self._closed = workspace / f"gate-{name}"
        self._reached = workspace / f"reached-{name}"

    def close(self) -> None:
        self._closed.touch()

    def open(self) -> None:
        self._closed.unlink()

    def reached(self) -> bool:
        return self._reached.exists()

    def pass_through(self) -> None:
        """Wait while the gate is closed, hearing nothing: whether to stop is for the code under test to ask."""
        deadline = time.monotonic() + _WAIT_S
        while self._closed.exists() and time.monotonic() < deadline:
            self._reached.touch()
            time.sleep(0.02)


def put_gates() -> None:
    read, commit = Reading._read, ShardLog.commit

    def read_behind_a_gate(reading: Reading, stretch: Stretch) -> None:
        if reading.writer.finished_rows:
            Gate(Path.cwd(), BETWEEN_STRETCHES).pass_through()
        read(reading, stretch)

    def commit_behind_a_gate(log: ShardLog, shard: WholeShard) -> None:
        if len(log.shards) == 2:
            Gate(Path.cwd(), BEFORE_A_RECORD).pass_through()
        commit(log, shard)

    Reading._read, ShardLog.commit = read_behind_a_gate, commit_behind_a_gate


if __name__ == "__main__":
    stretches.BUFFER_BYTES, record.SHARD_BYTES = BUFFER_BYTES, SHARD_BYTES
    put_gates()
    sys.exit(main())
