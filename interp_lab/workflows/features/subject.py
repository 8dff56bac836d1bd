"""Who a card is about: a latent of a dictionary, a column of a store, or both after checking that they are one."""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.contracts.features import ShowFeatureRequest
from interp_lab.contracts.store import CodeColumn
from interp_lab.errors import DictionaryMismatch, InvalidRequest
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.features.weights import MappedDictionary, encoded_name, open_dictionary
from interp_lab.workflows.querying.view import StoreView, UnitRef, open_view


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One latent or coordinate and where it is known from."""

    unit: int
    dictionary: MappedDictionary | None
    view: StoreView | None
    column: str
    """Key of the column; of a dictionary without a store, the key that the column of its codes would have."""

    @property
    def feature(self) -> str:
        """COLUMN#UNIT."""
        return f"{self.column}#{self.unit}"

    @property
    def ref(self) -> UnitRef:
        """The unit as stores name it."""
        return UnitRef(self.column, self.unit)

    @property
    def is_latent(self) -> bool:
        """Whether it is a latent and not a coordinate."""
        return self.dictionary is not None or (self.view is not None and self.view.column(self.column).kind == "codes")

    @property
    def address_out(self) -> str:
        """Where it writes, if that is known; otherwise where it is."""
        if self.dictionary is not None:
            config = self.dictionary.config
            return (config.addresses_out or config.addresses_in or (self.column.partition("/")[0],))[-1]
        return self.column.partition("/")[0]


def find_subject(request: ShowFeatureRequest, settings: Settings) -> Subject:
    """Return what the request is about.

    Raises:
        InvalidRequest: It names neither a dictionary nor a column.
        DictionaryMismatch: The store does not have the codes of the dictionary.
        UnknownUnit, UnknownColumn: There is no such latent, coordinate or column.
        LabError: whatever is wrong with the store or the dictionary.
    """
    dictionary = None if request.dictionary is None else open_dictionary(request.dictionary, settings)
    if dictionary is not None:
        dictionary.checked_latent(request.unit)
    if request.store is None:
        return _without_store(request, dictionary)
    view = open_view(request.store, settings)
    if dictionary is not None:
        column = column_of(view, dictionary, request.dictionary or "", request.column)
    elif request.column is not None:
        column = view.column(request.column).key
    else:
        column = _only_codes(view)
    view.checked_unit(column, request.unit)
    return Subject(request.unit, dictionary, view, column)


def column_of(view: StoreView, dictionary: MappedDictionary, name: str, column: str | None) -> str:
    """Return the column of a store that holds the codes of a dictionary.

    Raises:
        DictionaryMismatch: There is none, or the column named holds something else.
        UnknownColumn: There is no column of that name.
    """
    if column is not None:
        named = view.column(column)
        if named.kind != "codes" or not _may_be(named, dictionary, name):
            raise DictionaryMismatch(f"Column {column!r} does not hold the codes of {name[:80]}.")
        return column
    found = [each.key for each in view.store.manifest.columns if each.kind == "codes" and _is(each, dictionary, name)]
    if len(found) != 1:
        there = ", ".join(view.store.keys)[:300]
        raise DictionaryMismatch(
            f"{len(found) or 'No'} columns of the store say that they hold the codes of {name[:80]}; it has {there}.",
            remedy="Encode the store with this dictionary (encode_store), or name the column.",
        )
    return found[0]


def _is(column: CodeColumn, dictionary: MappedDictionary, name: str) -> bool:
    if column.width != dictionary.n_latents or column.dictionary_id is None:
        return False
    return column.dictionary_id in {name, dictionary.content_hash}


def _may_be(column: CodeColumn, dictionary: MappedDictionary, name: str) -> bool:
    if column.dictionary_id is None:
        return column.width == dictionary.n_latents
    return _is(column, dictionary, name)


def _without_store(request: ShowFeatureRequest, dictionary: MappedDictionary | None) -> Subject:
    if dictionary is not None:
        where = request.column or dictionary.config.address_in or "dictionary"
        named = where if "/" in where else f"{where}/{encoded_name(dictionary.config, dictionary.content_hash)}"
        return Subject(request.unit, dictionary, None, named)
    if request.column is None or request.model is None:
        raise InvalidRequest(
            "Nothing says which latent or coordinate is meant.",
            remedy="Name a dictionary, a store, or for a coordinate an address as column and a model.",
        )
    return Subject(request.unit, None, None, str(Address.parse(request.column)))


def _only_codes(view: StoreView) -> str:
    keys = [column.key for column in view.store.manifest.columns if column.kind == "codes"]
    if len(keys) != 1:
        raise InvalidRequest(
            f"The store has {len(keys)} columns of codes; name the dictionary or the column.",
            remedy=f"Set column to one of {', '.join(view.store.keys)[:300]}.",
        )
    return keys[0]
