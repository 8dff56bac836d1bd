"""Worlds with known truth: what a world's folder holds, and the sealed record of what is true in it.

The manifest is for everybody; the truth is for scoring only. Every number in a truth that could be measured was
measured on the finished model, and stands beside what was intended.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from interp_lab.contracts.base import Contract, Probability, Seed
from interp_lab.contracts.sparse import DictionaryDials

WorldKind = Literal[
    "planted", "induction", "proportion", "reverse", "gates", "twins", "diff", "dictionary", "transcoder", "crosscoder",
    "absorption",
]  # fmt: skip
"""What kind of structure a world has."""

CircuitKind = Literal["induction", "proportion", "reverse", "gates"]
"""The programs that a model's weights can be set to by hand."""

SparseKind = Literal["dictionary", "transcoder", "crosscoder", "absorption"]
"""The worlds of sparse features without a model."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Part = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
"""A name inside one world: of a feature, a node or a model."""


class WorldManifest(Contract):
    """What a world's folder holds, without anything that gives its truth away."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: WorldKind
    """What kind of structure the world has."""
    seed: Seed
    """Seed of every random choice; 0-999 for development, 1000-1999 for reported figures."""
    version: PositiveInt
    """Raised whenever the generator changes what it writes."""
    models: dict[Part, str]
    """Model folders by role, relative to the world's folder."""
    dataset: str | None
    """The scored prompts, a JSON Lines file; none where the world has no text."""
    arrays: str | None
    """The activations, a safetensors file; only in worlds without a model."""
    files: dict[str, Sha256]
    """Every open file and its hash."""
    sealed: dict[str, Sha256]
    """Every sealed file and its hash: for scoring only, never read by what is being tested."""


class Check(Contract):
    """One claim about the finished world: what the construction implies, and what an intervention showed."""

    name: str
    """What is claimed, for example 'ablating inert changes nothing'."""
    expected: FiniteFloat
    """What the construction implies."""
    measured: FiniteFloat
    """What was measured on the finished world."""
    tolerance: FiniteFloat
    """How far the two may lie apart."""

    @property
    def holds(self) -> bool:
        """Whether the measurement bears the claim out."""
        return abs(self.expected - self.measured) <= self.tolerance


class Unit(Contract):
    """One MLP neuron that a plant replaced."""

    layer: NonNegativeInt
    """Its block."""
    neuron: NonNegativeInt
    """Its place in the MLP's hidden layer."""


FeatureRole = Literal[
    "trigger", "cause", "relay", "inert", "confounded", "redundant", "suppressor", "echo", "impostor"
]  # fmt: skip
"""What a planted direction does: it carries the effect, or it only looks as if it did."""


class PlantedFeature(Contract):
    """One planted direction: where it is, what it was built to do, and what it was measured to do."""

    name: Part
    """Its name in this world."""
    role: FeatureRole
    """What it was built to be."""
    address: str
    """First address of the residual stream at which it is complete, for example 'resid_post.1'."""
    direction: tuple[FiniteFloat, ...]
    """Unit vector in the residual stream of the written model."""
    written_by: tuple[Unit, ...]
    """The neurons that write it; none for a tag in the token embedding."""
    read_by: tuple[Unit, ...]
    """The neurons that read it; with `read_by_output`, everything later that does."""
    read_by_output: bool
    """Whether the unembedding reads it."""
    typical: FiniteFloat
    """Mean coordinate along it on positives, at its address, pooled as the maximum over the prompt."""
    auroc: Probability
    """How well that coordinate tells positives from negatives: correlation, whatever the role."""
    intended_effect: FiniteFloat
    """Target logits minus alternatives that its removal was meant to cost on positives."""
    measured_effect: FiniteFloat
    """The same, measured: mean over positives of unedited minus ablated to zero at the address."""
    spread: tuple[FiniteFloat, FiniteFloat]
    """Smallest and largest of that over the positives."""
    measured_off_target: FiniteFloat
    """Mean absolute change of the same metric on negatives under the same ablation."""


