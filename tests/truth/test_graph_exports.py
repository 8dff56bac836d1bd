"""A graph as it is asked for: published in every form, each form with the same numbers, and read back in short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import torch

from interp_lab.contracts.attribution_graph import AttributionGraphRequest, AttributionGraphResult, GraphReport
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.models import ModelRef
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.engine.graphs.linear import Placed, freeze
from interp_lab.errors import ImpossibleCircuit
from interp_lab.jobs.run import LocalRun
from interp_lab.models.load import load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address
from interp_lab.reports.attribution_graph import render_graph
from interp_lab.reports.graph_exchange import graphml
from interp_lab.reports.graph_summary import summary_of
from interp_lab.settings import Settings
from interp_lab.workflows.attribution_graph import attribution_graph
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

TYPES = ["cross layer transcoder", "mlp reconstruction error", "embedding", "logit", "lorsa", "lorsa error", "bias"]
EXCHANGED = {
    "type": "object",
    "required": ["metadata", "qParams", "nodes", "links"],
    "properties": {
        "metadata": {
            "type": "object",
            "required": ["slug", "scan", "prompt", "prompt_tokens"],
            "properties": {
                "prompt_tokens": {"type": "array", "items": {"type": "string"}},
                "prompt": {"type": "string"},
                "slug": {"type": "string"},
                "scan": {"type": "string"},
                "schema_version": {"const": 1},
                "node_threshold": {"type": "number"},
                "info": {
                    "type": "object",
                    "properties": {
                        "creator_name": {"type": "string"},
                        "create_time_ms": {"type": "number"},
                        "generator": {
                            "type": "object",
                            "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
                        },
                    },
                },
                "pruning_settings": {
                    "type": "object",
                    "properties": {"node_threshold": {"type": "number"}, "edge_threshold": {"type": "number"}},
                },
            },
        },
        "qParams": {
            "type": "object",
            "properties": {
                "pinnedIds": {"type": "array", "items": {"type": "string"}},
                "supernodes": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
                "linkType": {"type": "string"},
                "clickedId": {"type": "string"},
                "sg_pos": {"type": "string"},
            },
        },
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp"],
                "properties": {
                    "node_id": {"type": "string"},
                    "feature": {"type": ["integer", "null"]},
                    "layer": {"type": "string"},
                    "ctx_idx": {"type": "integer"},
                    "feature_type": {"enum": TYPES},
                    "clerp": {"type": "string"},
                    "jsNodeId": {"type": "string"},
                    "influence": {"type": ["number", "null"]},
                    "activation": {"type": ["number", "null"]},
                    "token_prob": {"type": "number"},
                    "is_target_logit": {"type": "boolean"},
                },
            },
        },
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["source", "target", "weight"],
                "properties": {
                    "source": {"type": "string"},
                    "target": {"type": "string"},
                    "weight": {"type": "number"},
                },
            },
        },
    },
}
"""What the schema of Neuronpedia's graph API and the frontends of Neuronpedia and circuit-tracer require of a graph."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[AttributionGraphResult, Path, Path]:
    folder = tmp_path_factory.mktemp("graph") / "world"
    write_world(make_world("gates", 1000, prompts=8), folder)
    loaded = load_model(fetch(ModelRef(id="model"), Settings(workspace=folder)))
    for layer in range(2):
        mlp: Any = loaded.blocks[layer].get_submodule("mlp")
        n_latents, width = mlp.c_proj.weight.shape
        config = DictionaryConfig(
            kind="transcoder", architecture="relu", d_in=width, d_out=width, n_latents=n_latents,
            apply_b_dec_to_input=False, addresses_in=(f"mlp_in.{layer}",), addresses_out=(f"mlp_out.{layer}",),
        )  # fmt: skip
        tensors = [t.detach().clone() for t in (mlp.c_fc.weight, mlp.c_proj.weight, mlp.c_proj.bias, mlp.c_fc.bias)]
        (folder / f"layer-{layer}").mkdir()
        save_dictionary(Dictionary(config, *tensors[:3], b_enc=tensors[3]), folder / f"layer-{layer}")
    result, written = drawn(folder, ["layer-0", "layer-1"])
    return result, written, folder


def drawn(folder: Path, dictionaries: list[str], **options: Any) -> tuple[AttributionGraphResult, Path]:
    text = json.loads((folder / "prompts.jsonl").read_text().splitlines()[0])["text"]
    request = AttributionGraphRequest.model_validate(
        {"model": "model", "prompt": text, "dictionaries": dictionaries, "dry_run": False, "node_share": 1.0, **options}
    )
    with LocalRun(folder / f"out-{len(dictionaries)}{len(options)}", workspace=folder) as run:
        result = attribution_graph(request, run, settings=Settings(workspace=folder))
    return result, run.written[0]


def report_of(written: Path) -> GraphReport:
    return GraphReport.model_validate_json((written / "graph.json").read_text())


def test_transcoders_that_are_the_mlps_leave_no_error(made: tuple[AttributionGraphResult, Path, Path]) -> None:
    result, written, _ = made
    assert result.exact
    assert result.graph.replacement_score == pytest.approx(1.0)
    assert result.graph.completeness_score == pytest.approx(1.0)
    assert {node.kind for node in report_of(written).nodes} == {"embedding", "feature", "logit"}


