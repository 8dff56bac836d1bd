# pyright: standard
"""A short harvest in a process of its own: what a worker takes before its work begins is what this takes more.

`python -m interp_lab.workflows.profiling.start FOLDER` reads the corpus.txt of the folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from interp_lab.contracts.harvest import HarvestRequest, HarvestResult
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest

MODEL, MIDDLE, N_LAYERS = "builtin:pocket-gpt2", 2, 4
"""Packaged model that short runs read, the layer in its middle, and how many it has."""
CORPUS = "corpus.txt"


def short_harvest(folder: Path, run: LocalRun) -> HarvestResult:
    """Return what a harvest of the folder's corpus gave."""
    asked = {"model": MODEL, "dataset": CORPUS, "addresses": [f"resid_post.{MIDDLE}"]}
    return harvest(HarvestRequest.model_validate(asked), run, settings=Settings(workspace=folder))


def start_process(folder: Path) -> None:
    """Make a short harvest in a new process and wait for it.

    Raises:
        subprocess.CalledProcessError: The process failed.
    """
    subprocess.run([sys.executable, "-m", __spec__.name, str(folder)], check=True, capture_output=True)  # noqa: S603 - this program


def main() -> int:
    """Return 0 after the harvest."""
    folder = Path(sys.argv[1])
    with LocalRun(folder / "started", workspace=folder) as run:
        short_harvest(folder, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
