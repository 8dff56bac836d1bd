"""Naming the prompts of a report in a call that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.prompts import InlinePrompts, PromptFile, ScoredPrompt
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.corpus.sources import open_prompts
from interp_lab.corpus.workspace_sets import save_set
from interp_lab.settings import Settings
from interp_lab_tools.kept_prompts import kept_dataset

PROMPTS = [ScoredPrompt(text=f"text {number}", score=number % 2) for number in range(4)]
INLINE: dict[str, Any] = InlinePrompts(prompts=tuple(PROMPTS)).model_dump(mode="json")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path)


@pytest.fixture
def kept(settings: Settings) -> PromptSet:
    """The same prompts, in a file of the workspace."""
    found = open_prompts(InlinePrompts(prompts=tuple(PROMPTS)), settings)
    path = save_set("mine", "a criterion", found, workspace=settings.workspace, replace=False)
    return open_prompts(PromptFile(path=path), settings)


def test_prompts_written_into_a_request_are_named_by_the_file_that_has_just_them(
    kept: PromptSet, settings: Settings
) -> None:
    assert kept_dataset(INLINE, kept.sha256, settings) == "prompts/mine.jsonl"
    assert kept_dataset(INLINE, kept.sha256[:12], settings) == "prompts/mine.jsonl"


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("sha256", ["0" * 64, "", None])
def test_no_file_is_named_for_other_prompts_or_where_it_is_not_known_which_they_were(
    settings: Settings, sha256: str | None
) -> None:
    assert kept_dataset(INLINE, sha256, settings) is None


def test_a_dataset_that_was_named_stays_as_it_was_asked_for(settings: Settings) -> None:
    assert kept_dataset("builtin:person-name", None, settings) == "builtin:person-name"
