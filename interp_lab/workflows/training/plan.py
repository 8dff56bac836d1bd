"""Which dictionaries a request means: one for every combination, each with its name, its form and its columns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from itertools import product
from typing import Final, NamedTuple

from pydantic import ValidationError

from interp_lab.contracts.dictionaries import BY_COUNT, DictionaryConfig, TrainingConfig
from interp_lab.contracts.train_sae import MAX_DICTIONARIES, PRESETS, TrainSaeRequest
from interp_lab.errors import InvalidRequest

_NAME = 64


class Planned(NamedTuple):
    """One dictionary to train."""

    name: str
    config: DictionaryConfig
    training: TrainingConfig
    reads: tuple[str, ...]
    """Columns that are put side by side as its input."""
    writes: tuple[str, ...]
    """Columns that it is to reconstruct; empty means its input."""
    sparsity: float

    @property
    def place(self) -> str:
        """Where it reads and, if elsewhere, writes; of several models, also whose address each is."""
        if self.config.owners:
            return place_of_models(self.config)
        here = " + ".join(self.reads)
        return f"{here} → {' + '.join(self.writes)}" if self.writes else here


class Origin(NamedTuple):
    """Where the activations come from, for the record of every dictionary."""

    models: tuple[str | None, ...] = ()
    """One, or one for each of the stores that stand side by side."""
    dataset: str | None = None
    source: str | None = None


NOWHERE: Final = Origin()


def place_of_models(config: DictionaryConfig) -> str:
    """Return every address that a crosscoder of several models reads, with its model, in words."""
    return " + ".join(places_of_models(config))


def places_of_models(config: DictionaryConfig) -> tuple[str, ...]:
    """Return the address of every section of a crosscoder of several models, with its model."""
    models = config.models or tuple(f"model {owner + 1}" for owner in config.owners)
    owners = dict(zip(config.owners, models, strict=True))
    alike = len(set(owners.values())) < len(owners)
    names = {owner: f"{model} ({owner + 1})" if alike else model for owner, model in owners.items()}
    return tuple(
        f"{address} of {names[owner]}" for address, owner in zip(config.addresses_in, config.owners, strict=True)
    )


class _Place(NamedTuple):
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class _Choice(NamedTuple):
    n_latents: int
    sparsity: float
    seed: int


def planned(
    request: TrainSaeRequest, widths: Mapping[str, int], *, origin: Origin = NOWHERE, n_train: int | None = None
) -> tuple[Planned, ...]:
    """Return the dictionaries in the order of addresses, widths, sparsities, seeds.

    `widths` are those of the columns; a batch is never larger than the `n_train` tokens that there are.

    Raises:
        InvalidRequest: There are too many, or one of them cannot exist.
    """
    maker = _Maker(request, widths, origin, n_train)
    expansion = PRESETS[request.preset]["expansion"]
    found: list[Planned] = []
    for place in _places(request, tuple(widths)):
        d_in = sum(widths[key] for key in place.reads)
        choices = product(request.widths or (d_in * expansion,), request.chosen_sparsities, request.seeds)
        found += [maker.make(place, _Choice(*choice)) for choice in choices]
        if len(found) > MAX_DICTIONARIES:
            raise InvalidRequest(f"These are more than {MAX_DICTIONARIES} dictionaries; that many train in one call.")
    return tuple(found)


def columns_of(places: tuple[Planned, ...]) -> tuple[str, ...]:
    """Return every column that some dictionary reads or writes, each once."""
    return tuple(dict.fromkeys(key for each in places for key in (*each.reads, *each.writes)))


def _places(request: TrainSaeRequest, columns: tuple[str, ...]) -> tuple[_Place, ...]:
    reads = columns if request.source.kind == "stores" else tuple(map(str, request.addresses)) or columns
    if request.kind == "crosscoder":
        return (_Place(reads, ()),)
    if request.kind == "transcoder":
        return tuple(_Place((here,), (str(there),)) for here, there in zip(reads, request.targets, strict=True))
    return tuple(_Place((here,), ()) for here in reads)


class _Maker(NamedTuple):
    request: TrainSaeRequest
    widths: Mapping[str, int]
    origin: Origin
    n_train: int | None

    def make(self, place: _Place, choice: _Choice) -> Planned:
        try:
            config = DictionaryConfig.model_validate(self._config(place, choice))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            raise InvalidRequest(
                f"A dictionary of {choice.n_latents} latents at {place.reads[0]}: {problem}."
            ) from None
        return Planned(
            name=_name(self.request, place, choice),
            config=config,
            training=self._training(choice),
            reads=place.reads,
            writes=place.writes,
            sparsity=choice.sparsity,
        )

    def _config(self, place: _Place, choice: _Choice) -> dict[str, object]:
        kind, origin = self.request.kind, self.origin
        read, written = ([self.widths[key] for key in keys] for keys in (place.reads, place.writes or place.reads))
        return {
            "kind": kind,
            "architecture": self.request.architecture,
            "d_in": sum(read),
            "d_out": sum(written),
            "n_latents": choice.n_latents,
            "k": choice.sparsity if self.request.architecture in BY_COUNT else None,
            "sections": read if kind == "crosscoder" else (),
            "skip": self.request.skip,
            "apply_b_dec_to_input": kind != "transcoder",
            "addresses_in": place.reads,
            "addresses_out": place.writes,
            "models": origin.models if all(origin.models) else (),
            "dataset": origin.dataset,
            "source": origin.source,
            "seed": choice.seed,
            **(self._owned(place) if self.request.source.kind == "stores" else {}),
        }

    def _owned(self, place: _Place) -> dict[str, object]:
        """Return which address of which model every column is."""
        parts = [key.partition(":") for key in place.reads]
        owners = [int(number) for number, _, _ in parts]
        models = self.origin.models
        return {
            "addresses_in": [address for _, _, address in parts],
            "owners": owners,
            "models": [models[owner] for owner in owners] if models and all(models) else (),
        }

    def _training(self, choice: _Choice) -> TrainingConfig:
        own: dict[str, object] = {"seed": choice.seed}
        if self.request.architecture not in BY_COUNT:
            own["sparsity_coefficient"] = choice.sparsity
        if self.n_train is not None:
            own["batch_tokens"] = min(self.request.training.batch_tokens, self.n_train)
        return self.request.training.model_copy(update=own)


def _name(request: TrainSaeRequest, place: _Place, choice: _Choice) -> str:
    """Return a name that says what the dictionary is, plain enough for a column of a store."""
    where = "-".join((*place.reads, *place.writes))
    kind = "" if request.kind == "sae" else f"-{request.kind}"
    letter = "k" if request.architecture in BY_COUNT else "l"
    full = f"{where}{kind}-{request.architecture}-{choice.n_latents}-{letter}{choice.sparsity:g}-s{choice.seed}"
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", full)
    if len(plain) <= _NAME:
        return plain
    return f"{plain[: _NAME - 9]}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
