"""Runs of a model of which nothing is known, so that no shortcut is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interp_lab.engine.intervention.fast import fast_path
from interp_lab.models.load import LoadedModel


@contextmanager
def without_shortcuts(loaded: LoadedModel) -> Iterator[None]:
    """The general path."""
    from interp_lab.engine.intervention import fast

    usual = fast_path(loaded)
    fast._known[loaded] = usual._replace(attention=False, trim=False, head=False)
    try:
        yield
    finally:
        fast._known[loaded] = usual
