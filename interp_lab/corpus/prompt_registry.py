"""Prompt sets by name: which there are in the workspace, in the operator's folders and in the box, and what is in one.

A set of a folder is NAME.jsonl (scored prompts), NAME.json (a preset with positive_prompts and negative_prompts, as
other interp-lab tools write it), or both: then the rows count and the preset describes them. Folders are asked in a
fixed order, and the first that has a name answers for it, also when what it has cannot be read. Texts are data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, get_args

from pydantic import JsonValue, TypeAdapter, ValidationError

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json, read_json_lines
from interp_lab.contracts.presets import PoolingName
from interp_lab.contracts.prompts import BuiltinDataset, NamedSet, PromptFile, SetName, SetOrigin
from interp_lab.corpus.assembly import scored
from interp_lab.corpus.candidates import preset_candidates
from interp_lab.corpus.catalogue import list_builtin_datasets, load_builtin_dataset, load_preset
from interp_lab.corpus.prompt_set import PromptSet, Rows, checked, load_prompt_set
from interp_lab.corpus.workspace_sets import FOLDER
from interp_lab.errors import InvalidPath, LabError, MalformedFile, UnknownDataset
from interp_lab.settings import Settings

MAX_ROWS_BYTES = 256 * 2**20
MAX_PRESET_BYTES = 32 * 2**20
_CHECKED_BYTES = 8 * 2**20
"""Rows up to this size are read whole for a list, so that what is listed can be used."""
_KNOWN = 5_000
"""Sets whose files are not read again as long as they are as they were."""
_WORDS = 200
"""Characters of somebody's text that a list shows."""
_NAME: TypeAdapter[str] = TypeAdapter(SetName)
_POOLINGS: tuple[str, ...] = get_args(PoolingName)


@dataclass(frozen=True, slots=True)
class SetEntry:
    """One set as a list shows it."""

    name: str
    origin: SetOrigin
    argument: str
    """What a request's field 'dataset' takes to get exactly this one."""
    criterion: str = ""
    """The beginning of it, as somebody wrote it."""
    n_prompts: int = 0
    pooling: str | None = None
    caution: str = ""
    problem: str = ""
    """Why it cannot be used; empty if it can."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of sets, its files opened without leaving it."""

    origin: SetOrigin
    path: Path
    workspace: Path

    def open(self, file: str, max_bytes: int) -> AbstractContextManager[BinaryIO]:
        """Return the opened file; see `open_input` for what is refused."""
        if self.origin == "workspace":
            return open_input(self.workspace, f"{FOLDER}/{file}", max_bytes=max_bytes)
        return open_input(self.workspace, str(self.path / file), read_roots=(self.path,), max_bytes=max_bytes)

    def names(self) -> list[str]:
        """Return the names of the sets, sorted; a folder of the workspace that is not there has none.

        Raises:
            InvalidPath: It cannot be listed.
        """
        try:
            found = {p.stem for p in self.path.iterdir() if p.suffix in {".json", ".jsonl"} and not p.is_dir()}
        except FileNotFoundError:
            if self.origin == "workspace":
                return []
            raise InvalidPath(f"The folder {self.path.name!r} is not there.") from None
        except OSError as error:
            raise InvalidPath(f"The folder {self.path.name!r} cannot be listed: {error.strerror}.") from error
        return sorted(found)

    def stamp(self, name: str) -> tuple[tuple[int, ...] | None, ...]:
        """Return what changes when a set is written again."""
        return tuple(_stamp(self.path / f"{name}{suffix}") for suffix in (".jsonl", ".json"))

    def has(self, name: str, suffix: str) -> bool:
        """Return whether there is an entry of that name, whatever it is."""
        return (self.path / f"{name}{suffix}").is_symlink() or (self.path / f"{name}{suffix}").exists()


def list_registry(settings: Settings) -> Iterator[SetEntry]:
    """Yield every set of every folder in the order of precedence, then by name; broken ones with the reason."""
    seen: dict[str, list[str]] = defaultdict(list)
    for folder in _folders(settings):
        try:
            names = folder.names()
        except InvalidPath as error:
            yield SetEntry(folder.path.name[:_WORDS], folder.origin, "", problem=error.what)
            continue
        for name in names:
            yield _entry(folder, name, before=seen[name])
            seen[name].append(folder.origin)
    for name in list_builtin_datasets():
        yield _in_the_box(name, before=seen[name])


def find_set(source: NamedSet, settings: Settings) -> PromptSet:
    """Return the prompts of a named set; the name of the result says whose folder it came from.

    Raises:
        UnknownDataset: No folder that was asked for has the name.
        InvalidPrompts, MalformedFile, InvalidPath, FileTooLarge: The first folder that has it cannot give it.
    """
    known: list[str] = []
    for folder in _folders(settings):
        if source.origin not in {None, folder.origin}:
            continue
        if folder.has(source.name, ".jsonl") or folder.has(source.name, ".json"):
            return _prompts(folder, source.name)
        known.extend(f"{folder.origin}:{name}" for name in _listed(folder))
    if source.origin in {None, "builtin"}:
        if source.name in list_builtin_datasets():
            return checked(f"builtin:{source.name}", load_builtin_dataset(source.name))
        known.extend(f"builtin:{name}" for name in list_builtin_datasets())
    where = source.origin or "any folder"
    raise UnknownDataset(
        f"There is no set {source.name!r} in {where}; there are: {', '.join(known)[:600] or 'none'}.",
        remedy="Call lab_overview with sections ['datasets'] for every set and where it lies.",
    )


