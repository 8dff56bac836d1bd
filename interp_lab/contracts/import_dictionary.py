"""import_dictionary as it is asked and answered: a dictionary of another project becomes an artifact of this lab."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, StringConstraints

from interp_lab.contracts.base import Contract
from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryKind
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result
from interp_lab.points import Address

FormatName = Literal["saelens", "sparsify", "dictionary_learning", "gemma_scope", "gemma_scope_2", "interp_lab_sae_v1"]


class FolderSource(Contract):
    """A folder of the workspace."""

    kind: Literal["folder"] = "folder"
    """Says that the files are on this machine."""
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(examples=["saes/layers.6"])
    """Path relative to the workspace."""


class HubSource(Contract):
    """A folder of a Hugging Face repository."""

    kind: Literal["hub"] = "hub"
    """Says that the files are on the hub or in its cache."""
    repo: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
    ]
    """Repository, for example 'google/gemma-scope-2b-pt-res'."""
    folder: Annotated[str, StringConstraints(max_length=300, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*(/|$))*$")] = ""
    """Folder in the repository; empty for its top."""
    revision: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,100}$")] | None = None
    """Branch, tag or commit; the resolved commit is recorded."""


def _source_from_text(value: Any) -> Any:
    return {"kind": "folder", "path": value} if isinstance(value, str) else value


class ImportDictionaryRequest(JobRequest):
    """Import one dictionary; its format is recognised by its files."""

    source: Annotated[
        Annotated[FolderSource | HubSource, Field(discriminator="kind")],
        BeforeValidator(_source_from_text, json_schema_input_type=FolderSource | HubSource | str),
    ]
    """Folder of the workspace, or a folder on the hub."""
    format: FormatName | None = None
    """Format; absent, recognised by the files."""
    address: Address | None = None
    """Where it reads, if its files do not say or say it wrongly."""
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Model that it is of, if its files do not say."""


class ImportDictionaryResult(Result):
    """What was imported."""

    format: FormatName
    """Format that it was in."""
    kind: DictionaryKind
    """What it reads and writes."""
    architecture: ArchitectureName
    """Which latents fire."""
    d_in: NonNegativeInt
    """Width of what it reads."""
    d_out: NonNegativeInt
    """Width of what it writes."""
    n_latents: NonNegativeInt
    """Latents."""
    address: str | None
    """Where it reads; absent if nobody said."""
    model: str | None
    """Model that it is of; absent if nobody said."""
