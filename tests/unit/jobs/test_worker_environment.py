"""A worker inherits what it needs and no secret of its server."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.jobs.environment import MARKER, device_of, hub, marker, worker_environment
from interp_lab.settings import Settings

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s", "OPENAI_API_KEY": "s", "GITHUB_TOKEN": "s", "INTERP_LAB_HTTP_TOKEN": "s",
    "ANTHROPIC_API_KEY": "s", "LD_PRELOAD": "s", "PYTHONSTARTUP": "s", "SSH_AUTH_SOCK": "s", "DATABASE_URL": "s",
}  # fmt: skip
NEEDED = {"PATH": "/bin", "HOME": "/h", "HF_TOKEN": "hf", "HF_HOME": "/hf", "LC_ALL": "C", "CUDA_HOME": "/c"}


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path, cpu_slots=2, gpu_slots=2)


def test_needed_variables_pass_and_secrets_do_not(config: Settings) -> None:
    env = worker_environment(config, ("cpu-0",), "m", SECRETS | NEEDED)
    assert NEEDED.items() <= env.items()
    assert not SECRETS.keys() & env.keys()


def test_the_worker_reads_back_its_servers_settings_and_its_mark(config: Settings) -> None:
    env = worker_environment(config, ("cpu-0",), marker("a" * 32, 3), {})
    assert Settings.from_env(env) == config
    assert env[MARKER] == "a" * 32 + ":3"


def test_a_cpu_job_sees_no_accelerator_and_a_gpu_job_sees_its_own(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    seen = [worker_environment(config, (slot,), "m")["CUDA_VISIBLE_DEVICES"] for slot in ("cpu-0", "gpu-0", "gpu-1")]
    assert seen == ["", "5", "GPU-abc"]


def test_offline_reaches_every_library(config: Settings) -> None:
    offline = Settings(workspace=config.workspace, offline=True, cpu_slots=1)
    assert worker_environment(offline, ("cpu-0",), "m", {})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in worker_environment(config, ("cpu-0",), "m", {})


def test_the_processor_is_shared_out_between_slots(config: Settings) -> None:
    env = worker_environment(config, ("cpu-0",), "m", {"OMP_NUM_THREADS": "64"})
    assert env["OMP_NUM_THREADS"] == str(config.threads_per_slot())
    assert config.threads_per_slot() >= 1


def test_threads_of_a_worker_do_not_spin_while_they_wait_unless_the_operator_says_so(tmp_path: Path) -> None:
    config = Settings(workspace=tmp_path)
    assert worker_environment(config, ("cpu-0",), "m", {})["OMP_WAIT_POLICY"] == "PASSIVE"
    assert worker_environment(config, ("cpu-0",), "m", {"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"


def test_tasks_on_a_cluster_find_models_and_stay_offline_but_get_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", "/hf")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert hub(Settings(workspace=tmp_path)) == {"HF_HOME": "/hf"}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    assert hub(Settings(workspace=tmp_path, offline=True)) == {"HF_HOME": "/hf"} | offline


def test_a_worker_that_sees_one_accelerator_gives_its_shards_the_others(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERP_LAB_ALL_GPUS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    for name, value in worker_environment(config, ("gpu-1",), "m").items():
        monkeypatch.setenv(name, value)
    assert [device_of(slot) for slot in ("gpu-0", "gpu-1", "cpu-0")] == ["5", "GPU-abc", ""]
