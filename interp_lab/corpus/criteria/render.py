"""The files of `prompts/` that the criteria make: one JSON Lines dataset and one preset each, as bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter

from interp_lab.contracts.presets import CriterionPreset, Recipe
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.criteria.contrast import Criterion
from interp_lab.corpus.criteria.registry import CRITERIA
from interp_lab.corpus.criteria.rows import SEED, rows


def dataset_bytes(prompts: tuple[ScoredPrompt, ...]) -> bytes:
    """JSON Lines, one prompt a line, keys in the order of the contract, fields left out that say nothing."""
    lines = (prompt.model_dump(mode="json", exclude_defaults=True) for prompt in prompts)
    return "".join(f"{json.dumps(line, ensure_ascii=False, separators=(',', ':'))}\n" for line in lines).encode()


def preset_of(criterion: Criterion, prompts: tuple[ScoredPrompt, ...], data: bytes) -> CriterionPreset:
    """The description of a criterion with the facts of its finished dataset."""
    recipe = Recipe(
        generator=criterion.module,
        seed=SEED,
        version=criterion.version,
        sha256=hashlib.sha256(data).hexdigest(),
        n_prompts=len(prompts),
        n_groups=len({prompt.group for prompt in prompts}),
        n_pairs=len({prompt.pair for prompt in prompts if prompt.pair}),
    )
    described, name = criterion.description.model_dump(), criterion.description.name
    return CriterionPreset(**described, dataset=name, addresses=addresses().get(name, {}), made_by=recipe)


@cache
def addresses() -> dict[str, dict[str, str]]:
    """Where the models in the box were found to hold each criterion, as `scripts/represented.py` measured it."""
    text = (resources.files("interp_lab.corpus") / "data" / "represented.json").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, dict[str, str]]).validate_json(text)


def preset_bytes(preset: CriterionPreset) -> bytes:
    """Indented JSON for readers."""
    return f"{json.dumps(preset.model_dump(mode='json'), ensure_ascii=False, indent=2)}\n".encode()


def files() -> Iterator[tuple[str, bytes]]:
    """Every file under `prompts/`, as a relative path and its bytes."""
    for criterion in CRITERIA:
        name, prompts = criterion.description.name, rows(criterion)
        data = dataset_bytes(prompts)
        yield f"datasets/{name}.jsonl", data
        yield f"presets/{name}.json", preset_bytes(preset_of(criterion, prompts, data))


def write(folder: Path) -> None:
    """Write every file below the folder."""
    for name, data in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def drift(folder: Path) -> tuple[str, ...]:
    """The files below the folder that differ from what would be written, are missing, or are nobody's."""
    expected = dict(files())
    found = {
        path.relative_to(folder).as_posix(): path
        for kind in ("datasets", "presets")
        for path in (folder / kind).glob("*")
        if path.is_file()
    }
    names = sorted(expected.keys() | found.keys())
    return tuple(n for n in names if n not in expected or n not in found or found[n].read_bytes() != expected[n])
