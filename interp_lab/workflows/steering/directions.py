# pyright: standard
"""Directions of a model from each kind of source, and the coordinate of every prompt along them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.paths import resolve_input
from interp_lab.bridges.gguf_control_vector import read_control_vector
from interp_lab.bridges.peer_steering import read_peer_vector
from interp_lab.contracts.base import Provenance
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.steering_vector import (
    ContrastMethod,
    ContrastSource,
    FileSource,
    LatentSource,
    MakeSteeringVectorRequest,
    ReportSource,
)
from interp_lab.corpus.sources import open_prompts
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.harvest import token_values
from interp_lab.errors import InvalidRequest, MalformedFile, ShapeMismatch
from interp_lab.methods.contrast_direction import contrastive_pca, difference_of_means
from interp_lab.methods.probe.fit import Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.points import Address, every_layer
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.inspection.passes import Pooled
from interp_lab.workflows.intervening.sources import learned_row
from interp_lab.workflows.named_folders import dictionary_folder

Floats = NDArray[np.float64]
STEERABLE = frozenset({"resid_pre", "resid_mid", "resid_post"})
"""Hook points of the residual stream; a vector is added there."""


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction before anything is known of it."""

    address: Address
    vector: Floats
    method: str
    provenance: Provenance
    source: Mapping[str, str]
    explore_q: float | None = None
    """Of a direction that a report ranked, over everything that it tested, on prompts that had not taught it."""

    @property
    def unit(self) -> Floats:
        """The same with length 1."""
        return self.vector / np.linalg.norm(self.vector)


def as_inspected(request: MakeSteeringVectorRequest, addresses: tuple[Address, ...]) -> InspectRequest:
    """Return the inspection that reads the same prompts and splits them alike."""
    return InspectRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        addresses=addresses,
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )


def given_direction(request: MakeSteeringVectorRequest, settings: Settings) -> Direction | None:
    """Return the direction of a latent, a report or a file, before the model is opened; None if prompts are to make it.

    Raises:
        InvalidRequest: It is not there, lies outside the residual stream, or the file has several layers.
        DiscoveryRowsReused: The report's prompts or their split are others.
        LabError: whatever is wrong with the dictionary, the report or the file.
    """
    source = request.source
    if isinstance(source, ContrastSource):
        return None
    if isinstance(source, ReportSource):
        return _of_report(source, request, settings)
    if isinstance(source, LatentSource):
        return _of_latent(source, settings)
    path = resolve_input(settings.workspace, source.path, read_roots=settings.read_roots, kind="file")
    block, vector, method = _of_file(source, path)
    told = {"file": source.path, "layer": str(block)}
    return _checked(
        Direction(Address.parse(f"resid_post.{block}"), vector.astype(np.float64), method, "imported", told)
    )


def default_addresses(n_layers: int) -> tuple[Address, ...]:
    """Return the outputs of all blocks but the last, behind which nothing could act on what was added."""
    return every_layer("resid_post", max(1, n_layers - 1))


def contrasts(method: ContrastMethod, inputs: Inputs, plan: Design, pooled: Pooled) -> tuple[Direction, ...]:
    """Return one direction per address, from explore prompts only.

    Raises:
        InvalidRequest: There are too few pairs for a principal direction.
        TooFewGroups: There are too few groups for a probe.
    """
    made = []
    for site, columns in pooled.columns.items():
        assert isinstance(site, Address)
        vector = _contrast(method, inputs, plan, pooled.values[:, columns].astype(np.float64))
        made.append(_checked(Direction(site, vector, method, "measured", {"split": "explore"})))
    return tuple(made)


def residual_norm(inputs: Inputs, plan: Design, address: Address) -> float:
    """Return the mean length of the stream at an address, over the text tokens of explore prompts."""
    width = inputs.loaded.facts.width(address)
    if width is None:
        raise InvalidRequest(f"The width of {address} is not known.", remedy="Use a named hook point.")
    chosen = [inputs.tokens[i] for i in plan.split.rows("explore")]
    total, count = 0.0, 0
    for row in token_values(inputs.loaded, chosen, {address: range(width)}):
        keep = ~np.asarray(chosen[row.prompt].special, dtype=np.bool_)
        lengths = np.linalg.norm(row.values[address][keep].astype(np.float64), axis=1)
        total, count = total + float(lengths.sum()), count + int(lengths.size)
    return total / max(1, count)


