# pyright: standard
"""Units of a loaded model: what each reads and writes, and its companions, the latents or heads it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.intervene import UnitRef
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.edits import Slice, Target, Unit, coordinate, directions, head
from interp_lab.engine.harvest import harvest
from interp_lab.engine.lens import Lens
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import ImpossibleEdit, InvalidRequest, ShapeMismatch
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.named_folders import dictionary_folder

_NEAREST = 10
"""Latents nearest in firing rate and decoder length among which companions are drawn."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A unit as the model has it."""

    found: Found
    target: Target
    lens: Lens | None = None
    """The latents that it is one of."""
    dictionary: Dictionary | None = None
    companions: tuple[Target, ...] = ()
    """Matched latents, or other heads."""

    @property
    def key(self) -> str:
        """How it is called."""
        return self.found.key

    @property
    def is_latent(self) -> bool:
        """Whether it rests at 0 and is active above it."""
        return self.dictionary is not None


@dataclass(eq=False)
class _Opened:
    """Dictionaries that were opened, each once, so that its latents share one encoding."""

    loaded: LoadedModel
    settings: Settings
    known: dict[str, tuple[Dictionary, Lens]] = field(default_factory=dict)

    def get(self, name: str) -> tuple[Dictionary, Lens]:
        if name not in self.known:
            folder = dictionary_folder(name, self.settings)
            dictionary = load_dictionary(folder, device=str(self.loaded.device)).to(dtype=torch.float32)
            config = dictionary.config.model_copy(update={"source": name})
            read = addresses_read(config, self.loaded.facts)
            if len(config.addresses_out) > 1 or (len(read) > 1 and not config.addresses_out):
                raise ImpossibleEdit(f"{name[:80]} writes to several addresses at once.")
            key = "+".join(map(str, read)) + f"/{name[:40]}"
            self.known[name] = dictionary, Lens(key, read, dictionary.encode, encoder_of=dictionary.encoder_of)
        return self.known[name]


def open_subjects(found: Sequence[Found], loaded: LoadedModel, settings: Settings) -> tuple[Subject, ...]:
    """Return the units as this model has them, without companions.

    Raises:
        InvalidDictionary, DictionaryMismatch, InvalidPath: A dictionary cannot be used.
        HookPointUnavailable, LayerOutOfRange: The model does not have a place.
        InvalidRequest, ImpossibleEdit, ShapeMismatch: There is no such coordinate, head or direction.
    """
    opened = _Opened(loaded, settings)
    return tuple(_subject(each, loaded, opened) for each in found)


def with_companions(
    subjects: Sequence[Subject], loaded: LoadedModel, prompts: Sequence[TokenizedPrompt], *, n: int, seed: int
) -> tuple[Subject, ...]:
    """Return the subjects with the latents or heads they are compared with; firing rates are those of `prompts`."""
    rng = np.random.default_rng(seed)
    rates = _firing_rates(list(dict.fromkeys(s.lens for s in subjects if s.lens and s.is_latent)), loaded, prompts)
    taken = {(s.lens, s.target.index) for s in subjects if isinstance(s.target, Unit)}
    finished: list[Subject] = []
    for subject in subjects:
        companions: tuple[Target, ...] = ()
        if isinstance(subject.target, Slice):
            companions = _other_heads(subject.target, loaded, rng, n)
        elif subject.dictionary is not None and subject.lens is not None:
            avoid = {index for lens, index in taken if lens is subject.lens}
            avoid |= {index for name, index in subject.found.candidates if name == subject.found.ref.dictionary}
            companions = _matched(subject.target, subject.dictionary, rates[subject.lens], avoid=avoid, rng=rng, n=n)
        finished.append(Subject(subject.found, subject.target, subject.lens, subject.dictionary, companions))
    return tuple(finished)


def _subject(found: Found, loaded: LoadedModel, opened: _Opened) -> Subject:
    ref = found.ref
    if ref.dictionary is not None and ref.index is not None:
        dictionary, lens = opened.get(ref.dictionary)
        return Subject(found, latent_of(found.key, dictionary, lens, ref.index), lens, dictionary)
    assert ref.address is not None
    loaded.facts.check(ref.address)
    if ref.head is not None:
        return Subject(found, _head(found.key, ref.address, ref.head, loaded))
    return Subject(found, _of_address(found.key, ref, ref.address, loaded.facts.width(ref.address)))


