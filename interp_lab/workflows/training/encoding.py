"""Which dictionary reads which columns of a store, and what its codes will be called there. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.encode_store import EncodeStoreRequest
from interp_lab.dictionaries.formats.parts import read_object
from interp_lab.dictionaries.formats.saelens_config import read_cfg
from interp_lab.errors import DictionaryMismatch, InvalidDictionary
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.beside import StoresBeside, keys_read
from interp_lab.store.locate import open_named_store
from interp_lab.store.reader import ActivationStore
from interp_lab.workflows.features.weights import encoded_name

_CONFIG, _WEIGHTS = "cfg.json", "sae_weights.safetensors"
_OF_SEVERAL = "It is a crosscoder of several models: give the stores of the others in beside, in the order of training."


class Encoding(NamedTuple):
    """One dictionary at its place in a store."""

    name: str
    address: Address
    reads: tuple[str, ...]
    """Dense columns that are put side by side as its input."""
    n_latents: int
    k: float | None
    dictionary_id: str
    """Hash over its two files."""

    @property
    def key(self) -> str:
        """Name of the new column."""
        return f"{self.address}/{self.name}"


def open_read_store(request: EncodeStoreRequest, settings: Settings) -> ActivationStore:
    """Return the store that is encoded; with those of other models beside it where they are named.

    Raises:
        LabError: One cannot be opened, or they are not of the same tokens.
    """
    store = open_named_store(request.store, settings)
    others = [open_named_store(name, settings) for name in request.beside]
    return StoresBeside((store, *others)) if others else store


def encodings(store: ActivationStore, request: EncodeStoreRequest, folders: Sequence[Path]) -> tuple[Encoding, ...]:
    """Return where every dictionary reads; a store of a single dense column serves one that does not say.

    Raises:
        InvalidDictionary: A folder does not hold a dictionary.
        DictionaryMismatch: A dictionary does not fit the store, or two would have the same name.
    """
    found: list[Encoding] = []
    for folder, reference in zip(folders, request.dictionaries, strict=True):
        config = read_cfg(read_object(folder / _CONFIG)).config
        reads = _reads(store, config, reference)
        digest = _hash(folder)
        found.append(
            Encoding(encoded_name(config, digest), _address(config, reads), reads, config.n_latents, config.k, digest)
        )
    keys = [each.key for each in found] + list(store.keys)
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise DictionaryMismatch(f"The store would have two columns {twice!r}.", remedy="Name every dictionary once.")
    return tuple(found)


def _reads(store: ActivationStore, config: DictionaryConfig, reference: str) -> tuple[str, ...]:
    own = {column.key: column.width for column in store.manifest.columns if column.kind == "dense"}
    dense = store.dense_widths if config.owners else own
    reads = keys_read(config.addresses_in, config.owners) or (tuple(dense) if len(dense) == 1 else ())
    missing = [key for key in reads if key not in dense]
    if missing or not reads:
        place = ", ".join(missing) or "a place that it does not name"
        raise DictionaryMismatch(
            f"{reference[:80]} reads {place}; there is {', '.join(dense)[:300] or 'none'}.",
            remedy=_OF_SEVERAL if config.owners else None,
        )
    width = sum(dense[key] for key in reads)
    if width != config.d_in:
        raise DictionaryMismatch(f"{reference[:80]} reads {config.d_in} coordinates; {reads[0]} has {width}.")
    return reads


def _address(config: DictionaryConfig, reads: tuple[str, ...]) -> Address:
    return Address.parse(config.address_in or reads[0])


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in (folder / _CONFIG, folder / _WEIGHTS):
        if not path.is_file():
            raise InvalidDictionary(f"{path.name} is absent from {folder.name}.")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
