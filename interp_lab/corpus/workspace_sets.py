"""Prompt sets that were built in a workspace: where they lie and how they are written.

A set is two files: the rows, and a preset with the criterion in words that other interp-lab tools read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from interp_lab.artifacts.durable import make_durable_folder, write_durably
from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.reading import parse_json
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import MalformedFile, PromptSetExists

FOLDER = "prompts"
REPLACED = "replaced"


def folder_of(workspace: Path) -> Path:
    """Return the folder that a workspace's prompt sets lie in."""
    return workspace / FOLDER


def own_folder(workspace: Path, *inside: str) -> Path:
    """Return the folder of prompt sets, or one inside it, made if it is not there yet.

    Raises:
        InvalidPath, PathOutsideWorkspace: A link stands in its place; nothing is ever written through one.
    """
    made = workspace
    for depth, name in enumerate((FOLDER, *inside)):
        make_durable_folder(made / name)
        made = resolve_input(workspace, "/".join((FOLDER, *inside)[: depth + 1]), kind="folder")
    return made


def save_set(name: str, criterion: str, prompts: PromptSet, *, workspace: Path, replace: bool) -> str:
    """Write a set and return the path of its rows relative to the workspace; writing it again changes nothing.

    Raises:
        PromptSetExists: There is another set of that name, and `replace` is not set, or a link.
        InvalidPath, PathOutsideWorkspace: see `own_folder`.
        DiskFull: There was no space; what was there is untouched.
    """
    folder = own_folder(workspace)
    rows, preset = folder / f"{name}.jsonl", folder / f"{name}.json"
    lines = [json.dumps(p.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for p in prompts.prompts]
    data = ("\n".join(lines) + "\n").encode("utf-8", "replace")
    if rows.is_symlink():
        raise PromptSetExists(f"{FOLDER}/{rows.name} is a link to another file.")
    if rows.exists() and rows.read_bytes() != data:
        if not replace:
            raise PromptSetExists(f"{FOLDER}/{rows.name} holds other prompts.")
        _keep(rows, own_folder(workspace, REPLACED))
    if not replace and any(found != criterion for found in _criterion(preset)):
        raise PromptSetExists(f"{FOLDER}/{rows.name} was built for another criterion.")
    write_durably(rows, data)
    write_durably(preset, _preset(name, criterion, prompts))
    return f"{FOLDER}/{rows.name}"


def _keep(rows: Path, folder: Path) -> None:
    """Copy a set that is about to be replaced to a name of its own: reports that used it name its content."""
    data = rows.read_bytes()
    write_durably(folder / f"{rows.stem}-{hashlib.sha256(data).hexdigest()[:12]}.jsonl", data)


def _criterion(preset: Path) -> Iterator[str]:
    """Yield what a preset says that its set was built for; one that cannot be read says nothing."""
    try:
        value = parse_json(preset.read_bytes())
    except (MalformedFile, FileNotFoundError):
        return
    criterion = value.get("criterion") if isinstance(value, dict) else None
    if isinstance(criterion, str):
        yield criterion


def _preset(name: str, criterion: str, prompts: PromptSet) -> bytes:
    positive = prompts.positive(0.5)
    sides = {side: [t for t, p in zip(prompts.texts(), positive, strict=True) if p is side] for side in (True, False)}
    value = {
        "name": name,
        "label": name.replace("-", " "),
        "criterion": criterion,
        "positive_prompts": sides[True],
        "negative_prompts": sides[False],
    }
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
