"""Opens the prompt set that a request names: inline, a file confined to the workspace, or a set by its name."""

from __future__ import annotations

from interp_lab.artifacts.paths import open_input
from interp_lab.artifacts.reading import read_json_lines
from interp_lab.contracts.prompts import NamedSet, PromptFile, PromptSource
from interp_lab.corpus.catalogue import list_builtin_datasets, load_builtin_dataset
from interp_lab.corpus.prompt_registry import find_set
from interp_lab.corpus.prompt_set import PromptSet, Rows, load_prompt_set
from interp_lab.errors import UnknownDataset
from interp_lab.settings import Settings

MAX_FILE_BYTES = 256 * 2**20


def open_prompts(source: PromptSource, settings: Settings) -> PromptSet:
    """Return the checked prompts of a source; see `load_prompt_set` and `find_set` for what is refused."""
    if isinstance(source, NamedSet):
        return find_set(source, settings)

    def read_lines(path: str) -> Rows:
        roots = settings.read_roots
        with open_input(settings.workspace, path, read_roots=roots, max_bytes=MAX_FILE_BYTES) as file:
            yield from enumerate(read_json_lines(file, where=path), start=1)

    if isinstance(source, PromptFile):
        _refuse_bare_name(source.path, settings)
    return load_prompt_set(source, read_lines=read_lines, load_builtin=load_builtin_dataset)


def _refuse_bare_name(path: str, settings: Settings) -> None:
    if path in list_builtin_datasets() and not (settings.workspace / path).exists():
        raise UnknownDataset(
            f"There is no file {path!r} in the workspace.", remedy=f"Name the dataset 'builtin:{path}'."
        )
