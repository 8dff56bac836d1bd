"""The recipes of docs/clusters.md: they can be read, do what they say, and end in commands that the lab takes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from interp_lab.settings import Settings
from interp_lab_server.cli import build_parser
from interp_lab_server.options import arguments_of
from interp_lab_tools.catalogue import find

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8").partition("## Other services")[2]
KEYS = {"num_nodes", "resources", "volumes", "setup", "run"}
"""What SkyPilot's task may have, of all that its specification names."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def taken(command: str) -> Any:
    """Return the request that a command of the lab makes, None for one that is no tool."""
    program, *words = shlex.split(command)
    assert program == "interp-lab"
    parsed = build_parser().parse_args(words)
    if not hasattr(parsed, "capability"):
        return None
    capability = find(parsed.capability)
    return capability.request.model_validate(arguments_of(parsed, capability.request))


def extras_of(text: str) -> set[str]:
    return {extra for group in re.findall(r"interp-lab-mcp\[([a-z,]+)\]", text) for extra in group.split(",")}


def run_in(home: Path, script: str) -> None:
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", script], env=environment, check=True, timeout=900)


def stand_in(path: Path, notes: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >> {shlex.quote(str(notes))}\n')
    path.chmod(0o755)


def test_the_task_installs_the_lab_and_starts_ray_by_the_services_own_template(tmp_path: Path) -> None:
    volume, task = (yaml.safe_load(block) for block in blocks("yaml"))
    assert task.keys() == KEYS
    assert task["volumes"] == {"/shared": volume["name"]}
    assert volume["config"]["access_mode"] == "ReadWriteMany", "every node writes to the workspace"
    notes = tmp_path / "notes.txt"
    stand_in(tmp_path / "bin" / "uv", notes)
    stand_in(tmp_path / "sky_templates" / "ray" / "start_cluster", notes)
    (tmp_path / "lab" / "bin").mkdir(parents=True)
    (tmp_path / "lab" / "bin" / "activate").touch()
    run_in(tmp_path, task["setup"])
    run_in(tmp_path, task["run"])
    venv, install, start = notes.read_text().splitlines()
    assert venv.startswith("uv venv")
    assert install == "uv pip install interp-lab-mcp[torch,ray]"
    assert start.strip() == "start_cluster"
    assert "6380" not in task["run"], "that port is SkyPilot's own"


def test_what_is_called_on_the_head_is_taken_by_the_lab_and_runs_on_ray() -> None:
    (block,) = blocks("bash")
    lines = [line for line in block.splitlines() if line.startswith("interp-lab")]
    assert [taken(line) is None for line in lines] == [True, False]
    assert taken(lines[1]).shards == 2
    (exported,) = [line for line in block.splitlines() if line.startswith("export")]
    variables = dict(word.split("=", 1) for word in shlex.split(exported)[1:])
    settings = Settings.from_env(variables, workspace="/shared/project", launcher="ray")
    assert (settings.ray_address, settings.gpu_slots) == ("http://127.0.0.1:8265", 2)


def modal_of(called: list[Any]) -> ModuleType:
    """Modal's names as the recipe uses them: a keyword that Modal does not know is an error here, too."""

    class Image:
        @staticmethod
        def debian_slim(python_version: str | None = None) -> Image:
            return Image()

        def pip_install(self, *packages: str) -> Image:
            called.extend(packages)
            return self

    class Volume:
        @staticmethod
        def from_name(name: str, *, create_if_missing: bool = False) -> Any:
            return SimpleNamespace(commit=lambda: called.append("commit"))

    class App:
        def __init__(self, name: str | None = None, *, image: Image | None = None) -> None:
            called.append(name)

        def function(
            self, *, gpu: str | None = None, volumes: Any = None, timeout: int = 300, max_containers: int | None = None
        ) -> Callable[[Callable[..., None]], Any]:
            assert max_containers == 1, "two would not see each other's locks"
            return lambda function: SimpleNamespace(remote=function)

        def local_entrypoint(self) -> Callable[[Any], Any]:
            return lambda function: function

    module = ModuleType("modal")
    vars(module).update(Image=Image, Volume=Volume, App=App)
    return module


@pytest.mark.parametrize("fails", [False, True])
def test_the_function_runs_the_labs_command_and_keeps_the_workspace_also_when_it_fails(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    (recipe,) = blocks("python")
    called: list[Any] = []
    ran: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, check: bool, env: dict[str, str]) -> None:
        ran.append((command, env))
        if fails and check:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setitem(sys.modules, "modal", modal_of(called))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "makedirs", lambda *_, **__: None)
    names: dict[str, Any] = {}
    exec(compile(recipe, "lab.py", "exec"), names)
    words = shlex.split(recipe.splitlines()[0].partition("modal run lab.py ")[2])
    if fails:
        with pytest.raises(subprocess.CalledProcessError):
            names["main"](*words)
    else:
        names["main"](*words)
    assert called[-1] == "commit"
    ((command, environment),) = ran
    assert taken(shlex.join(command)).addresses
    settings = Settings.from_env({"INTERP_LAB_CATALOG_DIR": environment["INTERP_LAB_CATALOG_DIR"]})
    assert settings.catalog_dir == Path("/tmp/catalog"), "a local disk"


def test_the_recipes_ask_for_extras_that_the_package_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extras_of(PAGE) == {"torch", "ray"}
    assert extras_of(PAGE) <= project["optional-dependencies"].keys()
