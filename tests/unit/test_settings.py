"""Settings come from the environment, are checked once, and reach the worker unchanged."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import InvalidSetting
from interp_lab.settings import Settings

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=10)
absolute = words.map(lambda word: Path("/") / word.replace("/", "_")).filter(lambda p: p.name not in {"", "..", "."})


@given(
    st.fixed_dictionaries(
        {"workspace": absolute},
        optional={
            "catalog_dir": absolute,
            "read_roots": st.lists(absolute, max_size=3).map(tuple),
            "cpu_slots": st.integers(0, 99),
            "worker_command": st.lists(words, max_size=3).map(tuple),
            "trust_remote_code": st.booleans(),
            "offline": st.booleans(),
            "crash_budget": st.integers(1, 9),
            "kill_grace_s": st.floats(0, 1e6),
            "quota_bytes": st.none() | st.integers(0, 2**60),
        },
    )
)
def test_settings_survive_the_way_through_the_environment(values: dict[str, Any]) -> None:
    settings = Settings(**values)
    assert Settings.from_env(settings.to_env()) == settings


def test_every_setting_has_a_variable() -> None:
    settings = Settings(workspace=Path("/w"), catalog_dir=Path("/c"), worker_python=Path("/p"), quota_bytes=1)
    assert settings.to_env().keys() == {f"INTERP_LAB_{field.name.upper()}" for field in fields(Settings)}


def test_the_workspace_is_the_variable_then_the_project_then_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env({}).workspace == tmp_path
    assert Settings.from_env({"CLAUDE_PROJECT_DIR": "/project"}).workspace == Path("/project")
    both = {"CLAUDE_PROJECT_DIR": "/project", "INTERP_LAB_WORKSPACE": "sub"}
    assert Settings.from_env(both).workspace == tmp_path / "sub"


def test_an_option_wins_over_its_variable_and_an_absent_one_does_not() -> None:
    env = {"INTERP_LAB_CPU_SLOTS": "3", "INTERP_LAB_OFFLINE": "yes"}
    settings = Settings.from_env(env, cpu_slots=5, offline=None)
    assert (settings.cpu_slots, settings.offline) == (5, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CPU_SLOTS", "many"),
        ("CPU_SLOTS", "-1"),
        ("OFFLINE", "maybe"),
        ("KILL_GRACE_S", "nan"),
        ("KILL_GRACE_S", "-0.1"),
        ("WORKER_COMMAND", "python worker.py"),
        ("WORKER_COMMAND", "[1]"),
        ("READ_ROOTS", '{"a": 1}'),
        ("CRASH_BUDGET", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=name.lower() if text[:1] in "-0n" else name):
        Settings.from_env({f"INTERP_LAB_{name}": text})


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="colour"):
        Settings.from_env({}, colour="red")


def test_the_worker_is_this_interpreter_unless_the_operator_says_otherwise() -> None:
    assert Settings(workspace=Path("/w")).worker()[1:] == ("-P", "-m", "interp_lab_server.worker")
    assert Settings(workspace=Path("/w"), worker_python=Path("/heavy/python")).worker()[0] == "/heavy/python"
    assert Settings(workspace=Path("/w"), worker_command=("a", "b")).worker() == ("a", "b")
