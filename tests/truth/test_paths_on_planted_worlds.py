"""Paths in models whose wiring is planted: true edges are found and hold, false ones do not, echoes are told apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from interp_lab.contracts.path_report import PathReport
from interp_lab.contracts.trace_paths import PathsResult, TracePathsRequest
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.errors import DiscoveryRowsReused, InvalidRequest, MalformedPath
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.trace_paths import trace_paths
from interp_lab.workflows.tracing import claims as claims_module
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.validate_paths import validate_paths
from interp_lab.worlds.base import make_base
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import model_files, write_world
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from tests.unit.reports.test_html_report import agrees, looked_up

DECOYS = ("inert", "confounded", "redundant", "suppressor", "echo", "impostor")
BASES = ("tiny-gpt2", "tiny-llama")


class World(NamedTuple):
    """A world on disk and its truth."""

    folder: Path
    truth: PlantedTruth

    def units(self, keep: Callable[[str, int], bool]) -> list[dict[str, Any]]:
        """Planted directions as units, by role name and layer."""
        rows = [(f, int(f.address.partition(".")[2])) for f in self.truth.features]
        return [
            {"address": f.address, "direction": f.direction, "name": f.name} for f, layer in rows if keep(f.name, layer)
        ]

    def layer(self, name: str) -> int:
        """The layer at which a direction is complete."""
        return next(int(f.address.partition(".")[2]) for f in self.truth.features if f.name == name)


Worlds = Callable[[int], World]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    made: dict[int, World] = {}

    def get(seed: int) -> World:
        if seed not in made:
            world = make_world("planted", seed, base=BASES[seed % 2], decoys=DECOYS, prompts=64, confounding=0.5)
            folder = tmp_path_factory.mktemp("world") / "world"
            write_world(world, folder)
            assert isinstance(world.truth, PlantedTruth)
            made[seed] = World(folder, world.truth)
        return made[seed]

    return get


def common(world: World, **options: Any) -> dict[str, Any]:
    return {
        "model": "model",
        "criterion": "the planted trigger",
        "dataset": {"path": "prompts.jsonl"},
        "target_tokens": world.truth.targets,
        "alternative_tokens": world.truth.alternatives,
        "dry_run": False,
        **options,
    }


def trace(world: World, out: Path, **options: Any) -> tuple[PathsResult, Path]:
    request = TracePathsRequest(**common(world, **options))
    with LocalRun(out, workspace=world.folder) as run:
        result = trace_paths(request, run, settings=Settings(workspace=world.folder), suggest=Suggest())
    return result, run.written[0]


def validate(world: World, out: Path, **options: Any) -> tuple[PathsResult, Path]:
    request = ValidatePathsRequest(**common(world, **options))
    with LocalRun(out, workspace=world.folder) as run:
        result = validate_paths(request, run, settings=Settings(workspace=world.folder), suggest=Suggest())
    return result, run.written[0]


def pairs_of(result: PathsResult, *statuses: str) -> set[tuple[str, str]]:
    return {(path.source, path.target) for path in result.paths if path.status in statuses}


def true_edges(world: World, sources: Iterable[str]) -> set[tuple[str, str]]:
    """Planted edges that one ablation shows: of a redundant pair, neither member does."""
    redundant = {member for group in world.truth.redundant for member in group.members}
    return {(e.source, e.target) for e in world.truth.edges if e.planted and e.source in set(sources) - redundant}


@pytest.mark.parametrize("seed", [2, 3])
def test_planted_paths_are_found_and_hold_and_no_other(worlds: Worlds, tmp_path: Path, seed: int) -> None:
    world = worlds(seed)
    early = world.layer("cause")
    sources = world.units(lambda _, layer: layer == early)
    targets = world.units(lambda _, layer: layer > early)
    names = [unit["name"] for unit in sources]
    result, folder = trace(world, tmp_path / "t", sources=sources, targets=targets, top_k=50)
    found = {pair for pair in pairs_of(result, "candidate") if pair[1] != "output"}
    assert found == true_edges(world, names)
    held, _ = validate(world, tmp_path / "v", pairs=["=".join(pair) for pair in sorted(found)], units=sources + targets)
    assert pairs_of(held, "validated") == found
    report = PathReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    for card in report.paths:
        if (card.source.key, card.target.key) in found:
            assert card.explore is not None
            assert abs(card.explore.passed_along) < 1e-4 * abs(card.explore.mediated)
            assert all(control.size < 0.1 * abs(card.explore.mediated) for control in card.explore.controls)


def test_false_claims_do_not_hold(worlds: Worlds, tmp_path: Path) -> None:
    """The negative twin: pairs that correlate as well as the true ones, and lead nowhere."""
    world = worlds(2)
    claims = ["inert=cause_relay", "impostor=cause_relay", "cause=suppressor_relay", "redundant_a=redundant_relay"]
    result, folder = validate(
        world, tmp_path / "v", pairs=[*claims, "inert=output"], units=world.units(lambda *_: True)
    )
    assert not pairs_of(result, "validated", "suggestive")
    assert {path.grade for path in result.paths} == {"weak"}
    edges = json.loads((folder / "graph.json").read_text(encoding="utf-8"))["edges"]
    assert [edge["validation"]["status"] for edge in edges] == [path.status for path in result.paths]


def test_an_echo_has_a_total_effect_and_no_direct_one(worlds: Worlds, tmp_path: Path) -> None:
    """The trigger reaches the echo through the cause only: with the cause held, nothing arrives."""
    world = worlds(2)
    sources = world.units(lambda name, _: name == "trigger")
    targets = world.units(lambda name, _: name in {"echo", "cause_relay", "cause", "suppressor_relay"})
    held = world.units(lambda name, _: name == "cause")
    result, _ = trace(
        world, tmp_path / "t", sources=sources, targets=targets, hold_units=held, behaviour=False, top_k=10
    )
    by_target = {path.target: path for path in result.paths}
    for name in ("echo", "cause_relay"):
        path = by_target[name]
        assert path.mediated is not None
        assert path.direct is not None
        assert path.status == "candidate"
        assert abs(path.direct) < 0.05 * abs(path.mediated)
    other = by_target["suppressor_relay"]
    assert other.mediated is not None
    assert other.direct is not None
    assert other.direct == pytest.approx(other.mediated, rel=0.05), "what does not go through the cause stays"


def test_random_weights_have_no_path_beyond_random_sources(worlds: Worlds, tmp_path: Path) -> None:
    """A model before anything was planted; a direction that the stream hands on is called what it is."""
    planted = worlds(2)
    base = make_base("tiny-gpt2", 2)
    folder = tmp_path / "random"
    for name, data in model_files("model", base.model, base.vocabulary.tokenizer).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "prompts.jsonl").write_bytes((planted.folder / "prompts.jsonl").read_bytes())
    world = World(folder, planted.truth)
    sources = [{"address": "resid_post.0", "index": i} for i in range(12)]
    targets = [{"address": f"resid_post.{layer}", "index": i} for layer in (1, 3) for i in range(12)]
    result, artifact = trace(world, tmp_path / "t", sources=sources, targets=targets, top_k=50, n_controls=4)
    assert not pairs_of(result, "candidate"), "of 300 pairs, at a false discovery rate of 5 %"
    report = PathReport.model_validate_json((artifact / "report.json").read_text(encoding="utf-8"))
    assert report.n_searched == 12 * 25
    same = [
        c for c in report.paths if c.target.key.startswith("resid_post.1") and c.source.key[-3:] == c.target.key[-3:]
    ]
    assert {card.status for card in same} <= {"passes_along", "like_controls"}


def test_prompts_that_found_a_path_never_grade_it(
    worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds(2)
    sources = world.units(lambda name, _: name == "cause")
    targets = world.units(lambda name, _: name == "cause_relay")
    _, folder = trace(world, tmp_path / "t", sources=sources, targets=targets)
    report = PathReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(claims_module, "read_report", lambda *_: report)
    held, validated = validate(world, tmp_path / "v", trace="0" * 64)
    assert pairs_of(held, "validated") == {("cause", "cause_relay"), ("cause", "output")}
    again = PathReport.model_validate_json((validated / "report.json").read_text(encoding="utf-8"))
    for card in again.paths:
        assert card.explore is not None
        assert card.confirm is not None
        assert card.explore.part == "explore"
    with pytest.raises(DiscoveryRowsReused) as refused:
        validate(world, tmp_path / "w", trace="0" * 64, seed=1)
    assert "seed 0" in refused.value.remedy
    with pytest.raises(InvalidRequest, match="criterion"):
        validate(world, tmp_path / "x", trace="0" * 64, criterion="something else")


def test_records_are_claims_of_imported_origin(worlds: Worlds, tmp_path: Path) -> None:
    world = worlds(2)
    units = {u["name"]: u for u in world.units(lambda name, _: name in {"cause", "cause_relay"})}
    _, folder = trace(world, tmp_path / "t", sources=[units["cause"]], targets=[units["cause_relay"]], behaviour=False)
    lines = (folder / "paths.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["schema_version"] for row in rows} == {"interp-lab.path_patch.v1"}
    assert {row["metadata"].get("control_type") for row in rows} == {None, "random_source"}
    (world.folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    held, _ = validate(world, tmp_path / "v", records="records.jsonl")
    (path,) = held.paths
    assert path.status == "validated"
    assert "discovery_imported" in path.reasons
    turned = [{**row, "target_activation_delta": -row["target_activation_delta"]} for row in rows]
    (world.folder / "turned.jsonl").write_text("\n".join(map(json.dumps, turned)) + "\n", encoding="utf-8")
    reversed_, _ = validate(world, tmp_path / "w", records="turned.jsonl")
    assert [p.status for p in reversed_.paths] == ["sign_reversed"]
    with pytest.raises(DiscoveryRowsReused, match="records"):
        validate(world, tmp_path / "x", records="records.jsonl", seed=1)
    (world.folder / "broken.jsonl").write_text('{"prompt_id": "1"}\n', encoding="utf-8")
    with pytest.raises(MalformedPath, match="line 1"):
        validate(world, tmp_path / "y", records="broken.jsonl")


def test_a_traced_report_reads_in_every_form(worlds: Worlds, tmp_path: Path) -> None:
    world = worlds(3)
    sources = world.units(lambda name, _: name in {"cause", "inert"})
    result, folder = trace(world, tmp_path / "t", sources=sources, hold=["attention", "norms"])
    assert len(result.model_dump_json()) < 4000
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    page, values = (
        ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>")),
        json.loads((folder / "report.json").read_text(encoding="utf-8")),
    )
    marked = [e for e in page.iter() if e.get("data-at")]
    assert len(marked) > 20
    assert all(agrees("".join(e.itertext()), looked_up(values, e.get("data-at") or "")) for e in marked)
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# Traced paths")
    assert {p.target for p in result.paths} == {"output"}
    assert all(p.direct is not None for p in result.paths)


def test_a_plan_never_says_fewer_runs_than_are_made(tmp_path: Path) -> None:
    rows = [{"text": f"{word} {end}", "score": score} for word in ("the", "one", "it", "was") * 5
            for end, score in (("cat", 1), ("dog", 0))]  # fmt: skip
    asked = {
        "model": "builtin:pocket-gpt2",
        "criterion": "ends in cat",
        "dataset": {"kind": "inline", "prompts": [{**r, "text": f"{i} {r['text']}"} for i, r in enumerate(rows)]},
        "sources": [{"address": "resid_post.0", "index": 3}],
        "targets": [{"address": "resid_post.1", "index": 4}],
        "target_tokens": [" and"],
        "alternative_tokens": [" the"],
        "n_controls": 2,
        "scales": [-1.0],
    }
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        planned = dispatch(lab, "trace_paths", asked).plan  # type: ignore[union-attr]
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        request = TracePathsRequest.model_validate({**asked, "dry_run": False})
        result = trace_paths(request, run, settings=Settings(workspace=tmp_path), suggest=Suggest())
    assert planned is not None
    assert 0 < result.n_runs <= planned["n_passes"]  # type: ignore[operator]
