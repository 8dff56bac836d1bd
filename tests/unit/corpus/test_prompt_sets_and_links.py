"""A workspace that came from elsewhere may hold links; no prompt set is written or copied through one."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.contracts.build_prompts import BuildPromptsRequest
from interp_lab.errors import InvalidPath, PathOutsideWorkspace, PromptSetExists
from interp_lab.settings import Settings
from interp_lab.workflows.build_prompts import ask_for_texts, build_prompts

NAMES = ("Apple", "Banana", "Cherry", "Date", "Egg", "Fig", "Grape", "Ham")
SOURCE = {
    "kind": "texts",
    "positives": [f"{name} weighs ten kg in total today" for name in NAMES],
    "negatives": [f"Along the river walked {name} alone" for name in NAMES],
}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    return workspace, outside


def build(workspace: Path, **options: object) -> str:
    asked = {"name": "units", "criterion": "mentions a unit", "source": SOURCE, **options}
    return build_prompts(BuildPromptsRequest.model_validate(asked), Settings(workspace=workspace)).path


def test_a_set_is_written_where_no_link_is(places: tuple[Path, Path]) -> None:
    assert (places[0] / build(places[0])).is_file()


@pytest.mark.parametrize("name", ["prompts", "prompts/requests"])
def test_nothing_is_written_through_a_folder_that_is_a_link(places: tuple[Path, Path], name: str) -> None:
    workspace, outside = places
    (workspace / name).parent.mkdir(exist_ok=True)
    (workspace / name).symlink_to(outside)
    asked = {"name": "units", "criterion": "mentions a unit", "source": {"kind": "ask"}}
    request = BuildPromptsRequest.model_validate(asked)
    with pytest.raises((InvalidPath, PathOutsideWorkspace)):
        ask_for_texts(request, request.source, Settings(workspace=workspace))
    if name == "prompts":
        with pytest.raises((InvalidPath, PathOutsideWorkspace)):
            build(workspace)
    assert not list(outside.iterdir())


def test_what_a_link_leads_to_is_not_copied_into_the_workspace(places: tuple[Path, Path]) -> None:
    workspace, outside = places
    (outside / "secret").write_text("a secret")
    (workspace / "prompts").mkdir()
    (workspace / "prompts" / "units.jsonl").symlink_to(outside / "secret")
    with pytest.raises(PromptSetExists):
        build(workspace, replace=True)
    assert not (workspace / "prompts" / "replaced").exists()