class PlantedEdge(Contract):
    """A pair of planted directions: does the later one depend on the earlier one?"""

    source: Part
    """The earlier feature."""
    target: Part
    """The later feature, or 'output' for the behaviour."""
    planted: bool
    """Whether a path was built."""
    measured: FiniteFloat
    """Share of the later one's value on positives that is lost when the earlier one is ablated."""


class RedundantGroup(Contract):
    """Features of which any one suffices."""

    members: tuple[Part, ...]
    """Their names."""
    intended_joint_effect: FiniteFloat
    """What removing all of them was meant to cost."""
    measured_joint_effect: FiniteFloat
    """What it does cost, on positives."""


Base = Literal["tiny-gpt2", "tiny-llama", "builtin:pocket-gpt2", "builtin:pocket-llama"]
"""The models that can be edited: small random ones, and those in the box."""

Decoy = Literal["inert", "confounded", "redundant", "suppressor", "echo", "impostor"]
"""What can be planted beside a cause."""


class PlantDials(Contract):
    """What can be set when circuits are planted."""

    base: Base = "tiny-gpt2"
    """The model that is edited: a small random one, or a model in the box."""
    effect: Annotated[FiniteFloat, Field(gt=0)] = 3.0
    """What the planted cause adds to target logits minus alternatives."""
    noise: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0
    """Share of the model's own activity that is left on the planted directions."""
    prompts: Annotated[int, Field(ge=8, le=20_000, multiple_of=2)] = 64
    """Prompts in the dataset, half of them positive."""
    confounding: Probability = 0.9
    """How often a positive has the punctuation mark, and a negative has not."""
    rotated: bool = True
    """Whether the residual basis is turned by a random orthogonal matrix that leaves the model's function alone."""
    decoys: tuple[Decoy, ...] = (
        "inert", "confounded", "redundant", "suppressor", "echo",
    )  # fmt: skip
    """What is planted beside the cause."""


class PlantedTruth(Contract):
    """The truth of one model with planted circuits."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: Literal["planted"] = "planted"
    """Says which truth this is."""
    dials: PlantDials
    """How the world was set."""
    triggers: tuple[str, ...]
    """Words that start the circuit; each is one token."""
    plain: tuple[str, ...]
    """Words that stand in the same place of negatives."""
    targets: tuple[str, ...]
    """Words that the circuit promotes."""
    alternatives: tuple[str, ...]
    """Words that the metric compares them with."""
    features: tuple[PlantedFeature, ...]
    """Every planted direction."""
    constant: tuple[FiniteFloat, ...]
    """The direction that is on at every token; the planted neurons measure their thresholds by it."""
    edges: tuple[PlantedEdge, ...]
    """Every pair of planted directions in the order of the layers."""
    redundant: tuple[RedundantGroup, ...]
    """Features that stand in for each other."""
    drift: FiniteFloat
    """Mean KL divergence, in nats, from the unedited model's next-token distribution on negatives."""
    checks: tuple[Check, ...]
    """Everything that was verified by intervention."""


class CircuitNode(Contract):
    """One part of a hand-set model."""

    name: Part
    """'embed', 'positions', 'head.L.H', 'mlp.L' or 'logits'."""
    in_circuit: bool
    """Whether the program runs through it."""
    variable: str
    """What it computes, in words; empty outside the circuit."""
    measured: FiniteFloat
    """Largest change of any logit, over all inputs tried, when its output is set to zero."""


class CircuitEdge(Contract):
    """One possible connection of a hand-set model."""

    source: Part
    """The node that writes."""
    target: Part
    """The node that reads."""
    in_circuit: bool
    """Whether the program runs along it."""
    measured: FiniteFloat
    """Largest change of any logit, over all inputs tried, when the reader no longer sees the writer."""


class CircuitVariable(Contract):
    """Where the residual stream carries one variable of the program."""

    name: Part
    """The variable."""
    address: str
    """First address at which it is complete."""
    directions: tuple[tuple[FiniteFloat, ...], ...]
    """Orthonormal directions, one per value."""


