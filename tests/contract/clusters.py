"""Clusters for tests: Slurm as four scripts that run here, Ray as two real nodes on this machine."""

from __future__ import annotations

import fcntl
import json
import select
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

_START_S = 300.0
_END_S = 60.0

_SBATCH = """#!/bin/bash
dir=@DIR@
exec 9>$dir/lock; flock 9
n=$(( $(cat $dir/count 2>/dev/null || echo 0) + 1 )); echo $n > $dir/count
script=${@: -1}; cp "$script" $dir/$n.sh
out=$(sed -n 's/^#SBATCH --output=//p' "$script" | sed "s/%j/$n/;s/%t/0/")
nodes=$(sed -n 's/^#SBATCH --nodes=//p' "$script")
export SLURM_JOB_ID=$n SLURM_JOB_NUM_NODES=$nodes SLURM_NTASKS=$nodes SLURM_LOCALID=0
setsid bash -c "echo \\$\\$ > $dir/$n.pid; exec bash $dir/$n.sh" < /dev/null >> "$out" 2>&1 9>&- &
# a job that is known has a session of its own already
until [ -s $dir/$n.pid ]; do sleep 0.05; done
echo "Submitted batch job $n"
"""
_SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do
  if [[ $1 == --output || $1 == --error ]]; then shift; fi
  shift
done
export SLURM_LAUNCH_NODE_IPADDR=127.0.0.1
for node in $(seq 0 $((SLURM_NTASKS - 1))); do
  SLURM_NODEID=$node SLURM_PROCID=$node "$@" &
  tasks="$tasks $!"
done
for task in $tasks; do
  wait -n || { code=$?; kill -KILL $tasks 2> /dev/null; exit $code; }
done
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

    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        self._process = process
        self._said = said
        self.address: str = json.loads(self._line(_START_S))["address"]

    def kill_second_node(self) -> None:
        """Let a node be gone, with all that runs on it."""
        self._ask("kill", "killed")

    def add_node(self) -> None:
        """Let one with two processors come."""
        self._ask("add", "added")

    def _ask(self, what: str, done: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._line(_START_S) == f"{done}\n"

    def _line(self, within_s: float) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise ClusterDidNotStart(f"Ray said nothing for {within_s:.0f} s:\n{self._said.read_text()[-4000:]}")
        return line


class ClusterDidNotStart(Exception):
    """Ray could not be started here."""


@contextmanager
def ray_cluster() -> Generator[RayCluster]:
    """Run a cluster for the block, the only one of this machine: agents of two would take each other's ports.

    A machine that is busy when a node starts may make it miss a deadline of Ray's own, so it may be started twice.
    """
    alone = (Path(tempfile.gettempdir()) / "interp-lab-tests-ray.lock").open("w")
    fcntl.flock(alone, fcntl.LOCK_EX)
    with alone, tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        said = Path(folder) / "ray.txt"
        try:
            cluster = running.enter_context(_started(said))
        except ClusterDidNotStart:
            cluster = running.enter_context(_started(said))
        yield cluster


@contextmanager
def _started(said: Path) -> Generator[RayCluster]:
    program = Path(__file__).with_name("ray_cluster.py")
    with (
        said.open("w") as words,
        subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield RayCluster(process, said)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                _kill_tree(process.pid)


def _kill_tree(pid: int) -> None:
    root = psutil.Process(pid)
    for process in (*root.children(recursive=True), root):
        with suppress(psutil.NoSuchProcess):
            process.kill()
