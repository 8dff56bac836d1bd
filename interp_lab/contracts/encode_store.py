"""encode_store as it is asked and answered: the latents of dictionaries as columns of a new store."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Probability
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.query_conditions import StoreName
from interp_lab.contracts.results import Result
from interp_lab.contracts.store import StoreDtype

MAX_DICTIONARIES: Final = 64


class EncodeStoreRequest(JobRequest):
    """Encode a store with dictionaries; rows, texts and labels stay, latents become columns ADDRESS/NAME."""

    store: StoreName
    """Store with the dense column that each dictionary reads: artifact id or folder."""
    beside: Annotated[tuple[StoreName, ...], Field(max_length=7)] = ()
    """Crosscoders of several models: stores of the other models, of the same tokens, in the order of training."""
    dictionaries: Annotated[tuple[DictionaryRef, ...], Field(min_length=1, max_length=MAX_DICTIONARIES)]
    """Artifact ids or folders."""
    keep_dense: bool = False
    """Copy the dense columns into the new store too."""
    dtype: StoreDtype = "bfloat16"
    """Number format of the values; a value that rounds to zero counts as inactive."""


class EncodedColumn(Contract):
    """One new column."""

    key: str
    """ADDRESS/NAME, to be used wherever a column is named."""
    n_latents: int
    """Width."""
    l0: FiniteFloat
    """Active latents per row."""
    unfired_fraction: Probability
    """Share of latents that are active on no row."""


class EncodeStoreResult(Result):
    """The new columns."""

    n_rows: NonNegativeInt
    """Rows of the store."""
    columns: tuple[EncodedColumn, ...]
    """One per dictionary."""


class EncodeStorePlan(Contract):
    """What encoding would do and cost."""

    columns: tuple[str, ...]
    """Keys of the new columns."""
    n_rows: NonNegativeInt
    """Rows."""
    bytes_at_most: NonNegativeInt | None
    """Upper estimate of the new columns; absent where the number of active latents is not fixed."""
