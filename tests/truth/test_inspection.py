"""Inspect from prompts to report, on a small model: against plain Hugging Face, on planted signal, and on none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import Context, InspectReport, LayerRow
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import BuiltinDataset, ScoredPrompt
from interp_lab.jobs.run import LocalRun
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.contexts import context
from interp_lab.workflows.inspection.inputs import Inputs, model_facts, open_inputs
from interp_lab.workflows.inspection.measure import design, measure
from interp_lab.workflows.inspection.passes import Pooled, pool_prompts
from interp_lab.workflows.inspection.report import short_form, strongest_layers
from interp_lab.workflows.inspection.wording import headline
from interp_lab_tools.inspect import suggest

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "and",
    "dog",
    "ran",
    "to",
    "other",
    "house",
    "because",
    "it",
    "was",
    "raining",
    "there",
]
Inspect = Callable[..., tuple[InspectReport, Path]]


def _sentence(rng: random.Random, n_words: int = 5) -> str:
    return " ".join(rng.choices(WORDS, k=n_words))


def _cat_or_dog(n_pairs: int) -> list[dict[str, Any]]:
    """Pairs that differ in the last word only."""
    rng = random.Random(0)
    rows = []
    for i in range(n_pairs):
        start = f"{i} {_sentence(rng)}"
        rows += [
            {"text": f"{start} cat", "score": 1, "pair": str(i)},
            {"text": f"{start} dog", "score": 0, "pair": str(i)},
        ]
    return rows


def _unrelated(n: int, seed: int) -> list[dict[str, Any]]:
    """Labels that no model can know."""
    rng = random.Random(seed)
    return [{"text": f"{i} {_sentence(rng)}", "score": rng.randint(0, 1)} for i in range(n)]


def _long_or_short(n: int) -> list[dict[str, Any]]:
    rng = random.Random(3)
    return [{"text": f"{i} {_sentence(rng, 9 if i % 2 else 3)}", "score": i % 2} for i in range(n)]


def _request(model: Path, rows: list[dict[str, Any]], **options: Any) -> InspectRequest:
    prompts = [ScoredPrompt.model_validate(row) for row in rows]
    dataset = {"kind": "inline", "prompts": prompts}
    return InspectRequest.model_validate(
        {"model": model.name, "criterion": "ends in cat", "dataset": dataset, "pooling": "last", "top_k": 4, **options}
    )


@pytest.fixture
def inspect_rows(tiny_models: Callable[[str], Path], tmp_path: Path) -> Inspect:
    model = tiny_models("gpt2")

    def run(rows: list[dict[str, Any]], **options: Any) -> tuple[InspectReport, Path]:
        local = LocalRun(tmp_path / "out", workspace=model.parent)
        settings = Settings(workspace=model.parent)
        inspect(_request(model, rows, **options), local, settings=settings, suggest=lambda _: ())
        folder = local.written[0]
        return InspectReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8")), folder

    return run


@pytest.fixture(scope="module")
def pooled_once(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, Pooled]:
    """Inputs and pooled activations of prompts with meaningless labels."""
    model = tiny_models("gpt2")
    inputs = open_inputs(_request(model, _unrelated(120, seed=1)), Settings(workspace=model.parent))
    return inputs, pool_prompts(inputs, LocalRun(tmp_path_factory.mktemp("pooled")))


def _relabelled(inputs: Inputs, seed: int) -> Inputs:
    from dataclasses import replace

    rng = random.Random(seed)
    prompts = tuple(p.model_copy(update={"score": float(rng.randint(0, 1))}) for p in inputs.prompts.prompts)
    return replace(inputs, prompts=replace(inputs.prompts, prompts=prompts))


def test_what_a_random_model_does_carry_is_found_and_held_back_from_validation(inspect_rows: Inspect) -> None:
    report, _ = inspect_rows(_cat_or_dog(60))
    best = report.coordinates[0]
    assert best.grade == "needs_causal_evidence"
    assert best.confirm is not None
    assert abs(best.confirm.auroc.value - 0.5) > 0.4  # the last token differs, and the first block carries it
    assert {"association_confirmed", "no_intervention"} <= {reason.code for reason in best.reasons}
    assert "correlation only" in report.headline


@pytest.mark.guarantee("no-signal-no-finding")
def test_labels_that_no_model_can_know_are_hardly_ever_graded_above_weak(pooled_once: tuple[Inputs, Pooled]) -> None:
    inputs, pooled = pooled_once
    n_worlds = 60
    found = 0
    for seed in range(n_worlds):
        relabelled = _relabelled(inputs, seed)
        findings = measure(relabelled, pooled, design(relabelled))
        found += bool(findings.explore.q.min() <= 0.05)
    assert found <= 9  # under the null each world finds something with probability at most 0.05; P(>9 of 60) < 0.002


@pytest.mark.guarantee("confirm-is-untouched")
def test_the_choice_of_coordinates_does_not_change_with_the_prompts_that_confirm(
    pooled_once: tuple[Inputs, Pooled],
) -> None:
    inputs, pooled = pooled_once
    plan = design(inputs)
    chosen = measure(inputs, pooled, plan)
    noise = pooled.values.copy()
    noise[plan.rows("confirm")] = np.random.default_rng(0).normal(size=noise[plan.rows("confirm")].shape)
    again = measure(inputs, Pooled(noise, pooled.density, pooled.columns), plan)
    assert again.columns == chosen.columns
    assert chosen.confirm is not None
    assert again.confirm is not None
    assert not np.array_equal(again.confirm.association.auroc, chosen.confirm.association.auroc)


@pytest.mark.guarantee("groups-stay-together")
def test_both_sides_of_a_counterfactual_pair_land_in_the_same_half(
    tiny_models: Callable[[str], Path],
) -> None:
    model = tiny_models("gpt2")
    inputs = open_inputs(_request(model, _cat_or_dog(40)), Settings(workspace=model.parent))
    parts = design(inputs).split.parts
    assert parts[0::2] == parts[1::2]
    assert set(parts) == {"explore", "confirm"}


@pytest.mark.guarantee("confounds-are-flagged")
def test_a_dataset_that_length_solves_is_flagged_in_every_form_of_the_report(inspect_rows: Inspect) -> None:
    report, folder = inspect_rows(_long_or_short(120))
    assert report.audit.flagged
    assert "length" in {confound.name for confound in report.audit.confounds if confound.flagged}
    assert report.headline.startswith("No conclusion")
    assert all(card.grade in ("plausible", "weak") for card in report.coordinates)
    for name in ("report.md", "report.html"):
        assert "No conclusion" in (folder / name).read_text(encoding="utf-8")


def test_a_dataset_without_confounds_is_not_flagged(inspect_rows: Inspect) -> None:
    report, _ = inspect_rows(_unrelated(120, seed=5))
    assert not report.audit.flagged
    assert "No tested coordinate" in report.headline


def test_every_reported_auroc_equals_scikit_learns_on_plain_hidden_states(
    inspect_rows: Inspect, load_tiny: Callable[[str], Any]
) -> None:
    rows = _unrelated(80, seed=2)
    report, _ = inspect_rows(rows, addresses=["resid_post.1"], top_k=3)
    loaded = load_tiny("gpt2")
    values = []
    with torch.no_grad():
        for row in rows:
            ids = loaded.tokenizer(row["text"], return_tensors="pt").input_ids
            values.append(loaded.model(ids, output_hidden_states=True).hidden_states[2][0, -1].numpy())
    table, labels = np.stack(values), np.array([row["score"] for row in rows])
    inputs = open_inputs(_request(loaded.source.directory, rows), Settings(workspace=loaded.source.directory.parent))
    plan = design(inputs)
    for card in report.coordinates:
        for part in (card.explore, card.confirm):
            assert part is not None
            chosen = plan.rows(part.split)
            expected = roc_auc_score(labels[chosen], table[chosen, card.index])
            assert part.auroc.value == pytest.approx(expected, abs=2e-4)
            assert part.auroc.n_prompts == len(chosen)


def test_shown_token_values_are_those_of_plain_hidden_states(
    inspect_rows: Inspect, load_tiny: Callable[[str], Any]
) -> None:
    rows = _unrelated(40, seed=4)
    report, _ = inspect_rows(rows, addresses=["resid_post.0"], top_k=1, n_contexts=2)
    loaded = load_tiny("gpt2")
    card = report.coordinates[0]
    for shown in card.contexts:
        text = rows[int(shown.prompt_id.removeprefix("p"))]["text"]
        with torch.no_grad():
            ids = loaded.tokenizer(text, return_tensors="pt").input_ids
            plain = loaded.model(ids, output_hidden_states=True).hidden_states[1][0, :, card.index]
        assert [token.value for token in shown.tokens] == pytest.approx(plain.tolist(), abs=2e-4)
        assert "".join(token.text for token in shown.tokens) == text


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "span"])
def test_the_peak_of_a_context_is_the_token_that_decides_its_pooled_value(inspect_rows: Inspect, pooling: str) -> None:
    rows = [row | {"spans": [{"start": 0, "end": 12}]} for row in _cat_or_dog(20)]
    report, _ = inspect_rows(rows, pooling=pooling)
    contexts = [(card.sign, each) for card in report.coordinates for each in card.contexts]
    assert len(contexts) == 4 * 6
    for sign, shown in contexts:
        values, peak = [token.value for token in shown.tokens], shown.tokens[shown.peak]
        counted = [token.value for token in shown.tokens if token.in_span] if pooling == "span" else values
        if pooling in ("mean", "span"):
            assert shown.pooled == pytest.approx(np.mean(counted), abs=2e-4)
            assert peak.value * sign == max(value * sign for value in counted)
        else:
            assert shown.pooled == pytest.approx(peak.value, abs=2e-4)
        assert peak.in_span or pooling != "span"
        assert shown.peak == len(values) - 1 or pooling != "last"
    if pooling == "last":  # the strongest token is another one, so that marking it would have been wrong
        assert any(shown.peak != np.argmax([sign * t.value for t in shown.tokens]) for sign, shown in contexts)


def _peak_of(values: list[float], pooling: Pooling, sign: int, *, span: tuple[int, int] | None = None) -> Context:
    """Return the context of a prompt with one letter per token, after a special token of a huge value."""
    n = len(values)
    tokens = TokenizedPrompt(
        id="p",
        text="x" * n,
        ids=(0,) * (n + 1),
        special=(True, *(False,) * n),
        pieces=("<s>", *"x" * n),
        offsets=((0, 0), *((i, i + 1) for i in range(n))),
    )
    spans = [{"start": span[0], "end": span[1]}] if span else []
    prompt = ScoredPrompt.model_validate({"id": "p", "text": "x" * n, "score": 1, "spans": spans})
    return context(prompt, tokens, [1e9 * sign, *values], pooled=0.0, pooling=pooling, positive=True, sign=sign)


@pytest.mark.parametrize(
    ("values", "pooling", "sign", "place"),
    [
        ([0.1, 3.0, -9.0], "mean", 1, 1),
        ([0.1, 3.0, -9.0], "mean", -1, 2),
        ([0.0, 2.0, 1.0], "mean", -1, 1),
        ([-3.0, -1.0], "mean", 1, 0),
        ([-3.0, -1.0], "max", 1, 1),
        ([0.1, 3.0, -9.0], "max", -1, 1),
        ([9.0, 3.0, 0.0], "last", 1, 2),
    ],
)
def test_of_a_mean_the_heaviest_token_and_otherwise_the_deciding_one_is_the_peak(
    values: list[float], pooling: Pooling, sign: int, place: int
) -> None:
    assert _peak_of(values, pooling, sign).peak == place


def test_only_tokens_of_a_span_can_be_the_peak_of_a_span() -> None:
    values = [9.0, 1.0, 2.0, -9.0]
    assert _peak_of(values, "span", 1, span=(1, 3)).peak == 2
    assert _peak_of(values, "mean", 1, span=(1, 3)).peak == 0


@pytest.mark.parametrize("place", [0, 30, 99])
def test_the_window_of_a_long_prompt_lies_around_the_peak(place: int) -> None:
    shown = _peak_of([float(i == place) for i in range(100)], "max", 1)
    assert shown.truncated_before + shown.peak == place
    assert shown.tokens[shown.peak].value == 1.0
    assert shown.truncated_before + len(shown.tokens) + shown.truncated_after == 100
    assert _peak_of([float(i == place) for i in range(100)], "last", 1).truncated_after == 0


def _layer(layer: int, confirm: float | None, explore: float = 0.5) -> LayerRow:
    return LayerRow(
        address=f"resid_post.{layer}",
        n_coordinates=8,
        best_index=0,
        best_auroc=explore,
        best_confirm_auroc=confirm,
        n_significant=0,
    )


def test_the_short_form_lists_the_strongest_addresses_in_their_order_and_says_that_others_exist(
    inspect_rows: Inspect,
) -> None:
    report, _ = inspect_rows(_unrelated(40, seed=9))
    rows = tuple(_layer(i, 0.9 - 0.01 * i, explore=0.5 + 0.01 * (i % 20)) for i in range(40))
    short = short_form(report.model_copy(update={"layers": rows}))
    assert [row.address for row in short.layers] == [f"resid_post.{i}" for i in range(40) if i % 20 >= 12]
    assert "16 strongest of 40 addresses" in short.warnings[-1]
    whole = short_form(report.model_copy(update={"layers": rows[:16]}))
    assert whole.layers == rows[:16]
    assert whole.warnings == report.caveats


@pytest.mark.parametrize("confirm", [None, 0.5, 1.0])
def test_what_confirm_shows_has_no_part_in_which_addresses_are_listed_or_looked_at_next(
    inspect_rows: Inspect, confirm: float | None
) -> None:
    rows = tuple(_layer(i, confirm if i < 16 else 0.8, explore=1.0 - 0.01 * i) for i in range(20))
    assert strongest_layers(rows) == rows[:16]
    report, _ = inspect_rows(_unrelated(40, seed=9))
    request = _request(Path("tiny"), _unrelated(2, seed=0)).model_copy(
        update={"dataset": BuiltinDataset(name="question")}
    )
    found = report.model_copy(update={"layers": rows, "n_significant": 3})
    (action,) = suggest(request, found)
    assert action.arguments["addresses"] == ["attn_out.0", "mlp_out.0", "mlp_act.0"]


def test_a_report_that_found_nothing_suggests_another_dataset_and_no_finding(inspect_rows: Inspect) -> None:
    report, _ = inspect_rows(_unrelated(40, seed=9))
    request = _request(Path("tiny"), _unrelated(2, seed=0)).model_copy(
        update={"dataset": BuiltinDataset(name="question")}
    )
    (action,) = suggest(request, report.model_copy(update={"n_significant": 0}))
    assert (action.tool, action.arguments) == ("lab_overview", {"sections": ["datasets"]})


def test_a_headline_speaks_for_no_coordinate_that_was_not_described(inspect_rows: Inspect) -> None:
    report, _ = inspect_rows(_unrelated(120, seed=5))
    described = sum((card.explore.q_value or 0.0) <= report.q_level for card in report.coordinates)
    told = partial(headline, report.criterion, report.coordinates, report.audit)
    assert told(n_significant=described).startswith("No tested coordinate")
    assert told(n_significant=described + 3).startswith("None of the 4 strongest coordinates")
    assert "3 weaker ones pass on explore and are not described" in told(n_significant=described + 3)


def test_a_hub_models_commit_stands_for_its_weights_and_no_hash_of_nothing_does(
    pooled_once: tuple[Inputs, Pooled],
) -> None:
    from dataclasses import replace

    local = pooled_once[0].loaded
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched = replace(local, files=(), source=ModelSource("hub", "org/name", local.source.directory, commit))
    assert (model_facts(fetched).revision, model_facts(fetched).weights_sha256) == (commit, None)
    assert model_facts(local).revision is None
    assert len(model_facts(local).weights_sha256 or "") == 64


def test_the_short_form_of_a_coordinate_says_which_way_it_goes_and_shows_the_reports_top_token(
    inspect_rows: Inspect,
) -> None:
    report, _ = inspect_rows(_cat_or_dog(40), top_k=50)
    ranking = short_form(report).ranking
    assert {line.sign for line in ranking} == {-1, 1}
    for line, card in zip(ranking, report.coordinates, strict=True):
        assert (card.explore.auroc.value > 0.5) == (line.sign == 1)
        assert line.explore_auroc == pytest.approx(0.5 + abs(card.explore.auroc.value - 0.5))
        assert line.confirm_auroc is not None
        assert line.confirm_interval is not None
        assert line.confirm_interval[0] <= line.confirm_auroc <= line.confirm_interval[1]
        assert line.top_token == card.contexts[0].tokens[card.contexts[0].peak].text
    best = max(short_form(report).layers, key=lambda row: row.best_auroc)
    assert (ranking[0].explore_auroc, ranking[0].confirm_auroc) == (best.best_auroc, best.best_confirm_auroc)


def test_confounds_are_told_in_words_and_recorded_by_their_identifier(inspect_rows: Inspect) -> None:
    report, folder = inspect_rows(_long_or_short(120))
    flagged = {confound.name for confound in report.audit.confounds if confound.flagged}
    assert "surface_joint" in flagged
    told = "length, punctuation, digits and capitals together"
    for text in (
        report.headline,
        *((folder / name).read_text(encoding="utf-8") for name in ("report.md", "report.html")),
    ):
        assert told in text
        assert "surface_joint" not in text
    assert set(short_form(report).dataset_flags) == flagged


def test_too_few_groups_are_explored_and_nothing_is_called_confirmed(inspect_rows: Inspect) -> None:
    report, _ = inspect_rows(_cat_or_dog(3))
    assert report.dataset.n_confirm == 0
    assert all(card.confirm is None and card.grade in ("plausible", "weak") for card in report.coordinates)
    assert any("nothing is confirmed" in caveat for caveat in report.caveats)
    assert any("20 of each are needed" in caveat for caveat in report.caveats)


def test_an_interrupted_run_goes_on_from_its_checkpoint_and_finds_the_same(
    tiny_models: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interp_lab.workflows.inspection import passes

    class Stop(Exception):
        pass

    class Stopping(LocalRun):
        def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
            if done >= 60:
                raise Stop

    monkeypatch.setattr(passes, "SHARD_S", 0.0)
    monkeypatch.setattr(passes, "harvest", partial(passes.harvest, token_budget=200))
    model = tiny_models("gpt2")
    inputs = open_inputs(_request(model, _cat_or_dog(60)), Settings(workspace=model.parent))
    with pytest.raises(Stop):
        pool_prompts(inputs, Stopping(tmp_path))
    seen: list[float] = []

    class Watching(LocalRun):
        def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
            seen.append(done)

    resumed = pool_prompts(inputs, Watching(tmp_path))
    whole = pool_prompts(inputs, LocalRun(tmp_path / "other"))
    assert seen[0] > 60
    assert np.allclose(resumed.values, whole.values, atol=1e-5)
    assert np.array_equal(resumed.density, whole.density)


def test_the_statistics_of_every_coordinate_are_published(inspect_rows: Inspect) -> None:
    from safetensors.numpy import load_file

    report, folder = inspect_rows(_unrelated(40, seed=6))
    tensors = load_file(folder / "statistics.safetensors")
    assert sum(tensors[f"{row.address}/auroc"].size for row in report.layers) == report.n_tested
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["prompts"].endswith(report.dataset.sha256)
