"""What of a store an export writes."""

from __future__ import annotations

from collections.abc import Sequence

from interp_lab.contracts.store_exchange import StoreExportRequest
from interp_lab.errors import ExportUnfit
from interp_lab.store.interchange.prompt_rows import context_of
from interp_lab.store.reader import ActivationStore


def chosen_columns(store: ActivationStore, request: StoreExportRequest) -> tuple[str, ...]:
    """Return the columns to write, checked against what the format can hold.

    Raises:
        UnknownColumn: The store has no such column.
        ExportUnfit: The format cannot hold these columns.
    """
    kinds = {key: store.column(key).kind for key in request.columns or store.keys}
    fits = {"delphi": "codes", "saelens": "dense"}.get(request.format)
    if not request.columns and fits is not None:
        kinds = {key: kind for key, kind in kinds.items() if kind == fits}
    wrong = [key for key, kind in kinds.items() if fits is not None and kind != fits]
    if wrong or not kinds or (request.format == "delphi" and len(kinds) > 1):
        raise ExportUnfit(
            f"{request.format} holds {'one column of codes' if fits == 'codes' else 'dense columns'}; "
            f"{_listed(wrong or tuple(kinds)) or 'this store has none'}."
        )
    if fits is not None:
        context_of(store, request.context_size)
    return tuple(kinds)


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys)[:300]
