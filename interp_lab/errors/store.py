"""What can be wrong with an activation store and with what is written to it."""

from __future__ import annotations

from interp_lab.errors.base import NotFoundError, OperationError, RequestError, StateError


class UnknownColumn(NotFoundError):
    """The activation store has no column of that name."""

    code = "unknown_column"
    default_remedy = "Use one of the columns that the message lists."


class RowOutOfRange(RequestError):
    """The activation store has no such row or unit."""

    code = "row_out_of_range"
    default_remedy = "Count rows and units from 0 and stay below the numbers in the message."


class UnfitRows(RequestError):
    """Rows do not fit the header of the activation store."""

    code = "unfit_rows"
    default_remedy = "Give exactly the columns, widths, metrics and row labels that the header declares, one row each."


class ValueOverflow(RequestError):
    """An activation is too large for the number format of its column."""

    code = "value_overflow"
    default_remedy = "Store the column as bfloat16 or float32; values are never clipped."


class NotAStore(RequestError):
    """The folder or artifact does not hold an activation store."""

    code = "not_a_store"
    default_remedy = "Name an artifact of kind activation_store; artifact_list shows them."


class StoresNotAligned(RequestError):
    """The activation stores are not of the same tokens, so their rows cannot stand side by side."""

    code = "stores_not_aligned"
    default_remedy = "Harvest all models on the same prompts, with tokenizers that give the same tokens."


class StoreUnfinished(StateError):
    """The activation store is still being written, or its writing was interrupted."""

    code = "store_unfinished"
    default_remedy = "Send the request that writes it again: it goes on after the last whole shard."


class StoreConflict(StateError):
    """The folder holds another activation store than the one to be written."""

    code = "store_conflict"
    default_remedy = (
        "Write to an empty folder, or with exactly the header and shard size that the folder was begun with."
    )


class StoreTooNew(StateError):
    """The activation store was written by a newer interp-lab."""

    code = "store_too_new"
    default_remedy = "Upgrade interp-lab to read it."


class StoreCorrupt(OperationError):
    """The activation store is damaged; nothing of it is served."""

    code = "store_corrupt"
    default_remedy = "Run the harvest again, or restore the folder from where it was copied."
