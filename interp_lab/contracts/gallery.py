"""A gallery of the workspace's pages, as it is asked and answered."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, NonNegativeInt, StringConstraints

from interp_lab.contracts.base import Contract, Grade
from interp_lab.contracts.results import Result

GALLERY_KIND: Final = "gallery"


Drawing = Literal["profile", "effects", "amounts", "shares"]
"""AUROC from 0.5 to 1; up and down from 0; up from 0 to the largest; up from 0 to 1."""


class GalleryRequest(Contract):
    """Make one page that leads to every page of the workspace."""

    kinds: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")], ...], Field(max_length=30)
    ] = ()
    """Kinds of artifacts, for example inspect_report; empty means every kind that has a page."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    """Pages to show, the latest first."""


class GalleryTile(Contract):
    """One page."""

    artifact: str
    """Artifact id."""
    kind: str
    """What it is."""
    title: str
    """One line (untrusted text where it quotes)."""
    headline: str
    """What it found; empty where the kind has no such line."""
    at: AwareDatetime
    """When it was finished."""
    investigator: str
    """Who ran it, where the server was told."""
    model: str
    """Id of the model, where the report names one."""
    page: str
    """File name of the page in the artifact."""
    grades: dict[Grade, NonNegativeInt]
    """Graded units."""
    flagged: bool
    """A confound solves its dataset, or its metric cannot move."""
    values: tuple[FiniteFloat, ...] = ()
    """Some of its own numbers: drawn small."""
    drawing: Drawing = "amounts"
    """How."""
    drawn: str = ""
    """What they are."""


class GalleryResult(Result):
    """The page that was made."""

    n_pages: NonNegativeInt
    """Pages it leads to."""
    n_left_out: NonNegativeInt
    """Older ones beyond the limit."""
    kinds: dict[str, NonNegativeInt]
    """Pages by kind."""
    path: str
    """The page, relative to the workspace: open it in a browser on the same machine."""
