"""Clusters for tests: Slurm as four scripts that run here, Ray as two real nodes on this machine."""

from __future__ import annotations

import fcntl
import json
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SBATCH = """#!/bin/bash
dir=@DIR@
exec 9>$dir/lock; flock 9
n=$(( $(cat $dir/count 2>/dev/null || echo 0) + 1 )); echo $n > $dir/count
script=${@: -1}; cp "$script" $dir/$n.sh
out=$(sed -n 's/^#SBATCH --output=//p' "$script" | sed "s/%j/$n/;s/%t/0/")
export SLURM_JOB_ID=$n SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
setsid bash $dir/$n.sh < /dev/null >> "$out" 2>&1 9>&- &
echo $! > $dir/$n.pid
echo "Submitted batch job $n"
"""
_SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do
  if [[ $1 == --output || $1 == --error ]]; then shift; fi
  shift
done
exec "$@"
"""
_SQUEUE = """#!/bin/bash
for file in @DIR@/*.pid; do
  [ -e "$file" ] || exit 0
  state=$(ps -o stat= -g $(cat $file) | grep -v Z | head -1)
  [ -n "$state" ] && echo "$(basename $file .pid) RUNNING"
done
exit 0
"""
_SCANCEL = """#!/bin/bash
signal=TERM
[[ "$*" == *--signal=KILL* ]] && signal=KILL
kill -$signal -- -$(cat @DIR@/${@: -1}.pid) 2> /dev/null
exit 0
"""


def slurm_commands(folder: Path) -> Path:
    """Write the four commands of Slurm into a folder and return it; 'jobs' are sessions of this machine."""
    state, binaries = folder / "state", folder / "bin"
    state.mkdir(parents=True)
    binaries.mkdir()
    for name, text in (("sbatch", _SBATCH), ("srun", _SRUN), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
        path = binaries / name
        path.write_text(text.replace("@DIR@", str(state)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return binaries


class RayCluster:
    """Two nodes with one processor each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address: str = json.loads(self._line())["address"]

    def kill_second_node(self) -> None:
        """Let a node be gone, with all that runs on it."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._line() == "killed\n"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Run a cluster for the block, the only one of this machine: agents of two would take each other's ports."""
    program = Path(__file__).with_name("ray_cluster.py")
    alone = (Path(tempfile.gettempdir()) / "interp-lab-tests-ray.lock").open("w")
    fcntl.flock(alone, fcntl.LOCK_EX)
    with (
        alone,
        subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        yield RayCluster(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