def _of_latent(source: LatentSource, settings: Settings) -> Direction:
    dictionary = load_dictionary(dictionary_folder(source.dictionary, settings))
    config = dictionary.config
    if source.index >= config.n_latents:
        raise InvalidRequest(f"The dictionary has latents 0 to {config.n_latents - 1}, so there is no {source.index}.")
    if config.address_out is None or len(config.addresses_out or config.addresses_in) > 1:
        raise InvalidRequest("The dictionary does not say the one address at which it writes.")
    told = {"dictionary": source.dictionary, "latent": str(source.index)}
    row = dictionary.W_dec[source.index].double().numpy()
    return _checked(Direction(Address.parse(config.address_out), row, "latent", "measured", told))


def _of_report(source: ReportSource, request: MakeSteeringVectorRequest, settings: Settings) -> Direction:
    prompts = open_prompts(request.dataset, settings)
    row = learned_row(source.report, source.rank, request, prompts=prompts, settings=settings)
    kept, told = row.kept, {"report": source.report, "row": row.kept.record.name, "split": "explore"}
    address = Address.parse(kept.record.address)
    vector = kept.vector.astype(np.float64)
    return _checked(Direction(address, vector, kept.record.method, "measured", told, row.explore_q))


def _of_file(source: FileSource, path: Path) -> tuple[int, NDArray[np.float32], str]:
    if path.suffix.lower() != ".gguf":
        found = read_peer_vector(path)
        return found.block, found.values, "steering vector file"
    vectors = read_control_vector(path)
    layer = next(iter(vectors)) if source.layer is None and len(vectors) == 1 else source.layer
    if layer not in vectors:
        raise InvalidRequest(
            f"{path.name} has directions for layers {', '.join(map(str, sorted(vectors)))}.",
            remedy="Say which with layer.",
        )
    return layer, vectors[layer], "control vector file"


def _checked(direction: Direction) -> Direction:
    if direction.address.point not in STEERABLE:
        raise InvalidRequest(
            f"{direction.address} is not a place of the residual stream.",
            remedy="Steer at resid_pre, resid_mid or resid_post.",
        )
    length = float(np.linalg.norm(direction.vector))
    if not np.isfinite(length) or length <= 0:
        raise MalformedFile("The direction is zero or not finite.")
    return direction


def refuse_unfit(direction: Direction, inputs: Inputs) -> None:
    """Check that a direction fits the model.

    Raises:
        ShapeMismatch: It has another width.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    inputs.loaded.facts.check(direction.address)
    width = inputs.loaded.facts.width(direction.address)
    if width is not None and width != direction.vector.size:
        raise ShapeMismatch(f"The direction has {direction.vector.size} numbers; {direction.address} has {width}.")


def addresses_of_latent(source: LatentSource, inputs: Inputs, settings: Settings) -> None:
    """Check that a dictionary is one of this model; see `addresses_read` for errors."""
    config = load_dictionary(dictionary_folder(source.dictionary, settings)).config
    addresses_read(config.model_copy(update={"source": source.dictionary}), inputs.loaded.facts)


def _contrast(method: ContrastMethod, inputs: Inputs, plan: Design, values: Floats) -> Floats:
    rows = plan.rows("explore")
    labels = np.asarray(plan.sample.labels, dtype=np.bool_)[rows]
    if method == "difference_of_means":
        return difference_of_means(values[rows], labels)
    if method == "probe":
        target = Target("binary", labels.astype(np.float64), ("without", "with"))
        groups = np.asarray(plan.sample.groups)[rows]
        return train(Prepared.of(values[rows]), target, groups, seed=inputs.request.seed).linear.directions[:, 0]
    on, off = _pairs(inputs, plan)
    return contrastive_pca(values[on], values[off])


def _pairs(inputs: Inputs, plan: Design) -> tuple[list[int], list[int]]:
    """Return the explore prompts of each pair that has exactly one positive and one negative."""
    members: dict[str, list[int]] = {}
    for place in plan.split.rows("explore"):
        pair = inputs.prompts.prompts[place].pair
        if pair is not None:
            members.setdefault(pair, []).append(place)
    labels = plan.sample.labels
    whole = [sorted(found, key=lambda i: not labels[i]) for found in members.values() if len(found) == 2]
    whole = [pair for pair in whole if labels[pair[0]] and not labels[pair[1]]]
    return [pair[0] for pair in whole], [pair[1] for pair in whole]
