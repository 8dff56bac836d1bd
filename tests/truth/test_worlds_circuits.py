"""Hand-set circuits: a model computes its program on all inputs tried, and only its nodes and edges matter."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch

from interp_lab.contracts.worlds import CircuitDials, CircuitTruth
from interp_lab.worlds.circuits.build import PROGRAMS, Circuit, build_circuit, truth_of
from interp_lab.worlds.circuits.compile import compile_model
from interp_lab.worlds.circuits.graph import edges_of, forward, nodes_of

SEEDS = range(30)
KINDS = tuple(PROGRAMS)


@cache
def circuit(kind: str, seed: int) -> tuple[Circuit, CircuitTruth]:
    dials = CircuitDials(prompts=12, rotated=seed % 2 == 0, distractors=seed % 5 > 0)
    built = build_circuit(kind, dials, seed)
    return built, truth_of(built, dials)


@pytest.mark.parametrize(("kind", "seed"), [*product(KINDS, SEEDS)])
def test_the_model_computes_its_program_and_exactly_its_parts_matter(kind: str, seed: int) -> None:
    _, truth = circuit(kind, seed)
    assert [check for check in truth.checks if not check.holds] == []
    assert {edge.in_circuit for edge in truth.edges} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_distractors_are_busy_all_the_same(kind: str) -> None:
    built, truth = circuit(kind, 1)
    names = [node.name for node in truth.nodes if not node.in_circuit and node.name.startswith("head")]
    assert names
    moved = []
    for layer, block in enumerate(built.model.transformer.h):
        with torch.no_grad():
            weight = block.attn.c_proj.weight.unflatten(0, (block.attn.num_heads, -1))
        moved += [float(weight[h].norm()) for h in range(len(weight)) if f"head.{layer}.{h}" in names]
    assert min(moved) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_without_distractors_the_program_is_the_same(kind: str) -> None:
    plain = build_circuit(kind, CircuitDials(prompts=12, distractors=False), 1)
    truth = truth_of(plain, CircuitDials(prompts=12, distractors=False))
    assert all(check.holds for check in truth.checks)
    assert truth.program == circuit(kind, 1)[1].program


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_with_one_weight_matrix_scrambled_fails_the_checks(kind: str) -> None:
    built, _ = circuit(kind, 2)
    broken = compile_model(built.blueprint, built.frame)
    with torch.no_grad():
        broken.lm_head.weight.copy_(broken.lm_head.weight.roll(1, dims=0))
    truth = truth_of(replace(built, model=broken), CircuitDials(prompts=12))
    assert not truth.checks[0].holds


@pytest.mark.parametrize("kind", KINDS)
def test_a_truth_that_names_a_wrong_edge_fails_its_check(kind: str) -> None:
    built, truth = circuit(kind, 2)
    missing, extra = (next(e for e in truth.edges if e.in_circuit is inside) for inside in (True, False))
    reads = {target: list(sources) for target, sources in built.blueprint.reads.items()}
    reads[missing.target].remove(missing.source)
    reads.setdefault(extra.target, []).append(extra.source)
    wrong = replace(built, blueprint=replace(built.blueprint, reads={k: tuple(v) for k, v in reads.items()}))
    failed = {check.name for check in truth_of(wrong, CircuitDials(prompts=12)).checks if not check.holds}
    assert {f"cutting {missing.source} -> {missing.target} matters",
            f"cutting {extra.source} -> {extra.target} matters"} <= failed  # fmt: skip


def test_the_graph_without_cuts_is_the_model_and_with_all_cuts_is_nothing() -> None:
    built, _ = circuit("induction", 0)
    ids = built.inputs.ids
    torch.testing.assert_close(forward(built.model, ids), built.model(input_ids=ids).logits, atol=1e-3, rtol=0)
    assert forward(built.model, ids, edges_of(built.model)).abs().max() < 1e-6


def test_edges_never_run_backwards_or_between_heads_of_a_layer() -> None:
    built, _ = circuit("induction", 0)
    nodes = nodes_of(built.model)
    for source, target in edges_of(built.model):
        assert nodes.index(source) < nodes.index(target)
        assert (source, target) not in {("head.0.0", "head.0.1"), ("head.1.0", "head.1.1")}


@pytest.mark.parametrize("kind", KINDS)
def test_variables_lie_along_coordinates_only_when_they_are_not_turned(kind: str) -> None:
    for rotated in (True, False):
        truth = truth_of(build_circuit(kind, CircuitDials(prompts=8, rotated=rotated), 3), CircuitDials(prompts=8))
        directions = torch.tensor([row for variable in truth.variables for row in variable.directions])
        assert torch.allclose(directions @ directions.T, torch.eye(len(directions)), atol=1e-5)
        assert torch.allclose(directions.sum(1), torch.zeros(len(directions)), atol=1e-5)
        entries = (directions.abs() > 1e-6).sum(1).max()
        assert (int(entries) > 2) is rotated


def test_a_gate_has_the_truth_table_of_its_name() -> None:
    built, truth = circuit("gates", 4)
    unit = truth.units["AND"]
    hidden: list[torch.Tensor] = []
    handle = built.model.transformer.h[unit.layer].mlp.c_proj.register_forward_pre_hook(
        lambda _module, args: hidden.append(args[0])
    )
    built.model(input_ids=built.inputs.ids, attention_mask=built.inputs.mask)
    handle.remove()
    last = hidden[0][torch.arange(len(built.inputs.ids)), built.inputs.last, unit.neuron]
    for example, value in zip(built.blueprint.examples, last.tolist(), strict=True):
        assert value == pytest.approx(float(example.subtype == "11"), abs=1e-3)
    assert {example.subtype for example in built.blueprint.examples} >= {"11", "10"}


@pytest.mark.parametrize("kind", ["induction", "reverse", "gates"])
def test_both_sides_of_the_criterion_have_examples(kind: str) -> None:
    assert {example.score for example in circuit(kind, 0)[0].blueprint.examples} == {0.0, 1.0}
