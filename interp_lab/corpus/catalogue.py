"""The datasets and presets in the box: which there are, and what is in them.

Reads the finished files; how they are made belongs to `corpus.criteria`.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import ValidationError

from interp_lab.assets import asset_names, asset_text
from interp_lab.contracts.presets import CriterionPreset
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.errors import DamagedAsset, UnknownDataset


def list_builtin_datasets() -> tuple[str, ...]:
    """Return the names of the datasets in the box, sorted."""
    return tuple(PurePosixPath(name).stem for name in asset_names("prompts", "datasets/*.jsonl"))


def load_builtin_dataset(name: str) -> tuple[ScoredPrompt, ...]:
    """Return the prompts of a dataset in the box, in their order.

    Raises:
        UnknownDataset: There is no dataset of that name.
        DamagedAsset: A line of the file is not a scored prompt.
    """
    text = _text(f"datasets/{name}.jsonl", name)
    try:
        return tuple(ScoredPrompt.model_validate_json(line) for line in text.split("\n") if line)
    except ValidationError as error:
        raise DamagedAsset(f"The packaged dataset {name!r} has a line that is not a scored prompt.") from error


def load_preset(name: str) -> CriterionPreset:
    """Return the preset that describes a dataset in the box.

    Raises:
        UnknownDataset: There is no preset of that name.
        DamagedAsset: The file is not a preset.
    """
    text = _text(f"presets/{name}.json", name)
    try:
        return CriterionPreset.model_validate_json(text)
    except ValidationError as error:
        raise DamagedAsset(f"The packaged preset {name!r} is not one.") from error


def list_presets() -> tuple[CriterionPreset, ...]:
    """Return every preset in the box, sorted by name."""
    return tuple(load_preset(PurePosixPath(name).stem) for name in asset_names("prompts", "presets/*.json"))


def _text(path: str, name: str) -> str:
    known = list_builtin_datasets()
    if name not in known:
        raise UnknownDataset(f"There is no dataset {name[:80]!r} in the box; there are: {', '.join(known)}.")
    return asset_text("prompts", path)
