# pyright: standard
"""Features of a list as things to rank: each measured afresh on the prompts, as a coordinate or as a direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.inspect_evidence import FeaturesEvidence
from interp_lab.engine.lens import Lens
from interp_lab.errors import InvalidRequest, LabError
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.interchange.feature_lists import ListedFeature, read_feature_list

_DIGEST = 8


@dataclass(frozen=True, eq=False)
class Listed(Lens):
    """Features at one address, each a row that the activations are multiplied with."""

    rows: torch.Tensor
    """`(n_features, width)`: an axis, or a direction of length 1."""
    names: tuple[str, ...]


def listed_lenses(
    source: FeaturesEvidence, loaded: LoadedModel, settings: Settings
) -> tuple[tuple[Listed, ...], tuple[str, ...]]:
    """Return a lens per address of the features that can be measured in this model, and what was left out, in words.

    Raises:
        MalformedFile, FileTooLarge, InvalidPath, PathOutsideWorkspace: The list cannot be read.
        InvalidRequest: Nothing in it can be measured in this model.
    """
    with open_input(settings.workspace, source.path, read_roots=settings.read_roots) as file:
        found = read_feature_list(file, where=source.path)
    real = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots, kind="file")
    digest = hash_file(real)[0][:_DIGEST]
    places: dict[Address, dict[str, torch.Tensor]] = {}
    left: Counter[str] = Counter()
    for feature in found:
        problem = _take(feature, places, loaded)
        if problem is not None:
            left[problem] += 1
    if not places:
        raise InvalidRequest(
            f"Nothing of {source.path} can be measured in {loaded.source.id}: {_counted(left)}.",
            remedy="A feature needs the model's name, a place, and a coordinate or its whole decoder row.",
        )
    lenses = tuple(_lens(address, rows, digest) for address, rows in places.items())
    return lenses, tuple(_notes(source.path, found, left))


def column_names(sites: Iterable[object]) -> list[str]:
    """Return what the list calls each column, in the order of the sites; nothing for other sites."""
    return [name for site in sites if isinstance(site, Listed) for name in site.names]


def _take(feature: ListedFeature, places: dict[Address, dict[str, torch.Tensor]], loaded: LoadedModel) -> str | None:
    """Add a feature to the rows of its place; return why it cannot be measured, or None."""
    address = feature.address
    if not feature.neuronpedia and feature.model != loaded.source.id:
        return f"of model {feature.model[:60]!r}"
    if address is None:
        return "without a place"
    try:
        loaded.facts.check(address)
        width = loaded.facts.width(address)
    except LabError:
        return f"at {address}, which this model has not"
    row = _row(feature, width)
    if row is None:
        return "without a coordinate or a whole decoder row"
    own = places.setdefault(address, {})
    name = feature.name + (f": {feature.label}" if feature.label else "")
    while name in own:
        name += "'"
    own[name] = row
    return None


def _row(feature: ListedFeature, width: int | None) -> torch.Tensor | None:
    if width is None:
        return None
    if feature.unit is not None:
        return _axis(width, feature.unit) if feature.unit < width else None
    direction = torch.tensor(feature.direction)
    length = float(direction.norm())
    return direction / length if len(direction) == width and length > 0 else None


def _axis(width: int, unit: int) -> torch.Tensor:
    axis = torch.zeros(width)
    axis[unit] = 1.0
    return axis


def _lens(address: Address, named: dict[str, torch.Tensor], digest: str) -> Listed:
    rows = torch.stack(list(named.values()))
    turned = rows.T.contiguous()
    return Listed(
        f"{address}/features-{digest}",
        (address,),
        lambda x: x.float() @ turned.to(x.device),
        rows,
        tuple(named),
    )


def _notes(path: str, found: Sequence[ListedFeature], left: Counter[str]) -> list[str]:
    notes = [f"What {path} says of its features is not measured here; only where they are and which way they write is."]
    if any(feature.direction for feature in found):
        notes.append("A decoder row is read as a direction: the latent itself has an encoder and a threshold.")
    if models := sorted({feature.model for feature in found if feature.neuronpedia}):
        notes.append(
            f"Its records name the model {', '.join(models)[:120]}; that this is that model is the caller's word."
        )
    if left:
        notes.append(f"{sum(left.values())} of its {len(found)} features were not measured: {_counted(left)}.")
    return notes


def _counted(left: Counter[str]) -> str:
    return ", ".join(f"{n} {why}" for why, n in left.most_common(4)) or "it lists none"