def pinned(source: NamedSet, settings: Settings) -> NamedSet | BuiltinDataset:
    """Return the source with its origin filled in; see `find_set` for errors."""
    origin, _, name = find_set(source, settings).name.partition(":")
    return BuiltinDataset(name=name) if origin == "builtin" else source.model_copy(update={"origin": origin})


def _folders(settings: Settings) -> Iterator[_Folder]:
    yield _Folder("workspace", settings.workspace / FOLDER, settings.workspace)
    for folder in settings.prompt_dirs:
        yield _Folder("user", folder.resolve(), settings.workspace)


def _listed(folder: _Folder) -> list[str]:
    try:
        return folder.names()
    except InvalidPath:
        return []


def _entry(folder: _Folder, name: str, *, before: Sequence[str]) -> SetEntry:
    shown = ascii(name[:_WORDS])[1:-1]
    if not _nameable(name):
        problem = "the name of its file has other characters than letters, digits, '.', '_' and '-'"
        return SetEntry(shown, folder.origin, "", problem=problem)
    if folder.origin in before:
        return SetEntry(shown, folder.origin, "", problem="a folder before this one has a set of this name")
    entry = _looked_into(folder, name, folder.stamp(name))
    if entry.problem:
        return entry
    return replace(entry, caution="; ".join(text for text in (entry.caution, _hidden(name, before)) if text))


@lru_cache(maxsize=_KNOWN)
def _looked_into(folder: _Folder, name: str, stamp: tuple[tuple[int, ...] | None, ...]) -> SetEntry:
    """Return what is in the files of a set; files that are as they were are not read again for every list."""
    del stamp
    argument = f"{folder.origin}:{name}"
    try:
        n_prompts = _count(folder, name)
    except LabError as error:
        return SetEntry(name, folder.origin, argument, problem=error.what[: 2 * _WORDS])
    try:
        preset, damage = _preset(folder, name), ""
    except LabError as error:  # the rows are there: what describes them is not needed to use them
        preset, damage = {}, error.what[: 2 * _WORDS]
    criterion, pooling = preset.get("criterion"), preset.get("pooling")
    return SetEntry(
        name,
        folder.origin,
        argument,
        criterion=criterion[:_WORDS] if isinstance(criterion, str) else "",
        n_prompts=n_prompts,
        pooling=pooling if isinstance(pooling, str) and pooling in _POOLINGS else None,
        caution=damage,
    )


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return identity, size and time of a file and of the link that may stand for it; None if there is none."""
    found: list[int] = []
    for follow in (False, True):
        try:
            status = path.stat(follow_symlinks=follow)
        except OSError:
            return tuple(found) or None
        found += [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    return tuple(found)


def _nameable(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _in_the_box(name: str, *, before: Sequence[str]) -> SetEntry:
    argument = f"builtin:{name}"
    try:
        preset = load_preset(name)
    except LabError as error:
        return SetEntry(name, "builtin", argument, problem=error.what[: 2 * _WORDS])
    wrong = "wrong on purpose: solved by " + ", ".join(preset.confounds) if preset.confounds else ""
    caution = "; ".join(text for text in (wrong, _hidden(name, before)) if text)
    return SetEntry(name, "builtin", argument, preset.criterion, preset.made_by.n_prompts, preset.pooling, caution)


def _hidden(name: str, before: Sequence[str]) -> str:
    return f"set:{name} means that of the {before[0]}" if before else ""


def _preset(folder: _Folder, name: str) -> dict[str, JsonValue]:
    """Return the description of a set, empty where there is none."""
    if not folder.has(name, ".json"):
        return {}
    where = f"{folder.origin}:{name} (its .json file)"
    with folder.open(f"{name}.json", MAX_PRESET_BYTES) as file:
        value = read_json(file, where=where, max_bytes=MAX_PRESET_BYTES)
    if not isinstance(value, dict):
        raise MalformedFile(f"{where} is not an object.")
    criterion = value.get("criterion")
    if not isinstance(criterion, str) or not criterion.strip():
        raise MalformedFile(f"{where} has no criterion in words.")
    return value


def _prompts(folder: _Folder, name: str) -> PromptSet:
    title = f"{folder.origin}:{name}"
    if folder.has(name, ".jsonl"):
        return load_prompt_set(
            PromptFile(path=title), read_lines=lambda _: _rows(folder, name), load_builtin=load_builtin_dataset
        )
    return checked(title, scored(list(preset_candidates(_preset(folder, name), title))))


def _rows(folder: _Folder, name: str) -> Rows:
    with folder.open(f"{name}.jsonl", MAX_ROWS_BYTES) as file:
        yield from enumerate(read_json_lines(file, where=f"{folder.origin}:{name}"), start=1)


def _count(folder: _Folder, name: str) -> int:
    """Return the number of prompts of a set that can be read; a very large one is only counted."""
    if folder.has(name, ".jsonl"):
        with folder.open(f"{name}.jsonl", MAX_ROWS_BYTES) as file:
            if file.seek(0, 2) > _CHECKED_BYTES:
                file.seek(0)
                return sum(bool(line.strip()) for line in file)
    return len(_prompts(folder, name).prompts)
