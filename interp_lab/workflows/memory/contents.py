"""Which dictionaries are the same: those of equal content, called by folder, artifact or a store's columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.inspect_evidence import RankedArgument, StoreEvidence
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.store.manifest import manifest_at
from interp_lab.store.names import MANIFEST
from interp_lab.workflows.dictionary_facts import content_of, dictionary_content

_EVIDENCE: TypeAdapter[object] = TypeAdapter(RankedArgument)
_MARK = "sha256:"
_KNOWN = 1_000


class Contents:
    """The dictionaries of a workspace by their content, which is what they are."""

    def __init__(self, known: Iterable[Manifest], settings: Settings) -> None:
        self._known, self._settings = known, settings

    @cached_property
    def _published(self) -> Mapping[str, str]:
        """Artifact of every content hash that was published; the first, where several have it."""
        found: dict[str, str] = {}
        for manifest in sorted(self._known, key=lambda one: (one.ended, one.id)):
            content = content_of(manifest)
            if content is not None:
                found.setdefault(content, manifest.id)
        return found

    def name(self, dictionary: str, inputs: Mapping[str, str] | None = None) -> str:
        """Return the one name of a dictionary: an artifact of its content, else the hash; its own if it is not there.

        `inputs` are those of a run that read it: they say what a folder held then, whatever it holds now.
        """
        content = _recorded(dictionary, inputs or {})
        try:
            content = content or (dictionary if dictionary in self._published else self._content(dictionary))
        except LabError:
            return dictionary
        return self._published.get(content, content)

    def names(self, dictionaries: Iterable[str], inputs: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the one name of each dictionary."""
        return {each: self.name(each, inputs) for each in dictionaries}

    def unit(self, unit: str) -> str:
        """Return the id of a unit with the one name of its dictionary."""
        dictionary, mark, index = unit.rpartition("#")
        return f"{self.name(dictionary)}{mark}{index}" if dictionary else unit

    def behind(self, request: Mapping[str, JsonValue]) -> Mapping[str, str]:
        """Return the dictionary of each column of codes that the evidence of an inspect request has.

        None without a store. A latent is then one unit, whether a run read it from the model or from a store that was
        encoded before.
        """
        try:
            evidence = _EVIDENCE.validate_python(request.get("evidence"))
        except ValidationError:
            return {}
        if not isinstance(evidence, StoreEvidence):
            return {}
        try:
            find = _of_artifact if is_artifact_id(evidence.store) else _of_folder
            columns = find(evidence.store, self._settings)
        except LabError:
            return {}  # the store is gone: its columns keep their own names
        return {key: self._published.get(dictionary, dictionary) for key, dictionary in columns.items()}

    def _content(self, dictionary: str) -> str:
        return dictionary_content(dictionary, self._settings)


def read_input(dictionary: str, settings: Settings) -> str:
    """Return what a run notes of a dictionary that it reads: its artifact, or what its folder holds now.

    Raises:
        LabError: It is not there or is no dictionary.
    """
    return dictionary if is_artifact_id(dictionary) else f"{_MARK}{dictionary_content(dictionary, settings)}"


def input_name(dictionary: str, number: int | None = None) -> str:
    """Return the name under which a run notes it; an inspection numbers them in the order of its sites."""
    return f"dictionary {dictionary}" if number is None else f"dictionary {number} {dictionary}"


def _recorded(dictionary: str, inputs: Mapping[str, str]) -> str | None:
    """Return the content that a run noted; None where it noted none."""
    names = (input_name(dictionary), *(input_name(dictionary, number) for number in range(len(inputs))))
    noted = next((inputs[name] for name in names if name in inputs), "")
    return noted.removeprefix(_MARK) if noted.startswith(_MARK) else None


def _of_artifact(store: str, settings: Settings) -> Mapping[str, str]:
    return _read(ArtifactStore(WorkspacePaths.of(settings)).path_of(store, MANIFEST))


def _of_folder(store: str, settings: Settings) -> Mapping[str, str]:
    folder = resolve_input(settings.workspace, store, read_roots=settings.read_roots, kind="folder")
    return _columns(folder / MANIFEST)


@lru_cache(maxsize=_KNOWN)
def _read(path: Path) -> Mapping[str, str]:
    """An artifact's file never changes."""
    return _columns(path)


def _columns(path: Path) -> Mapping[str, str]:
    columns = manifest_at(path).columns
    return {column.key: column.dictionary_id for column in columns if column.kind == "codes" and column.dictionary_id}
