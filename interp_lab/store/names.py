"""What the files of a store are called: flat, plain, portable, and different for different columns."""

from __future__ import annotations

import hashlib
import re

MANIFEST = "store.json"
PROMPTS = "prompts.parquet"
DRAFT = "unfinished.json"
ROWS = "rows"
"""Stands for the row table where files are listed by column; no address is called so."""
_SLUG_CHARACTERS = 60


def slug_of(key: str) -> str:
    """Return the part of a file name that stands for a column.

    Plain lower-case addresses stand for themselves; anything else gets a piece of its hash, so that two columns never
    share a file, even on a disk that ignores case.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", key)[:_SLUG_CHARACTERS]
    if plain == key.lower():
        return plain
    return f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def shard_file(key: str, index: int) -> str:
    """Return the name of one column's file, or of the row table, in one shard."""
    return f"rows-{index:05d}.parquet" if key == ROWS else f"{slug_of(key)}-{index:05d}.safetensors"


def postings_file(key: str, index: int) -> str:
    """Return the name of one part of the latent-major copy of a code column."""
    return f"{slug_of(key)}-postings-{index:05d}.safetensors"


def record_file(index: int) -> str:
    """Return the name of the record that says that a shard is whole."""
    return f"shard-{index:05d}.json"
