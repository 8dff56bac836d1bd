"""What else is here: installed libraries, credentials by name, and engines that could run work elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Literal

from interp_lab.contracts.machine import Engine
from interp_lab.machine.reaching import Answer, ask_ray, ask_slurm

LIBRARIES = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "numpy", "pyarrow", "mcp"),
    *("sae-lens", "transformer-lens", "nnsight", "goodfire", "gymnasium", "matplotlib", "fsspec", "ray", "submitit"),
)
"""Distributions that the lab uses or can use."""
CREDENTIALS = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NEURONPEDIA_API_KEY", "GOODFIRE_API_KEY", "NDIF_API_KEY"),
    *("AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "MODAL_TOKEN_ID", "WANDB_API_KEY"),
)
"""Variables whose presence is told, never their value."""


_RAY = "INTERP_LAB_RAY_ADDRESS"
_SLURM = ("sbatch", "squeue", "scancel", "srun", "sinfo")


def libraries() -> dict[str, str]:
    """Return the installed version of every library that is there; none is imported."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def credentials(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the credentials that are set."""
    return tuple(name for name in CREDENTIALS if environment.get(name))


def engines(
    environment: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
    installed: Callable[[str], object | None] = find_spec,
    *,
    slurm: Callable[[], Answer] = ask_slurm,
    ray: Callable[[str], Answer] = ask_ray,
) -> Iterator[Engine]:
    """Yield every engine that work could be given to, usable or not; clusters are asked, for seconds at most."""
    torch = installed("torch") is not None
    yield Engine(name="torchrun", usable=torch, found="comes with torch" if torch else "torch is not installed")
    address = environment.get(_RAY, "")
    yield _engine("ray", ray(address) if address else Answer(there=False, words=f"{_RAY} is not set"), environment)
    yield _engine("slurm", _slurm(which, installed, slurm), environment)
    modal = installed("modal") is not None
    yield Engine(name="modal", usable=modal, found="modal is installed" if modal else "modal is not installed")


def _slurm(
    which: Callable[[str], str | None], installed: Callable[[str], object | None], ask: Callable[[], Answer]
) -> Answer:
    if missing := [command for command in _SLURM if which(command) is None]:
        return Answer(there=False, words=f"{', '.join(missing)} not on the path")
    answer = ask()
    if installed("submitit") is None:
        return Answer(there=False, words=f"{answer.words}; submitit is not installed (interp-lab-mcp[slurm])")
    return answer


def _engine(name: Literal["ray", "slurm"], answer: Answer, environment: Mapping[str, str]) -> Engine:
    chosen = environment.get("INTERP_LAB_LAUNCHER") == name
    return Engine(
        name=name, usable=answer.there, found=answer.words + ("; jobs run there (launcher)" if chosen else "")
    )
