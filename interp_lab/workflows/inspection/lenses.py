# pyright: standard
"""Dictionaries as things to rank: each checked against the model, each with a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.lens import Lens
from interp_lab.models.load import LoadedModel
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.named_folders import dictionary_folder


def dictionary_lenses(names: Sequence[str], loaded: LoadedModel, settings: Settings) -> tuple[Lens, ...]:
    """Return a lens per dictionary, in the order given; the same dictionary twice is one.

    Raises:
        DictionaryMismatch: It does not say where it reads, or its width is not that of this model there.
        InvalidDictionary, UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: It cannot be read.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    found = [_lens(name, loaded, settings) for name in dict.fromkeys(names)]
    taken = Counter(lens.key for lens in found)
    return tuple(
        lens if taken[lens.key] == 1 else Lens(f"{lens.key}-{number}", lens.addresses, lens.encode)
        for number, lens in enumerate(found)
    )


def _lens(name: str, loaded: LoadedModel, settings: Settings) -> Lens:
    dictionary = load_dictionary(dictionary_folder(name, settings), device=str(loaded.device))
    addresses = addresses_read(dictionary.config.model_copy(update={"source": name}), loaded.facts)
    return Lens(f"{'+'.join(map(str, addresses))}/{_short(dictionary)}", addresses, dictionary.encode)


def _short(dictionary: Dictionary) -> str:
    return f"{dictionary.config.architecture}-{dictionary.n_latents}"
