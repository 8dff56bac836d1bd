"""Circuits of hand-set models: exactly their edges are found with zero ablation, and at chance where there are none."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp_lab.contracts.circuit_report import CircuitReport
from interp_lab.contracts.find_circuit import CircuitResult, FindCircuitRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.worlds import CircuitTruth
from interp_lab.engine.components.attribution import integrated
from interp_lab.engine.components.passes import ComponentGraph
from interp_lab.engine.components.scores import nearness
from interp_lab.errors import BehaviourAbsent, ImpossibleCircuit
from interp_lab.jobs.run import LocalRun
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import tokenize
from interp_lab.settings import Settings
from interp_lab.statistics.auroc import auroc
from interp_lab.workflows.find_circuit import find_circuit
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.circuits.graph import forward
from interp_lab.worlds.folder import write_world

KINDS = ("proportion", "reverse")
EXACT: dict[str, Any] = {"metric": "squared_error", "positions": "every", "tolerance": 1e-3, "dry_run": False}


@cache
def truth_of(folder: Path, kind: str, seed: int) -> CircuitTruth:
    world = make_world(kind, seed, prompts=32)
    write_world(world, folder)
    assert isinstance(world.truth, CircuitTruth)
    return world.truth


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("circuits")


def open_model(folder: Path) -> LoadedModel:
    return load_model(fetch(ModelRef(id="model"), Settings(workspace=folder)))


def found(folder: Path, out: Path, **options: Any) -> tuple[CircuitResult, CircuitReport]:
    request = FindCircuitRequest.model_validate(
        {
            "model": "model",
            "criterion": "the program of the world",
            "dataset": {"path": "prompts.jsonl"},
            "n_controls": 19,
            **EXACT,
            **options,
        }
    )
    with LocalRun(out, workspace=folder) as run:
        result = find_circuit(request, run, settings=Settings(workspace=folder))
    return result, CircuitReport.model_validate_json((run.written[0] / "report.json").read_text())


def aurocs(report: CircuitReport, truth: CircuitTruth) -> tuple[float, float]:
    edges = {(edge.source, edge.target): edge.in_circuit for edge in truth.edges}
    nodes = {node.name: node.in_circuit for node in truth.nodes}
    of_edges = [[edge.cost] for edge in report.edges], [edges[edge.source, edge.target] for edge in report.edges]
    of_nodes = [[node.cost] for node in report.nodes], [nodes[node.name] for node in report.nodes]
    return tuple(float(auroc(np.array(values), np.array(labels))[0]) for values, labels in (of_edges, of_nodes))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", [2000, 2001])
@pytest.mark.parametrize("kind", KINDS)
def test_with_zero_ablation_every_edge_and_node_is_told_apart(
    kind: str, seed: int, folders: Path, tmp_path: Path
) -> None:
    folder = folders / f"{kind}{seed}"
    truth = truth_of(folder, kind, seed)
    result, report = found(folder, tmp_path / "out", ablation="zero")
    assert aurocs(report, truth) == (1.0, 1.0)
    kept = {(edge.source, edge.target) for edge in report.edges if edge.in_circuit}
    assert kept == {(edge.source, edge.target) for edge in truth.edges if edge.in_circuit}
    assert result.faithfulness == pytest.approx(1.0, abs=1e-3)
    assert result.completeness < 0.5
    assert result.random_largest < 0.9
    assert result.grade == "validated"
    assert "ablated to zero" in result.summary


def test_random_weights_give_chance(folders: Path, tmp_path: Path) -> None:
    """The same shape with random weights, graded against the truth of the world whose weights were replaced."""
    measured: list[tuple[float, float]] = []
    for seed in range(2000, 2002):
        for kind in KINDS:
            folder = folders / f"random-{kind}{seed}"
            truth = truth_of(folder, kind, seed)
            model = open_model(folder).model
            torch.manual_seed(seed)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if ".ln_" not in name:
                        parameter.normal_(0.0, 0.3)
            model.save_pretrained(folder / "model")
            _, report = found(folder, tmp_path / f"{kind}{seed}", ablation="zero", n_prompts=2, n_controls=19)
            measured.append(aurocs(report, truth))
    edges, nodes = np.mean(measured, axis=0)
    assert 0.3 < edges < 0.7
    assert 0.2 < nodes < 0.8


@pytest.mark.parametrize("ablation", ["mean", "resample"])
def test_every_ablation_finds_a_faithful_circuit_and_is_named(ablation: str, folders: Path, tmp_path: Path) -> None:
    folder = folders / "named"
    truth_of(folder, "proportion", 2000)
    result, report = found(folder, tmp_path / "out", ablation=ablation)
    assert f"ablated to {ablation}" in report.headline
    assert result.faithfulness > 0.9
    assert report.curve[0].faithfulness == pytest.approx(0.0, abs=1e-5)
    assert report.curve[-1].faithfulness == pytest.approx(1.0, abs=1e-5)
    assert report.curve[-1].completeness == pytest.approx(0.0, abs=1e-5)


def test_the_graph_is_the_graph_of_the_worlds_with_any_edges_cut(folders: Path) -> None:
    folder = folders / "cut"
    truth_of(folder, "reverse", 2003)
    loaded = open_model(folder)
    texts = [json.loads(line)["text"] for line in (folder / "prompts.jsonl").read_text().splitlines()[:6]]
    graph = ComponentGraph(loaded, tokenize(loaded, dict(enumerate_as_text(texts))))
    (batch,) = graph.batches(tokenize(loaded, dict(enumerate_as_text(texts))))
    parts = graph.components
    dice = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        cut = {edge for edge in parts.edges if dice.random() < share}
        gates = graph.all_kept
        for writer, reader in cut:
            gates[parts.readers.index(reader), parts.writers.index(writer)] = 0.0
        expected = forward(loaded.model, batch.ids, cut)  # type: ignore[arg-type]
        with torch.no_grad():
            measured = graph(batch, gates).logits
        torch.testing.assert_close(
            measured * batch.mask[..., None], expected * batch.mask[..., None], atol=1e-3, rtol=0
        )


def enumerate_as_text(texts: list[str]) -> list[tuple[str, str]]:
    return [(str(i), text) for i, text in enumerate(texts)]


def test_attributions_add_up_to_the_whole_difference_with_more_steps(folders: Path) -> None:
    folder = folders / "sum"
    truth_of(folder, "proportion", 2004)
    loaded = open_model(folder)
    texts = [json.loads(line)["text"] for line in (folder / "prompts.jsonl").read_text().splitlines()[:6]]
    tokens = tokenize(loaded, dict(enumerate_as_text(texts)))
    graph = ComponentGraph(loaded, tokens)
    (batch,) = graph.batches(tokens)
    with torch.no_grad():
        whole = graph(batch, graph.all_kept).logits
    metric = nearness(batch, whole, kind="kl", positions="every")
    errors = []
    for n_steps in (2, 8, 40):
        found = integrated(graph, batch, metric, ablated=None, n_steps=n_steps)
        errors.append(abs(float(found.scores.sum()) / found.whole - 1))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.005


def test_a_behaviour_that_is_not_there_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = folders / "absent"
    truth = truth_of(folder, "reverse", 2005)
    words = [json.loads(line)["text"].split()[0] for line in (folder / "prompts.jsonl").read_text().splitlines()]
    with pytest.raises(BehaviourAbsent):
        found(
            folder,
            tmp_path / "out",
            ablation="zero",
            metric="logit_difference",
            target_tokens=["<turn>"],
            alternative_tokens=sorted(set(words))[:3],
        )
    assert truth.kind == "reverse"


def test_resampling_without_prompts_of_equal_length_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = folders / "alone"
    truth_of(folder, "proportion", 2006)
    lines = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    unique = list({len(line["text"].split()): line for line in lines}.values())
    scores = [0.0, 1.0] * len(unique)
    rows = [{**line, "score": score} for line, score in zip(unique, scores, strict=False)]
    (folder / "alone.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ImpossibleCircuit, match="partner"):
        found(folder, tmp_path / "out", ablation="resample", dataset={"path": "alone.jsonl"})
