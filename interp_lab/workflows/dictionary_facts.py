"""What a named dictionary says of itself, read without its weights, so that a plan can be made before a job starts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.errors import DictionaryMismatch, InvalidDictionary
from interp_lab.models.facts import ModelFacts
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.named_folders import dictionary_folder

CONFIG = "cfg.json"
FILES = (CONFIG, "sae_weights.safetensors")
"""What the content hash of a dictionary is made of, in this order."""
_KNOWN = 1_000


def dictionary_configs(names: Sequence[str], settings: Settings) -> tuple[DictionaryConfig, ...]:
    """Return the configuration of every dictionary, each once, in the order named.

    Raises:
        InvalidDictionary, UnsupportedDictionary, MalformedFile: It is not one.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    from interp_lab.dictionaries.formats.parts import read_object  # lazy: numpy is not needed to list tools
    from interp_lab.dictionaries.formats.saelens_config import read_cfg  # lazy: comes with read_object

    return tuple(
        read_cfg(read_object(dictionary_folder(name, settings) / CONFIG)).config.model_copy(update={"source": name})
        for name in dict.fromkeys(names)
    )


def dictionary_stamp(name: str, settings: Settings) -> str:
    """Return what changes when the files of a dictionary do; see `dictionary_configs` for errors."""
    if is_artifact_id(name):
        return name
    folder = dictionary_folder(name, settings)
    stamps = [f"{p.name}:{(status := p.stat()).st_size}:{status.st_mtime_ns}" for p in sorted(folder.iterdir())]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def dictionary_content(name: str, settings: Settings) -> str:
    """Return one hash over the files of a dictionary: equal for equal ones, whatever they are called.

    An artifact's files are not read again, and those of a folder only after a change; see `dictionary_configs` for
    errors.
    """
    if is_artifact_id(name):
        found = content_of(ArtifactStore(WorkspacePaths.of(settings)).open(name))
        if found is None:
            raise InvalidDictionary(f"Artifact {name} is no dictionary.")
        return found
    folder = dictionary_folder(name, settings)
    try:
        return _joined(_file_hash(_State.of(folder / file)) for file in FILES)
    except OSError as error:
        raise InvalidDictionary(f"{name[:80]} has no {' and '.join(FILES)} that can be read.") from error


def content_of(manifest: Manifest) -> str | None:
    """Return the content hash of a dictionary artifact; None for an artifact of another kind."""
    files = {entry.name: entry.sha256 for entry in manifest.files}
    if manifest.kind != DICTIONARY_KIND or not set(FILES) <= set(files):
        return None
    return _joined(files[name] for name in FILES)


def _joined(hashes: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, hashes))).hexdigest()


class _State(NamedTuple):
    """A file as it is now: the same one, of one size and time of change, is not read again; its clock is coarse."""

    path: Path
    file: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> _State:
        found = path.stat()
        return cls(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=_KNOWN)
def _file_hash(file: _State) -> str:
    return hash_file(file.path)[0]


def addresses_read(config: DictionaryConfig, facts: ModelFacts) -> tuple[Address, ...]:
    """Return the addresses that a dictionary reads, after checking that they are this model's and as wide.

    Raises:
        DictionaryMismatch: It does not say where it reads, reads several models, or is of another width than the model.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    name = (config.source or "the dictionary")[:80]
    if not config.addresses_in:
        raise DictionaryMismatch(f"{name} does not say which address it reads.")
    if len(set(config.owners)) > 1 or len(set(config.addresses_in)) < len(config.addresses_in):
        raise DictionaryMismatch(
            f"{name} is a crosscoder of several models, and this would read one.",
            remedy="Harvest every model, then give the stores: evaluate_sae (kind stores) and encode_store (beside).",
        )
    addresses = tuple(Address.parse(text) for text in config.addresses_in)
    for address in addresses:
        facts.check(address)
    widths = [facts.width(address) for address in addresses]
    if None not in widths and (width := sum(w for w in widths if w is not None)) != config.d_in:
        where = ", ".join(map(str, addresses))
        raise DictionaryMismatch(f"{name} reads {config.d_in} numbers; {where} of this model has {width}.")
    return addresses
