"""A real Slurm on this machine: munged, slurmctld and a slurmd for each node, everything in one folder, as root.

Debian has all of it: `apt-get install slurm-wlm munge`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.contract.ray_cluster import free_port

DAEMONS = ("munged", "slurmctld", "slurmd")
_PATIENCE_S = 300.0
_CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmctldPort={control}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=1000 State=UNKNOWN\n"


@contextmanager
def slurm_cluster(*, nodes: int = 1) -> Generator[Path]:
    """Run the daemons for the block and return the configuration, which SLURM_CONF has to name.

    All nodes are this machine; one bears its name, several have names of their own.
    """
    if missing := [name for name in DAEMONS if shutil.which(name) is None]:
        raise RuntimeError(f"{', '.join(missing)} not found: apt-get install slurm-wlm munge")
    folder = Path(tempfile.mkdtemp(prefix="lab-slurm-"))  # short: a socket lies in it
    try:
        yield _started(folder, nodes)
    finally:
        for pid_file in (*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid", folder / "munged.pid"):
            _end(pid_file)
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path, nodes: int) -> Path:
    configuration, host = folder / "slurm.conf", socket.gethostname()
    names = [host] if nodes == 1 else [f"lab-{i}" for i in range(nodes)]
    text = _CONFIGURATION.format(host=host, folder=folder, control=free_port())
    text = text.replace("PartitionName", "".join(map(_node, names)) + "PartitionName")
    configuration.write_text(text)
    (folder / "state").mkdir()
    for name in names:
        (folder / f"spool-{name}").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    own = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
    own |= {"log-file": folder / "munged.log", "seed-file": folder / "munged.seed"}
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    munged = ["munged", "--force", *(f"--{name}={path}" for name, path in own.items())]
    for command in (munged, ["slurmctld"], *(["slurmd", "-N", name] if nodes > 1 else ["slurmd"] for name in names)):
        subprocess.run(command, check=True, env=environment)
    deadline = time.monotonic() + _PATIENCE_S
    while _told(environment).split() != ["idle"] * nodes:
        if time.monotonic() > deadline:
            raise RuntimeError((folder / "slurmctld.log").read_text()[-3000:])
        time.sleep(0.2)
    return configuration


def _node(name: str) -> str:
    return _NODE.format(name=name, host=socket.gethostname(), port=free_port())


def _told(environment: dict[str, str]) -> str:
    command = ["sinfo", "--noheader", "--Node", "--format", "%T"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _end(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(50):
            os.kill(pid, 0)  # raises once it is gone
            time.sleep(0.1)
