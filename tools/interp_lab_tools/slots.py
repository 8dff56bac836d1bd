"""Which kind of slot a job needs."""

from __future__ import annotations

from typing import Literal

from interp_lab.settings import Settings


def slot_for(device: str, settings: Settings) -> Literal["cpu", "gpu"]:
    """Return the slot whose device the job will see: a job in a CPU slot sees no accelerator, whatever it asks for."""
    wants_gpu = device.startswith("cuda") or (device == "auto" and settings.gpu_slots > 0)
    return "gpu" if wants_gpu else "cpu"