def _of_address(key: str, ref: UnitRef, address: Address, width: int | None) -> Unit:
    if width is None:
        raise InvalidRequest(f"The width of {address} is not known.", remedy="Use a named hook point.")
    if ref.direction is not None:
        if len(ref.direction) != width:
            raise ShapeMismatch(f"The direction {key!r} has {len(ref.direction)} numbers; {address} has {width}.")
        return directions(address, torch.tensor([ref.direction]), [key])[0]
    if ref.index is None or ref.index >= width:
        raise InvalidRequest(f"{address} has coordinates 0 to {width - 1}, so there is no {ref.index}.")
    return _named(coordinate(address, ref.index, width), key)


def opened_dictionary(name: str, loaded: LoadedModel, settings: Settings) -> tuple[Dictionary, Lens]:
    """Return a dictionary and what its latents are read with; raises as `open_subjects`."""
    return _Opened(loaded, settings).get(name)


def latent_of(key: str, dictionary: Dictionary, lens: Lens, index: int) -> Unit:
    """Return one latent as a unit.

    Raises:
        InvalidRequest: There is no such latent.
    """
    config = dictionary.config
    if index >= config.n_latents:
        raise InvalidRequest(f"The dictionary has latents 0 to {config.n_latents - 1}, so there is no {index}.")
    factor = config.scale if config.normalize == "expected_average_norm" else 1.0
    writes = Address.parse(config.address_out) if config.address_out else lens.addresses[0]
    gain = _spread if config.normalize == "layer_norm" else None
    return Unit(key, lens, index, writes, dictionary.W_dec[index].float() / factor, gain)


def _spread(x: torch.Tensor) -> torch.Tensor:
    return x.std(-1)


def _head(key: str, address: Address, number: int, loaded: LoadedModel) -> Slice:
    facts = loaded.facts
    if address.point != "z" or facts.d_head is None or facts.n_heads is None:
        raise ImpossibleEdit(f"Heads are parts of z; {address} has none.", remedy="Name 'z.LAYER' with the head.")
    if number >= facts.n_heads:
        raise InvalidRequest(f"{address} has heads 0 to {facts.n_heads - 1}, so there is no {number}.")
    made = head(address, number, facts.d_head)
    return Slice(key, address, made.start, made.stop)


def _named(unit: Unit, key: str) -> Unit:
    return Unit(key, unit.site, unit.index, unit.writes, unit.direction)


def _other_heads(own: Slice, loaded: LoadedModel, rng: np.random.Generator, n: int) -> tuple[Slice, ...]:
    size, n_heads = own.stop - own.start, loaded.facts.n_heads or 1
    others = [number for number in range(n_heads) if number * size != own.start]
    return tuple(head(own.writes, int(number), size) for number in rng.permutation(others)[:n])


def _firing_rates(
    lenses: Sequence[Lens], loaded: LoadedModel, prompts: Sequence[TokenizedPrompt]
) -> Mapping[Lens, NDArray[np.float64]]:
    if not lenses:
        return {}
    fired = {lens: np.zeros(0) for lens in lenses}
    n_tokens = 0
    with matmul_precision():
        for batch in harvest(loaded, prompts, lenses):
            fired = {lens: batch.fired[lens] + (fired[lens] if fired[lens].size else 0) for lens in lenses}
            n_tokens += batch.n_tokens
    return {lens: counts / max(1, n_tokens) for lens, counts in fired.items()}


def _matched(
    unit: Unit,
    dictionary: Dictionary,
    rates: NDArray[np.float64],
    *,
    avoid: set[int],
    rng: np.random.Generator,
    n: int,
) -> tuple[Unit, ...]:
    """Latents that fire about as often and have about as long a decoder row, drawn among the nearest."""
    lengths = dictionary.W_dec.float().norm(dim=1).cpu().numpy()
    own_rate, own_length = max(rates[unit.index], 1e-6), max(float(lengths[unit.index]), 1e-9)
    candidates = np.array([i for i in np.flatnonzero(rates > 0) if int(i) not in avoid], dtype=np.intp)
    if not candidates.size:
        return ()
    far = np.abs(np.log(rates[candidates] / own_rate)) + np.abs(
        np.log(np.maximum(lengths[candidates], 1e-9) / own_length)
    )
    nearest = candidates[np.argsort(far, kind="stable")[: max(n, _NEAREST)]]
    assert isinstance(unit.site, Lens)
    return tuple(
        latent_of(f"{unit.key} control {index}", dictionary, unit.site, int(index))
        for index in rng.permutation(nearest)[:n]
    )