def test_a_layer_without_a_dictionary_is_an_error_and_scores_fall(
    made: tuple[AttributionGraphResult, Path, Path],
) -> None:
    result, written = drawn(made[2], ["layer-1"])
    assert result.graph.replacement_score < 1
    assert result.graph.completeness_score < 1
    assert any(node.kind == "error" for node in report_of(written).nodes)


def test_latents_beyond_the_limit_are_part_of_errors_and_said(made: tuple[AttributionGraphResult, Path, Path]) -> None:
    result, written = drawn(made[2], ["layer-0", "layer-1"], max_features=1)
    assert sum(node.kind == "feature" for node in report_of(written).nodes) <= 1
    assert result.graph.completeness_score < 1
    assert any("part of the error nodes" in warning for warning in result.warnings)


def test_the_exchanged_graph_fits_the_schema_and_the_rules_of_its_readers(
    made: tuple[AttributionGraphResult, Path, Path],
) -> None:
    report = report_of(made[1])
    found = json.loads((made[1] / "neuronpedia.json").read_text())
    jsonschema.validate(found, EXCHANGED)
    ids = [node["node_id"] for node in found["nodes"]]
    assert len(set(ids)) == len(ids)
    assert all(link["source"] in ids and link["target"] in ids for link in found["links"])
    logits = [node for node in found["nodes"] if node["feature_type"] == "logit"]
    assert logits
    assert all("(p=0." in node["clerp"] or "(p=1." in node["clerp"] for node in logits)
    assert all(node["layer"] == str(report.model.n_layers + 1) for node in logits)
    assert {node["layer"] for node in found["nodes"] if node["feature_type"] == "embedding"} == {"E"}
    assert all(0 <= node["ctx_idx"] < len(found["metadata"]["prompt_tokens"]) for node in found["nodes"])
    for node, own in zip(found["nodes"], report.nodes, strict=True):
        if own.kind == "feature":
            w = int(((8 * node["feature"] + 1) ** 0.5 - 1) // 2)
            index = node["feature"] - w * (w + 1) // 2
            assert (w - index, index) == (own.layer, own.index)
    jsonschema_refuses = {**found, "nodes": [{**found["nodes"][0], "feature_type": "latent"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(jsonschema_refuses, EXCHANGED)


def test_graphml_is_well_formed_with_every_node_and_edge(made: tuple[AttributionGraphResult, Path, Path]) -> None:
    report = report_of(made[1])
    hostile = report.model_copy(
        update={"nodes": tuple(n.model_copy(update={"label": '<b>&"\x00'}) for n in report.nodes)}
    )
    root = ElementTree.fromstring(graphml(hostile))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(root.findall(f".//{space}node")) == len(report.nodes)
    assert len(root.findall(f".//{space}edge")) == len(report.edges)


def test_the_viewer_is_one_file_that_loads_nothing_and_runs_no_text_of_a_model(
    made: tuple[AttributionGraphResult, Path, Path],
) -> None:
    report = report_of(made[1])
    hostile = "</script><img src=x onerror=alert(1)>"
    page = render_graph(
        report.model_copy(
            update={
                "prompt": hostile,
                "tokens": (hostile,) * len(report.tokens),
                "nodes": tuple(node.model_copy(update={"label": hostile}) for node in report.nodes),
            }
        )
    )
    assert "<img" not in page
    assert page.count("<script") == 1
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "default-src 'none'" in page
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))


def test_paths_end_at_the_likeliest_token_and_their_shares_fall(
    made: tuple[AttributionGraphResult, Path, Path],
) -> None:
    report = report_of(made[1])
    summary = summary_of(report, n_paths=5)
    kinds = {node.id: node.kind for node in report.nodes}
    best = next(node.id for node in report.nodes if node.kind == "logit")
    assert summary.paths
    assert all(path.nodes[-1] == best and kinds[path.nodes[0]] == "embedding" for path in summary.paths)
    assert [path.share for path in summary.paths] == sorted((path.share for path in summary.paths), reverse=True)
    assert len(made[0].model_dump_json()) < 20_000


def test_two_dictionaries_of_one_place_are_refused(made: tuple[AttributionGraphResult, Path, Path]) -> None:
    source = made[2] / "layer-0"
    copy = made[2] / "again"
    copy.mkdir(exist_ok=True)
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ImpossibleCircuit):
        drawn(made[2], ["layer-0", "again"], n_logits=2)


def place(reads: str, writes: str) -> Placed:
    none = torch.zeros(1, 1)
    ends = Address.parse(reads), Address.parse(writes)
    return Placed("any", *ends, encode=lambda rows: rows, reading=none, writing=none, constant=none[0])


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        ([place("attn_out.1", "attn_out.1"), place("mlp_out.1", "mlp_out.1")], "same layer"),
        ([place("resid_pre.0", "resid_pre.0")], "nothing comes before"),
    ],
)
def test_dictionaries_whose_nodes_could_not_be_told_apart_are_refused(
    load_tiny: Any, placed: list[Placed], said: str
) -> None:
    loaded = load_tiny("gpt2")
    (prompt,) = tokenize(loaded, {"one": "some words here"})
    with pytest.raises(ImpossibleCircuit, match=said):
        freeze(loaded, prompt, placed)
