"""The wheel holds exactly the three import names, with schemas, prompts and SQL, and nothing of the tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    path = next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_installs_exactly_three_import_names(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"interp_lab", "interp_lab_server", "interp_lab_tools"}


@pytest.mark.parametrize("folder", ["schemas", "prompts"])
def test_the_wheel_carries_the_data_that_the_loader_finds(wheel_names: set[str], folder: str) -> None:
    wanted = {
        f"interp_lab/_assets/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted
    assert wanted <= wheel_names


def test_the_wheel_carries_every_data_file_of_the_packages(wheel_names: set[str]) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "interp_lab").rglob("*")
        if path.is_file() and path.suffix in {".sql", ".j2", ".css", ".js", ".json", ".safetensors", ".typed"}
    }
    assert data <= wheel_names
