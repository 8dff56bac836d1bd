"""Path records that interp-lab 3.1.0 itself wrote are claims: rerun on other prompts, and never graded on their own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from interp_lab.bridges import peer_sae
from interp_lab.contracts.trace_paths import PathsResult
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.dictionaries.formats.saelens import from_parts, save_dictionary
from interp_lab.errors import DiscoveryRowsReused, MalformedPath
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.validate_paths import validate_paths

PACKED = Path(__file__).parent / "data/interp-lab-3.1.0.zip"
WORDS = ["river", "stone", "cloud", "bread", "lamp", "horse", "garden", "window", "silver", "market", "engine", "paper"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The peer's records and its dictionary of layer 1; of layer 2 only the other half of the pair is a stand-in."""
    with zipfile.ZipFile(PACKED) as files:
        (tmp_path / "paths.jsonl").write_bytes(files.read("paths.jsonl"))
        trained = json.loads(files.read("sae1.json"))
    for layer in (1, 2):
        (tmp_path / f"theirs-{layer}").mkdir()
        (tmp_path / f"theirs-{layer}/sae.json").write_text(json.dumps({**trained, "layer": layer}))
        (tmp_path / f"sae-{layer}").mkdir()
        save_dictionary(from_parts(peer_sae.read(tmp_path / f"theirs-{layer}")), tmp_path / f"sae-{layer}")
    return tmp_path


def rerun(workspace: Path, ids: list[str] | None = None, **options: Any) -> PathsResult:
    ends = [(" by the sea today", 1.0), (" on the old hill", 0.0)]
    prompts = [
        {"text": f"The {word} stood{end}", "score": score, "id": f"new{2 * n + k}"}
        for n, word in enumerate(WORDS)
        for k, (end, score) in enumerate(ends)
    ]
    for row, name in zip(prompts, ids or [], strict=False):
        row["id"] = name
    (workspace / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts), encoding="utf-8")
    request = ValidatePathsRequest.model_validate(
        {
            "model": "builtin:pocket-gpt2", "criterion": "a planted thing", "dataset": {"path": "prompts.jsonl"},
            "records": "paths.jsonl", "source_dictionary": "sae-1", "target_dictionary": "sae-2",
            "behaviour": False, "n_controls": 2, "dry_run": False, **options,
        }
    )  # fmt: skip
    with LocalRun(workspace / "out", workspace=workspace) as run:
        return validate_paths(request, run, settings=Settings(workspace=workspace), suggest=Suggest())


def test_its_records_are_rerun_here_and_stay_imported(workspace: Path) -> None:
    (path,) = rerun(workspace).paths
    assert (path.source, path.target) == ("SAE:L1:F0", "SAE:L2:F0")
    assert "discovery_imported" in path.reasons
    assert path.mediated is not None, "its number is measured here, not taken from the records"
    assert path.n_groups >= 2


def test_prompts_that_its_records_name_never_grade_them(workspace: Path) -> None:
    with pytest.raises(DiscoveryRowsReused, match="records"):
        rerun(workspace, ids=[f"p{n}" for n in range(12)] + [f"q{n}" for n in range(12)])


def test_its_records_do_not_say_which_dictionary_a_latent_is_of(workspace: Path) -> None:
    with pytest.raises(MalformedPath, match="dictionary"):
        rerun(workspace, source_dictionary=None)
