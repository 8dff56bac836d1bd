"""What a worker inherits: an allow-list of variables, its settings, its share of the processor, and its mark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from interp_lab.settings import ALL_GPUS, Settings, visible_gpus

MARKER = "INTERP_LAB_JOB"
N_SLOTS = "INTERP_LAB_N_SLOTS"
"""Variable with the number of slots that a worker has: so many locks follow the one of its run."""
RUN_FD = 3

_NAMES = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM",
    "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_DATASETS_CACHE",
    "SLURM_CONF", "TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "TORCH_HOME", "SYSTEMROOT",
})  # fmt: skip
_PREFIXES = ("LC_", "XDG_", "NVIDIA_", "CUDA_", "ROCR_", "HIP_", "MKL_", "KMP_", "PYTORCH_", "NCCL_", "GLOO_", "OTEL_")

_QUIET = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def quiet() -> dict[str, str]:
    """Return the variables that keep libraries of a worker from talking."""
    return dict(_QUIET)


def hub(settings: Settings) -> dict[str, str]:
    """Return where libraries find models, and whether they may ask the hub; no token is among it."""
    found = {name: os.environ[name] for name in ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT") if os.environ.get(name)}
    return found | (_OFFLINE if settings.offline else {})


def marker(job_id: str, attempt: int) -> str:
    """Return the value of the MARKER variable in every process of an attempt."""
    return f"{job_id}:{attempt}"


def worker_environment(
    settings: Settings, slots: Sequence[str], mark: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the whole environment of a worker in slots such as 'gpu-0'; nothing else of ours reaches it."""
    inherited = os.environ if environ is None else environ
    env = {name: value for name, value in inherited.items() if name in _NAMES or name.startswith(_PREFIXES)}
    threads = str(settings.threads_per_slot())
    env |= _QUIET | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    # Threads that spin while they wait take the processor from the one they wait for as soon as anything else runs.
    env["OMP_WAIT_POLICY"] = inherited.get("OMP_WAIT_POLICY", "PASSIVE")
    env |= settings.to_env() | {MARKER: mark, N_SLOTS: str(len(slots))}
    env |= {ALL_GPUS: ",".join(visible_gpus()), "CUDA_VISIBLE_DEVICES": ",".join(map(device_of, slots))}
    if settings.offline:
        env |= _OFFLINE
    return env


def device_of(slot: str) -> str:
    """Return the value of CUDA_VISIBLE_DEVICES in a slot such as 'gpu-0'."""
    kind, _, index = slot.partition("-")
    devices = visible_gpus()
    if kind != "gpu":
        return ""
    return devices[int(index)] if int(index) < len(devices) else index