class CircuitDials(Contract):
    """What can be set when a circuit is written by hand."""

    rotated: bool = True
    """Whether the program's variables lie along random directions, not along coordinates."""
    distractors: bool = True
    """Whether the other heads and neurons carry activity that no reader of the program sees."""
    prompts: Annotated[int, Field(ge=8, le=20_000)] = 64
    """Inputs that are written and tried."""


class CircuitTruth(Contract):
    """The truth of one model whose weights were set by hand."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: CircuitKind
    """The program."""
    dials: CircuitDials
    """How the world was set."""
    program: str
    """What the model computes, in words."""
    nodes: tuple[CircuitNode, ...]
    """Every node, in the circuit or not."""
    edges: tuple[CircuitEdge, ...]
    """Every edge that the architecture allows, in the circuit or not; ablation is to zero."""
    variables: tuple[CircuitVariable, ...]
    """The program's variables."""
    units: dict[str, Unit]
    """Neurons with a function that has a name, such as AND."""
    checks: tuple[Check, ...]
    """Everything that was verified."""


class PairDials(Contract):
    """What can be set when two models are made; both take the same values."""

    effect: Annotated[FiniteFloat, Field(gt=0)] = 3.0
    """What the planted cause adds to target logits minus alternatives."""
    prompts: Annotated[int, Field(ge=8, le=20_000, multiple_of=2)] = 64
    """Prompts in the dataset, half of them positive."""
    rotated: bool = True
    """Whether the residual bases are turned."""

    def plant(self, base: Base) -> PlantDials:
        """Return the dials for one of the two models: impostors promote other words after the same trigger."""
        decoys: tuple[Decoy, ...] = ("inert", "suppressor", "impostor")
        return PlantDials(base=base, effect=self.effect, prompts=self.prompts, rotated=self.rotated, decoys=decoys)


class FeatureMatch(Contract):
    """Whether a feature of one model is the same as a feature of the other."""

    a: Part
    """Feature of the model in role 'a'."""
    b: Part
    """Feature of the model in role 'b'."""
    same: bool
    """Same trigger and same effect; an impostor shares one of the two at most."""


class TwinsTruth(Contract):
    """The truth of two models that carry the same concept in different bases and widths."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: Literal["twins"] = "twins"
    """Says which truth this is."""
    a: PlantedTruth
    """The first model."""
    b: PlantedTruth
    """The second model."""
    matches: tuple[FeatureMatch, ...]
    """Every pair of features that both models have reason to be compared on."""


class ChangedWeight(Contract):
    """One weight matrix that differs between the base and its planted twin."""

    name: str
    """Parameter name in the model's state."""
    rank: PositiveInt
    """Rank of the difference."""


class DiffTruth(Contract):
    """The truth of a base model and its planted twin."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: Literal["diff"] = "diff"
    """Says which truth this is."""
    planted: PlantedTruth
    """What the twin has and the base has not."""
    changed: tuple[ChangedWeight, ...]
    """Every weight that differs."""
    checks: tuple[Check, ...]
    """The same interventions on the base, where they must show nothing."""


class DictionaryTruth(Contract):
    """The truth of a sparse world; the arrays are in the sealed safetensors file beside it."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    kind: SparseKind
    """Which variant."""
    dials: DictionaryDials
    """How the world was set."""
    tensors: dict[str, str]
    """Every tensor of the sealed file, and what it is."""
    l0: FiniteFloat
    """Mean number of active features per row."""
    parents: tuple[int, ...]
    """Parent of every feature, or -1."""
    absorption: dict[str, Probability]
    """Absorption worlds: child feature → share of its rows on which the parent's direction is carried by the child."""
    checks: tuple[Check, ...]
    """Everything that was verified."""


Truth = Annotated[PlantedTruth | CircuitTruth | TwinsTruth | DiffTruth | DictionaryTruth, Field(discriminator="kind")]
"""What is true in a world."""
