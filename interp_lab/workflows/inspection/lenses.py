# pyright: standard
"""Dictionaries as things to rank: each checked against the model, each with a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.lens import Lens
from interp_lab.errors import LabError
from interp_lab.models.load import LoadedModel
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.inspection.listed import Listed
from interp_lab.workflows.inspection.tables import Table
from interp_lab.workflows.named_folders import dictionary_folder


@dataclass(frozen=True, eq=False)
class Latents(Lens):
    """The latents of a dictionary, with the dictionary."""

    dictionary: Dictionary


def decoder_rows(table: Table, columns: Sequence[int]) -> NDArray[np.float64] | None:
    """Return what each column writes `(len(columns), d_out)`, NaN where it is no latent; None if no two are comparable.

    Latents that write rows of another width than most are left out too: their directions lie in other spaces.
    """
    rows = {
        place: (site.rows if isinstance(site, Listed) else site.dictionary.W_dec)[index].detach().float().cpu().numpy()
        for place, (site, index) in enumerate(map(table.locate, columns))
        if isinstance(site, Latents | Listed)
    }
    return _comparable(rows, len(columns))


def decoders_behind(
    table: Table, dictionaries: Mapping[str, str], settings: Settings, columns: Sequence[int]
) -> NDArray[np.float64] | None:
    """Return the same for columns of codes, by the dictionary behind each; one that is gone tells nothing."""
    opened: dict[str, Dictionary | None] = {}
    rows: dict[int, NDArray[np.float32]] = {}
    for place, (site, index) in enumerate(map(table.locate, columns)):
        name = dictionaries.get(str(site))
        if name is None:
            continue
        if name not in opened:
            opened[name] = _opened(name, settings)
        dictionary = opened[name]
        if dictionary is not None and index < dictionary.n_latents:
            rows[place] = dictionary.W_dec[index].detach().float().cpu().numpy()
    return _comparable(rows, len(columns))


def _opened(name: str, settings: Settings) -> Dictionary | None:
    try:
        return load_dictionary(dictionary_folder(name, settings), device="cpu")
    except LabError:
        return None


def _comparable(rows: Mapping[int, NDArray[np.float32]], n: int) -> NDArray[np.float64] | None:
    widths = Counter(row.size for row in rows.values())
    if not widths or widths.most_common(1)[0][1] < 2:
        return None
    width = widths.most_common(1)[0][0]
    found = np.full((n, width), np.nan)
    for place, row in rows.items():
        if row.size == width:
            found[place] = row
    return found


def dictionary_lenses(names: Sequence[str], loaded: LoadedModel, settings: Settings) -> tuple[Latents, ...]:
    """Return a lens per dictionary, in the order given; the same dictionary twice is one.

    Raises:
        DictionaryMismatch: It does not say where it reads, or its width is not that of this model there.
        InvalidDictionary, UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: It cannot be read.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    found = [_lens(name, loaded, settings) for name in dict.fromkeys(names)]
    taken = Counter(lens.key for lens in found)
    return tuple(
        lens if taken[lens.key] == 1 else replace(lens, key=f"{lens.key}-{number}") for number, lens in enumerate(found)
    )


def _lens(name: str, loaded: LoadedModel, settings: Settings) -> Latents:
    dictionary = load_dictionary(dictionary_folder(name, settings), device=str(loaded.device))
    addresses = addresses_read(dictionary.config.model_copy(update={"source": name}), loaded.facts)
    return Latents(f"{'+'.join(map(str, addresses))}/{_short(dictionary)}", addresses, dictionary.encode, dictionary)


def _short(dictionary: Dictionary) -> str:
    return f"{dictionary.config.architecture}-{dictionary.n_latents}"
