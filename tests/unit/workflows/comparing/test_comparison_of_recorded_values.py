"""Compare over stores, records, reports and match files: pairs go together by text, and what a side lacks is said."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from interp_lab.bridges import peer_matches
from interp_lab.contracts.compare import CompareRequest, ComparisonReport, Transfer
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.store import CodeColumn, DenseColumn, StoredModel, StoreHeader
from interp_lab.errors import DifferentAnchors, DiscoveryRowsReused, InvalidMatches
from interp_lab.jobs.run import LocalRun
from interp_lab.points import Address
from interp_lab.reports.comparison import render_comparison, render_comparison_markdown
from interp_lab.settings import Settings
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.compare import compare
from interp_lab.workflows.comparing import described as described_module
from interp_lab.workflows.comparing import match_file
from interp_lab.workflows.comparing import named as named_module
from interp_lab.workflows.comparing import words as words_module
from interp_lab.workflows.inspect import inspect
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.lab import Lab

N, WIDTH, SHARED = 160, 24, 6
"""Prompts, units of a side, and units that both sides have."""
WORDS = ["river", "stone", "cloud", "paper", "glass", "copper", "garden", "winter", "signal", "market", "engine"]
ORDER = [int(i) for i in np.random.default_rng(11).permutation(N)]
"""In which order the right side has the prompts."""
LABELS = np.arange(N) % 2 == 0


def texts() -> list[str]:
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, 6)) + f" number {i}x" for i in range(N)]


def values(seed: int, *, shared: bool = True) -> NDArray[np.float32]:
    """Responses of one side: the first units follow the label, each with a pattern of its own that both sides have."""
    common = np.random.default_rng(1 if shared else 1000 + seed).normal(size=(N, SHARED))
    rng = np.random.default_rng(seed)
    out = np.maximum(0, rng.normal(size=(N, WIDTH)))
    out[:, :SHARED] = np.maximum(0, 2 + 1.5 * LABELS[:, None] + common + 0.3 * rng.normal(size=(N, SHARED)))
    return out.astype(np.float32)


def write_store(folder: Path, own: NDArray[np.float32], *, model: str, codes: bool) -> None:
    """Write a store with one row per prompt, prompts in the order given."""
    address = Address.parse("resid_post.1")
    dense = DenseColumn(address=address, width=WIDTH)
    column = CodeColumn(address=address, dictionary="sae", width=WIDTH, dictionary_id="d" * 64) if codes else dense
    row, unit = np.nonzero(own)
    counts = np.bincount(row, minlength=N)
    block = CodeBlock(np.concatenate([[0], np.cumsum(counts)]), unit.astype(np.int32), own[row, unit])
    rows: dict[str, Any] = {"prompt": np.arange(N), "position": np.zeros(N, int), "token": ["t"] * N}
    with StoreWriter(folder, StoreHeader(model=StoredModel(id=model), columns=(column,))) as writer:
        writer.add(RowBlock({**rows, "special": [False] * N}, {column.key: block if codes else own}))
        prompts = {"id": [f"p{i}" for i in range(N)], "text": texts(), "group": list(range(N))}
        writer.finish({**prompts, "score": [float(label) for label in LABELS]})


def write_records(path: Path, own: NDArray[np.float32], *, model: str, order: list[int]) -> None:
    """Write activation records, prompts in this order; unit u is called L2:D(10 u)."""
    every = texts()
    lines = [
        {
            "model": model,
            "prompt_id": f"other {i}",
            "text": every[i],
            "criterion_score": float(LABELS[i]),
            "features": [{"feature_id": f"L2:D{10 * u}", "activation": float(own[i, u])} for u in range(own.shape[1])],
        }
        for i in order
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def run_compare(folder: Path, **asked: Any) -> tuple[ComparisonReport, Path]:
    request = CompareRequest.model_validate(
        {"criterion": "a shared thing", "n_permutations": 199, "n_units": 6} | asked
    )
    run = LocalRun(folder / "out")
    compare(request, run, settings=Settings(workspace=folder), suggest=lambda _: ())
    done = run.written[-1]
    return ComparisonReport.model_validate_json((done / "report.json").read_text(encoding="utf-8")), done


SIDES = {
    "left": {"model": "one", "evidence": "store:one"},
    "right": {"model": "two", "evidence": "records:two.jsonl"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_store(tmp_path / "one", values(2), model="one", codes=True)
    write_records(tmp_path / "two.jsonl", values(3), model="two", order=ORDER)
    return tmp_path


def test_units_of_a_store_are_found_among_records_whose_prompts_stand_in_another_order(folder: Path) -> None:
    report, _ = run_compare(folder, **SIDES)
    found = [match for match in report.matches if match.grade == "needs_causal_evidence"]
    assert {(m.left.index, m.right.index) for m in found if m.kind == "one_to_one"} == {(u, 10 * u) for u in range(6)}
    assert all(m.left.address == "resid_post.1/sae" and m.right.address == "resid_pre.2" for m in found)
    assert report.left.source is not None
    assert all(set(m.left_out) == {"direction", "promoted_tokens", "explanation", "effect"} for m in report.matches)


def test_patterns_that_have_nothing_in_common_are_not_matched_and_the_headline_names_what_was_tried(
    folder: Path,
) -> None:
    write_records(folder / "two.jsonl", values(3, shared=False), model="two", order=ORDER)
    report, _ = run_compare(folder, **SIDES)
    assert not [match for match in report.matches if match.grade != "weak"]
    assert report.headline.startswith(f"None of {len(report.matches)} tested pairs of one and two")
    assert "(6 units of resid_post.1/sae with 6 units of resid_pre.2)" in report.headline


def test_dense_stores_carry_directions_through_a_fitted_map(tmp_path: Path) -> None:
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    own = np.random.default_rng(3).normal(size=(N, 4)) @ np.random.default_rng(4).normal(size=(4, WIDTH))
    own = (own + LABELS[:, None] * np.linspace(1, 3, WIDTH)).astype(np.float32)
    write_store(tmp_path / "one", own, model="one", codes=False)
    write_store(tmp_path / "two", own @ turned, model="two", codes=False)
    sides = {name: {"model": name, "evidence": f"store:{name}"} for name in ("one", "two")}
    report, _ = run_compare(tmp_path, left=sides["one"], right=sides["two"])
    (place,) = report.maps
    assert place.held_out_r2 > 0.95
    assert any(match.direction_cosine is not None for match in report.matches)


def test_a_side_with_too_few_units_for_any_match_says_so(folder: Path) -> None:
    write_records(folder / "two.jsonl", values(3)[:, :SHARED], model="two", order=ORDER)
    report, _ = run_compare(folder, **SIDES)
    assert all(match.grade == "weak" for match in report.matches)
    assert any("only 6 units" in caveat for caveat in report.caveats)


def test_a_prompt_that_a_side_lacks_is_refused_before_anything_is_compared(folder: Path) -> None:
    write_records(folder / "two.jsonl", values(3), model="two", order=ORDER[:-3])
    with pytest.raises(DifferentAnchors, match="157 of the 160"):
        run_compare(folder, **SIDES)


def test_a_match_file_that_was_written_is_read_again_and_its_pairs_are_tested(folder: Path) -> None:
    first, done = run_compare(folder, **SIDES)
    (folder / "m.json").write_bytes((done / "matches.json").read_bytes())
    again, _ = run_compare(folder, **SIDES, matches="m.json")
    pairs = {(m.left.index, m.right.index): m.similarity for m in first.matches}
    assert {(m.left.index, m.right.index): m.similarity for m in again.matches} == pairs
    assert {m.kind for m in again.matches} == {"imported"}
    assert any("not held out" in caveat for caveat in again.caveats)


def test_the_pairs_of_a_comparison_are_held_out_only_from_the_halves_that_did_not_choose_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, done = run_compare(folder, **SIDES)
    asked = CompareRequest.model_validate({"criterion": "a shared thing", **SIDES}).model_dump(mode="json")
    manifest = SimpleNamespace(kind="comparison", spec={"request": asked})

    def read_file(_: object, name: str, *, limit: int) -> bytes:
        return (done / name).read_bytes()[:limit]

    def open_it(_: str) -> SimpleNamespace:
        return manifest

    def stored(_: Settings) -> SimpleNamespace:
        return SimpleNamespace(open=open_it, read_file=read_file)

    monkeypatch.setattr(match_file, "_store", stored)
    artifact = "c" * 64
    again, _ = run_compare(folder, **SIDES, matches=artifact)
    assert {(m.left.index, m.right.index) for m in again.matches} == {
        (m.left.index, m.right.index) for m in first.matches
    }
    assert not any("not held out" in caveat for caveat in again.caveats)
    other_halves, _ = run_compare(folder, **SIDES, matches=artifact, seed=1)
    assert any("not held out" in caveat for caveat in other_halves.caveats)
    manifest.kind = "probe"
    with pytest.raises(InvalidMatches, match="is a probe"):
        run_compare(folder, **SIDES, matches=artifact)


def test_the_peers_names_find_their_units_and_wrong_pairs_stay_weak(folder: Path) -> None:
    names = [(f"SAE:L2:F{u}", f"L2:D{10 * u}") for u in range(5)]
    names += [("SAE:L2:F5", "L2:D30"), ("SAE:L9:F0", "L2:D0")]
    rows: list[dict[str, Any]] = [
        {"left_feature_id": a, "right_feature_id": b, "score": 0.9, "components": {}} for a, b in names
    ]
    told: dict[str, Any] = {
        "schema_version": peer_matches.SCHEMA,
        "left_model": "one",
        "right_model": "two",
        "matches": rows,
    }
    (folder / "m.json").write_text(json.dumps(told), encoding="utf-8")
    report, _ = run_compare(folder, **SIDES, matches="m.json")
    grades = {(m.left.index, m.right.index): m.grade for m in report.matches}
    assert grades == {**{(u, 10 * u): "needs_causal_evidence" for u in range(5)}, (5, 30): "weak"}
    assert any("SAE:L9:F0" in caveat and "1 pairs" in caveat for caveat in report.caveats)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"matches": []}, "no matches"),
        ({"matches": [{"left_feature_id": "a"}]}, "names no pair"),
        ({"matches": [{"left_feature_id": "a", "right_feature_id": "b"}], "left_model": "x"}, "about 'x'"),
        ({"schema_version": "other", "matches": []}, "other"),
        ({"matches": [{"left_feature_id": "SAE:L9:F0", "right_feature_id": "L9:D1"}]}, "both its units"),
    ],
)
def test_a_match_file_that_cannot_be_tested_is_refused(folder: Path, told: dict[str, Any], problem: str) -> None:
    (folder / "m.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InvalidMatches, match=problem):
        run_compare(folder, **SIDES, matches="m.json")


def test_what_is_absent_is_neither_zero_nor_half_in_the_exported_score() -> None:
    match = peer_matches.PeerMatch("a", "b", {}, {}, activation=0.5, decoder=None, text=None, labels=("", ""))
    (row,) = peer_matches.match_report("one", "two", "now", [match])["matches"]
    assert row["score"] == row["components"]["activation"] == 0.75
    assert {"decoder_absent", "text_absent", "causal_absent"} <= set(row["components"])
    assert "decoder" not in row["components"]


def test_the_exported_pairs_have_the_effects_that_were_compared_and_no_others(folder: Path) -> None:
    report, _ = run_compare(folder, **SIDES)
    first = report.matches[0]
    ends = {side: getattr(first, side).model_copy(update={"effect": 0.4}) for side in ("left", "right")}
    turned = first.model_copy(update={**ends, "effect_agrees": False, "similarity": -0.5})
    compared = report.model_copy(update={"matches": (turned, first)})
    one, two = named_module.peer_matches(compared)["matches"]
    assert (one["left_signed_effect"], one["right_signed_effect"]) == (0.4, -0.4)
    assert one["components"]["signed_effect_provenance_intervention"] == 1.0
    assert (two["left_signed_effect"], two["right_signed_effect"]) == (None, None)
    by_effects = named_module.peer_matches(compared.model_copy(update={"by": "effects"}))["matches"][0]
    assert by_effects["left_signed_effect"] is None
    assert "signed_effect_provenance_intervention" not in by_effects["components"]


def inspected(folder: Path, **asked: Any) -> InspectReport:
    request = InspectRequest.model_validate({"criterion": "a shared thing", "top_k": 3, **asked})
    run = LocalRun(folder / "inspected")
    inspect(request, run, settings=Settings(workspace=folder), suggest=lambda _: ())
    return InspectReport.model_validate_json((run.written[-1] / "report.json").read_text(encoding="utf-8"))


def test_the_units_of_a_report_are_the_ones_compared_and_other_halves_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = inspected(folder, **SIDES["left"])

    def read(*_: object) -> tuple[InspectReport, tuple[str, ...]]:
        return report, ()

    monkeypatch.setattr(described_module, "_read", read)
    left = {**SIDES["left"], "report": "a" * 64}
    found, _ = run_compare(folder, left=left, right=SIDES["right"])
    assert {m.left.index for m in found.matches} == {card.index for card in report.coordinates}
    assert len({m.left.index for m in found.matches}) == 3
    with pytest.raises(DiscoveryRowsReused, match="seed 0"):
        run_compare(folder, left=left, right=SIDES["right"], seed=1)


def test_words_said_of_both_units_are_compared_and_words_of_one_are_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_store(folder / "two", values(3), model="two", codes=True)
    said = {0: "names of rivers", 1: "copper and glass"}
    records = [
        ExplanationRecord(
            id=f"{unit:016x}", feature=f"resid_post.1/sae#{unit}", unit=unit, dictionaries=("d" * 64,), text=text,
            provenance="asserted", source="agent",
        )
        for unit, text in said.items()
    ]  # fmt: skip

    def known(*_: object) -> tuple[ExplanationRecord, ...]:
        return tuple(records)

    monkeypatch.setattr(words_module, "_records", known)
    sides = {name: {"model": name, "evidence": f"store:{name}", "explanations": ["e" * 64]} for name in ("one", "two")}
    report, _ = run_compare(folder, left=sides["one"], right=sides["two"])
    by_unit = {(m.left.index, m.right.index): m for m in report.matches}
    assert by_unit[0, 0].explanation_cosine == pytest.approx(1)
    assert "explanation" not in by_unit[0, 0].left_out
    assert by_unit[2, 2].explanation_cosine is None
    assert "explanation" in by_unit[2, 2].left_out


def test_the_page_and_the_text_show_what_became_of_a_carried_direction_and_what_was_said(folder: Path) -> None:
    report, _ = run_compare(folder, **SIDES)
    first = report.matches[0]
    carried = Transfer(
        held_out_r2=0.8,
        similarity=0.91,
        interval=(0.8, 0.95),
        p_value=0.02,
        control=0.01,
        closest_control=0.3,
        n_controls=40,
    )
    left = first.left.model_copy(update={"explanation": "rivers <b>"})
    shown = report.model_copy(
        update={
            "by": "effects",
            "n_words": 77,
            "matches": (first.model_copy(update={"left": left, "transfer": carried}),),
        }
    )
    page, text = render_comparison(shown), render_comparison_markdown(shown)
    assert 'data-at="/matches/0/transfer/similarity">0.91<' in page
    assert 'data-at="/n_words">77<' in page
    assert "rivers &lt;b&gt;" in page
    assert "r 0.910" in text
    assert "carried to the right model" not in render_comparison_markdown(report)


def test_a_plan_over_values_on_disk_checks_them_without_running_anything(folder: Path) -> None:
    capability = find("compare")
    assert isinstance(capability, JobCapability)
    with Lab.open(Settings(workspace=folder)) as lab:
        plan = capability.plan(CompareRequest.model_validate({"criterion": "a shared thing", **SIDES}), lab)
        assert "20 pairs" in plan.summary
        assert {"left", "right"} <= set(plan.inputs)
        (folder / "m.json").write_text("{}", encoding="utf-8")
        with pytest.raises(InvalidMatches):
            capability.plan(
                CompareRequest.model_validate({"criterion": "a shared thing", "matches": "m.json", **SIDES}), lab
            )
