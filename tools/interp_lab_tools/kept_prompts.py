"""How a call that follows names the prompts of a report, so that it need not repeat them."""

from __future__ import annotations

from pydantic import JsonValue

from interp_lab.contracts.prompts import PromptFile
from interp_lab.corpus.sources import open_prompts
from interp_lab.corpus.workspace_sets import FOLDER, folder_of
from interp_lab.errors import LabError
from interp_lab.settings import Settings

_MOST_SETS = 200


def kept_dataset(asked: JsonValue, sha256: str | None, settings: Settings) -> JsonValue:
    """Return the dataset as it was asked for; of prompts written into a request, the file of the workspace with them.

    None where no file has just these prompts, or which they are is not known. `sha256` is their hash or its start.
    """
    if not is_inline(asked):
        return asked
    if not sha256:
        return None
    for file in sorted(folder_of(settings.workspace).glob("*.jsonl"))[:_MOST_SETS]:
        path = f"{FOLDER}/{file.name}"
        try:
            prompts = open_prompts(PromptFile(path=path), settings)
        except LabError:
            continue
        if prompts.sha256.startswith(sha256):
            return path
    return None


def is_inline(asked: JsonValue) -> bool:
    """Return whether a dataset as it was asked for is prompts written into the request."""
    return isinstance(asked, dict) and asked.get("kind") == "inline"
