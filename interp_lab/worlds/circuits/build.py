# pyright: standard
"""Worlds of hand-set circuits: compiled, run against the program in Python, every node and edge cut in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.contracts.worlds import (
    Check,
    CircuitDials,
    CircuitEdge,
    CircuitKind,
    CircuitNode,
    CircuitTruth,
    CircuitVariable,
    Unit,
)
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import Blueprint, Example
from interp_lab.worlds.circuits.compile import Frame, compile_model, distractors, frame_of
from interp_lab.worlds.circuits.gates import gates
from interp_lab.worlds.circuits.graph import OUTPUT, Edge, edges_of, forward, nodes_of
from interp_lab.worlds.circuits.induction import induction
from interp_lab.worlds.circuits.proportion import proportion
from interp_lab.worlds.circuits.reverse import reverse
from interp_lab.worlds.folder import DATASET, TRUTH, World, model_files, prompt_lines, truth_bytes
from interp_lab.worlds.passes import Inputs, pad

PROGRAMS: Mapping[CircuitKind, Callable[[Dice, int], Blueprint]] = {
    "induction": induction,
    "proportion": proportion,
    "reverse": reverse,
    "gates": gates,
}
"""Every program: a stream of choices and a number of prompts in, a blueprint out."""

_EXACT = 1e-3
"""Largest difference of a logit, of 10, that counts as none: float32 sums in another order."""

_TRIED = 16
"""Prompts that every cut is tried on."""


@dataclass(frozen=True)
class Circuit:
    """A compiled program with the inputs that it is tried on."""

    blueprint: Blueprint
    model: GPT2LMHeadModel
    frame: Frame
    inputs: Inputs


def circuit_world(kind: CircuitKind, dials: CircuitDials, seed: int) -> World:
    """Return the files of a world whose model computes the program of that kind."""
    circuit = build_circuit(kind, dials, seed)
    return World(
        kind=circuit.blueprint.kind,
        seed=seed,
        models=("model",),
        open_files={
            **model_files("model", circuit.model, circuit.blueprint.vocabulary.tokenizer),
            DATASET: prompt_lines(prompts_of(circuit.blueprint.examples)),
        },
        sealed_files={TRUTH: truth_bytes(truth_of(circuit, dials))},
    )


def build_circuit(kind: CircuitKind, dials: CircuitDials, seed: int) -> Circuit:
    """Return the compiled program of that kind."""
    dice = Dice(seed, f"worlds/{kind}")
    generator = torch.Generator().manual_seed(dice.fork("frame").integer(0, 2**31))
    blueprint = PROGRAMS[kind](dice.fork("program"), dials.prompts)
    if dials.distractors:
        blueprint = distractors(blueprint, generator)
    frame = frame_of(blueprint.slots.total, generator, rotated=dials.rotated)
    ids = [blueprint.vocabulary.ids(" ".join(example.words)) for example in blueprint.examples]
    return Circuit(blueprint, compile_model(blueprint, frame), frame, pad(ids, filler=2))


def prompts_of(examples: Sequence[Example]) -> tuple[ScoredPrompt, ...]:
    """Return the examples as scored prompts; the same row of words is the same group."""
    return tuple(
        ScoredPrompt(
            id=f"{place:04d}",
            text=" ".join(example.words),
            score=example.score,
            group=" ".join(example.words),
            subtype=example.subtype,
            labels={"n_words": len(example.words)},
        )
        for place, example in enumerate(examples)
    )


def truth_of(circuit: Circuit, dials: CircuitDials) -> CircuitTruth:
    """Return the truth of a compiled program, every node and edge measured."""
    nodes, edges = tuple(_nodes(circuit)), tuple(_edges(circuit))
    blueprint = circuit.blueprint
    return CircuitTruth(
        kind=blueprint.kind,
        dials=dials,
        program=blueprint.program,
        nodes=nodes,
        edges=edges,
        variables=tuple(_variables(circuit)),
        units=_units(blueprint),
        checks=tuple(checks_of(circuit, nodes, edges)),
    )


def checks_of(circuit: Circuit, nodes: Sequence[CircuitNode], edges: Sequence[CircuitEdge]) -> Iterator[Check]:
    """Yield that the model computes the program, and that exactly the circuit's parts matter."""
    whole = circuit.model(input_ids=circuit.inputs.ids, attention_mask=circuit.inputs.mask).logits
    for name, logits in (("the program in Python", _expected(circuit)), ("the graph", _run(circuit))):
        difference = _largest(circuit, whole[: len(logits)] - logits)
        yield Check(
            name=f"difference of the model's logits from {name}", expected=0, measured=difference, tolerance=_EXACT
        )
    parts = [(node.name, node) for node in nodes] + [(f"{edge.source} -> {edge.target}", edge) for edge in edges]
    for name, part in parts:
        changes = float(part.measured > _EXACT)
        yield Check(name=f"cutting {name} matters", expected=float(part.in_circuit), measured=changes, tolerance=0.0)


def _nodes(circuit: Circuit) -> Iterator[CircuitNode]:
    every, whole = edges_of(circuit.model), _run(circuit)
    used = {name for edge in circuit.blueprint.edges for name in edge}
    for name in nodes_of(circuit.model):
        cut = [edge for edge in every if edge[0] == name]
        after = torch.zeros_like(whole) if name == OUTPUT else _run(circuit, cut)
        role = circuit.blueprint.roles.get(name, "")
        measured = _largest(circuit, whole - after)
        yield CircuitNode(name=name, in_circuit=name in used, variable=role, measured=measured)


def _edges(circuit: Circuit) -> Iterator[CircuitEdge]:
    whole = _run(circuit)
    for edge in edges_of(circuit.model):
        measured = _largest(circuit, whole - _run(circuit, [edge]))
        source, target = edge
        yield CircuitEdge(source=source, target=target, in_circuit=edge in circuit.blueprint.edges, measured=measured)


def _run(circuit: Circuit, cut: Sequence[Edge] = ()) -> Tensor:
    return forward(circuit.model, circuit.inputs.ids[:_TRIED], frozenset(cut))


def _expected(circuit: Circuit) -> Tensor:
    ids, mask = circuit.inputs.ids, circuit.inputs.mask
    logits = torch.zeros(*ids.shape, circuit.model.config.vocab_size)
    for row, length in enumerate(mask.sum(1).tolist()):
        logits[row, :length] = circuit.blueprint.expected(ids[row, :length].tolist())
    return logits


def _largest(circuit: Circuit, difference: Tensor) -> float:
    mask = circuit.inputs.mask[: len(difference), :, None]
    return float((difference * mask).abs().max())


def _variables(circuit: Circuit) -> Iterator[CircuitVariable]:
    for name, address in circuit.blueprint.variables.items():
        rows = circuit.frame[circuit.blueprint.slots.rows(name)]
        yield CircuitVariable(name=name, address=address, directions=tuple(tuple(row) for row in rows.tolist()))


def _units(blueprint: Blueprint) -> dict[str, Unit]:
    named: dict[str, Unit] = {}
    for layer in {neuron.layer for neuron in blueprint.neurons}:
        for place, neuron in enumerate(n for n in blueprint.neurons if n.layer == layer):
            if neuron.name:
                named[neuron.name] = Unit(layer=layer, neuron=place)
    return named
