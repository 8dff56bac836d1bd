"""Units of two models: a model whose coordinates were shuffled has every unit of the original; a stranger has none."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_lab.contracts.compare import CompareRequest, ComparisonReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.compare import compare
from interp_lab.workflows.comparing import components
from interp_lab.workflows.intervene import intervene
from interp_lab_tools.compare import _next

PLACE = "resid_post.1"
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")
Load = Callable[[str], Any]


def shuffled(loaded: Any, folder: Path) -> list[int]:
    """Write a GPT-2 whose residual coordinates are those of another in a new order; return old place by new place."""
    model = loaded.model
    width = loaded.facts.d_model
    order = torch.randperm(width, generator=torch.Generator().manual_seed(5))
    shutil.copytree(loaded.source.directory, folder)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith(("wte.weight", "wpe.weight", "lm_head.weight", "c_proj.weight")):
            state[name] = tensor[:, order]
        elif ".ln_" in name or "ln_f" in name or name.endswith(("c_attn.weight", "c_fc.weight", "c_proj.bias")):
            state[name] = tensor[order]
    twin = type(model)(model.config)
    twin.load_state_dict(state)
    twin.save_pretrained(folder)
    return order.tolist()


def prompts(n_pairs: int) -> list[dict[str, Any]]:
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=6)) for _ in range(n_pairs)]
    return [{"text": f"{s} {end}", "score": score} for s in stems for end, score in (("cat", 1), ("dog", 0))]


def report_of(settings: Settings, out: Path, left: Any, right: Any, **options: Any) -> ComparisonReport:
    request = CompareRequest.model_validate(
        {
            "left": {"model": left, "addresses": [PLACE]} if isinstance(left, str) else left,
            "right": {"model": right, "addresses": [PLACE]} if isinstance(right, str) else right,
            "criterion": "ends in cat",
            "dataset": {"kind": "inline", "prompts": prompts(60)},
            "pooling": "last",
            "n_units": 8,
            "n_permutations": 199,
            **options,
        }
    )
    with LocalRun(out, workspace=settings.workspace) as run:
        compare(request, run, settings=settings, suggest=lambda _: ())
    return ComparisonReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def pair(load_tiny: Load, tmp_path: Path) -> tuple[Settings, list[int], Any]:
    loaded = load_tiny("gpt2")
    shutil.copytree(loaded.source.directory, tmp_path / "left")
    order = shuffled(loaded, tmp_path / "right")
    return Settings(workspace=tmp_path), order, loaded


def test_every_unit_of_a_shuffled_model_is_found_where_it_went(pair: Any, tmp_path: Path) -> None:
    settings, order, _ = pair
    report = report_of(settings, tmp_path / "out", "left", "right")
    matched = [match for match in report.matches if match.kind == "one_to_one"]
    assert len(matched) == 8
    for match in matched:
        assert order[match.right.index] == match.left.index
        assert match.similarity == pytest.approx(1, abs=1e-3)
        assert match.grade == "needs_causal_evidence"
        assert match.q_value <= 0.05
        assert match.promoted_overlap == 1.0
        assert match.direction_cosine is None or match.direction_cosine > 0.9
    assert report.unmatched == ()
    assert "Alike is not the same mechanism" in report.headline


def test_a_stranger_has_no_counterpart(pair: Any, tmp_path: Path) -> None:
    settings, _, loaded = pair
    torch.manual_seed(77)
    stranger = type(loaded.model)(loaded.model.config)
    with torch.no_grad():
        for parameter in stranger.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    shutil.copytree(tmp_path / "left", tmp_path / "stranger")
    stranger.save_pretrained(tmp_path / "stranger")
    report = report_of(settings, tmp_path / "out", "left", "stranger")
    assert sum(match.grade == "needs_causal_evidence" for match in report.matches) <= 1
    assert all(match.grade != "validated" for match in report.matches)
    assert report.unmatched


def test_a_model_is_not_compared_with_itself_at_the_same_place(pair: Any, tmp_path: Path) -> None:
    settings, _, _ = pair
    shutil.copytree(tmp_path / "left", tmp_path / "again")
    with pytest.raises(InvalidRequest, match="its own counterpart"):
        report_of(settings, tmp_path / "out", "left", "again")


def test_a_model_in_8_bits_is_another_version_in_which_every_unit_is_where_it_was(pair: Any, tmp_path: Path) -> None:
    settings, _, _ = pair
    left, right = ({"model": {"id": "left", "dtype": d}, "addresses": [PLACE]} for d in ("float32", "int8"))
    report = report_of(settings, tmp_path / "out", left, right)
    assert (report.left.dtype, report.right.dtype) == ("float32", "int8 weights, float32")
    own = [match for match in report.matches if match.kind == "one_to_one"]
    assert sum(match.left.index == match.right.index for match in own) >= len(own) - 1
    assert all(match.grade == "needs_causal_evidence" for match in own if match.left.index == match.right.index)


def test_what_is_missing_is_left_out_and_said_and_the_page_shows_hostile_names_as_text(
    pair: Any, tmp_path: Path
) -> None:
    settings, _, _ = pair
    out = tmp_path / "out"
    report = report_of(settings, out, "left", "right", criterion="<script>alert(1)</script>")
    assert all("effect" in match.left_out for match in report.matches)
    folder = next(out.rglob("report.html")).parent
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["matches"]
    assert (folder / "report.md").read_text(encoding="utf-8").count("| needs") >= 8


def intervened(settings: Settings, out: Path, model: str, index: int, targets: tuple[str, str]) -> InterveneReport:
    request = InterveneRequest.model_validate(
        {
            "model": model,
            "criterion": "ends in cat",
            "dataset": {"kind": "inline", "prompts": prompts(60)},
            "units": [{"address": PLACE, "index": index}],
            "edits": ["ablate_zero"],
            "targets": [targets[0]],
            "alternatives": [targets[1]],
            "pooling": "last",
            "n_controls": 1,
            "dry_run": False,
        }
    )
    with LocalRun(out, workspace=settings.workspace) as run:
        intervene(request, run, settings=settings, suggest=lambda _: ())
    return InterveneReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("same", [True, False], ids=["same targets", "other targets"])
def test_effects_are_compared_only_where_both_sides_measured_the_same_behaviour(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    settings, order, _ = pair
    first = report_of(settings, tmp_path / "first", "left", "right").matches[0]
    words = ("cat", "sat"), ("cat", "sat") if same else ("it", "was")
    reports = {
        key: intervened(settings, tmp_path / key, name, unit.index, some)
        for key, name, unit, some in (
            ("a" * 64, "left", first.left, words[0]),
            ("b" * 64, "right", first.right, words[1]),
        )
    }
    monkeypatch.setattr(components, "_report", lambda artifact, _: reports[artifact])
    sides = {
        name: {"model": name, "addresses": [PLACE], "interventions": [key]}
        for name, key in (("left", "a" * 64), ("right", "b" * 64))
    }
    report = report_of(settings, tmp_path / "second", **sides)
    match = next(m for m in report.matches if m.left.index == first.left.index and m.kind == "one_to_one")
    assert match.left.effect is not None
    assert match.right.effect is not None
    assert ("effect" in match.left_out) is not same
    assert any("different behaviours" in caveat for caveat in report.caveats) is not same
    if same:
        assert match.left.effect == pytest.approx(match.right.effect, rel=1e-3, abs=1e-5)
    else:
        assert match.effect_agrees is None
        assert match.grade == "needs_causal_evidence"
    assert order[match.right.index] == match.left.index


def test_what_is_offered_next_is_to_intervene_on_both_sides(pair: Any, tmp_path: Path) -> None:
    settings, _, _ = pair
    report = report_of(settings, tmp_path / "out", "left", "right")
    rows = "\n".join(json.dumps(row) for row in prompts(60))
    (tmp_path / "p.jsonl").write_text(rows, encoding="utf-8")
    asked = CompareRequest(left="left", right="right", criterion="ends in cat", dataset="p.jsonl")  # type: ignore[arg-type]
    actions = list(_next(asked, report))
    assert [(action.tool, action.arguments["model"]) for action in actions] == [
        ("intervene", "left"),
        ("intervene", "right"),
    ]


def by_effects(settings: Settings, out: Path, right: str, **options: Any) -> ComparisonReport:
    few = {"n_units": 5, "by": "effects", "n_controls": 10, "n_transfers": 1, **options}
    return report_of(settings, out, "left", right, **few)


def test_what_units_do_finds_every_unit_of_a_shuffled_model_and_a_direction_carried_there_does_the_same(
    pair: Any, tmp_path: Path
) -> None:
    settings, order, _ = pair
    report = by_effects(settings, tmp_path / "out", "right")
    matched = [match for match in report.matches if match.kind == "one_to_one"]
    assert [order[match.right.index] for match in matched] == [match.left.index for match in matched]
    for match in matched:
        assert match.similarity == pytest.approx(1, abs=1e-3)
        assert match.responses == pytest.approx(1, abs=1e-3)
        assert match.left.effect == pytest.approx(match.right.effect, rel=1e-2, abs=1e-4)
        assert match.q_value <= 0.05
        assert match.grade != "validated"  # coordinates move negatives as much as positives
    (carried,) = [match.transfer for match in report.matches if match.transfer is not None]
    assert carried.similarity > 0.9 > carried.closest_control
    assert carried.p_value <= 0.05
    assert report.n_words is not None
    assert "taken away" in report.headline


def test_nothing_that_a_stranger_does_is_validated(pair: Any, tmp_path: Path) -> None:
    settings, _, loaded = pair
    torch.manual_seed(77)
    stranger = type(loaded.model)(loaded.model.config)
    with torch.no_grad():
        for parameter in stranger.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    shutil.copytree(tmp_path / "left", tmp_path / "stranger")
    stranger.save_pretrained(tmp_path / "stranger")
    report = by_effects(settings, tmp_path / "out", "stranger", n_transfers=0)
    assert not [match for match in report.matches if match.grade == "validated"]
