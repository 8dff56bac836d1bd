"""Two versions of a model: one edit is found exactly, a copy differs in nothing, and rounding loses nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.diff_models import DiffModelsRequest, DiffModelsResult, ModelDiffReport
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.errors import DictionaryMismatch, InvalidRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.reports.numbers import fixed
from interp_lab.settings import Settings
from interp_lab.workflows.diff_models import diff_models
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.diff_models import suggest_next
from interp_lab_tools.lab import Lab

PLACE = "resid_post.1"
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")
Load = Callable[[str], Any]


def prompts() -> list[dict[str, Any]]:
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=6)) for _ in range(40)]
    return [{"text": f"{s} {end}", "score": score} for s in stems for end, score in (("cat", 1), ("dog", 0))]


def asked(changed: Any, **options: Any) -> DiffModelsRequest:
    return DiffModelsRequest.model_validate(
        {
            "base": "base",
            "changed": changed,
            "criterion": "ends in cat",
            "dataset": {"kind": "inline", "prompts": prompts()},
            "addresses": ["resid_post.0", PLACE],
            "pooling": "last",
            "n_units": 5,
            **options,
        }
    )


def diffed(folder: Path, changed: Any, **options: Any) -> tuple[ModelDiffReport, DiffModelsResult, str]:
    run = LocalRun(folder / f"out-{random.random()}", workspace=folder)
    settings = Settings(workspace=folder)
    result = diff_models(asked(changed, **options), run, settings=settings, suggest=lambda _: ())
    done = run.written[0]
    report = ModelDiffReport.model_validate_json((done / "report.json").read_text(encoding="utf-8"))
    return report, result, (done / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(load_tiny: Load, tmp_path: Path) -> Path:
    shutil.copytree(load_tiny("gpt2").source.directory, tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "copy")
    return tmp_path


def save_edited(load_tiny: Load, folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Write 'edited': the base with some weights changed."""
    model = load_tiny("gpt2").model
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    edit(state)
    twin = type(model)(model.config)
    twin.load_state_dict(state)
    shutil.copytree(folder / "base", folder / "edited")
    twin.save_pretrained(folder / "edited")


def test_a_copy_differs_in_nothing(folder: Path) -> None:
    report, result, _ = diffed(folder, "copy")
    assert report.weights == ()
    assert [(shift.relative, shift.n_directions) for shift in report.shifts] == [(0, 0), (0, 0)]
    assert {unit.verdict for unit in report.units} <= {"kept", "unclear"}
    assert any(unit.verdict == "kept" for unit in report.units)
    assert all(unit.difference == 0 for unit in report.units)
    assert "nothing changed" in result.summary


def test_one_removed_direction_is_found_as_the_weights_that_wrote_it_and_the_unit_that_was_lost(
    folder: Path, load_tiny: Load
) -> None:
    copy, _, _ = diffed(folder, "copy", addresses=[PLACE])
    lost = max((u for u in copy.units if u.verdict == "kept"), key=lambda u: abs(u.base_auroc - 0.5)).index
    written: set[str] = set()

    def remove(state: dict[str, torch.Tensor]) -> None:
        for name, tensor in state.items():
            if name.endswith(("wte.weight", "wpe.weight", "c_proj.weight")):
                tensor[:, lost] = 0
                written.add(name)
        state["lm_head.weight"] = state["transformer.wte.weight"]

    save_edited(load_tiny, folder, remove)
    report, _, page = diffed(folder, "edited", addresses=[PLACE])
    assert {weight.name for weight in report.weights} == written
    assert {weight.rank for weight in report.weights} == {1}
    assert [unit.index for unit in report.units if unit.verdict == "lost"] == [lost]
    assert "| lost |" in page
    back, _, _ = diffed(folder, "base", base="edited", addresses=[PLACE])
    assert lost in [unit.index for unit in back.units if unit.verdict == "new"]
    assert lost not in [unit.index for unit in back.units if unit.verdict in ("lost", "weakened")]


def test_the_page_shows_every_unit_beside_itself_and_hostile_words_as_text(folder: Path) -> None:
    run = LocalRun(folder / "out", workspace=folder)
    request = asked("copy", criterion="<script>alert(1)</script>")
    diff_models(request, run, settings=Settings(workspace=folder), suggest=lambda _: ())
    report = ModelDiffReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))
    page = (run.written[0] / "report.html").read_text(encoding="utf-8")
    assert page.count('class="pair"') == len(report.units)
    for number, unit in enumerate(report.units):
        assert f'data-at="/units/{number}/base_auroc">{fixed(unit.base_auroc, 2)}<' in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_added_direction_is_one_weight_of_rank_one_and_one_direction_of_the_shift(
    folder: Path, load_tiny: Load
) -> None:
    added = torch.nn.functional.normalize(torch.randn(32, generator=torch.Generator().manual_seed(1)), dim=0)

    def add(state: dict[str, torch.Tensor]) -> None:
        weight = state["transformer.h.1.mlp.c_proj.weight"]
        weight += torch.ones(len(weight), 1) * added

    save_edited(load_tiny, folder, add)
    report, _, _ = diffed(folder, "edited")
    (weight,) = report.weights
    assert (weight.name, weight.rank) == ("transformer.h.1.mlp.c_proj.weight", 1)
    before, after = report.shifts
    assert before.relative == 0
    assert after.relative > 0
    assert after.first == pytest.approx(1, abs=1e-3)
    assert after.n_directions == 1


def test_rounding_to_sixteen_bits_changes_weights_and_loses_no_unit(folder: Path) -> None:
    report, result, _ = diffed(folder, {"id": "base", "dtype": "bfloat16"})
    assert report.weights
    assert not {unit.verdict for unit in report.units} & {"lost", "new"}
    assert "bfloat16" in result.summary
    assert (result.base, result.changed) == ("base (float32)", "base (bfloat16)")


def test_eight_bit_weights_change_linear_layers_alone_and_each_by_what_rounding_can_do(folder: Path) -> None:
    report, result, _ = diffed(folder, "base", quantise="int8_weights")
    assert {weight.name.rsplit(".", 1)[1] for weight in report.weights} == {"weight"}
    assert all(".h." in weight.name and ".ln_" not in weight.name for weight in report.weights)
    assert len(report.weights) == 3 * 4
    assert all(0 < weight.relative < 0.02 for weight in report.weights)
    assert not {unit.verdict for unit in report.units} & {"lost", "new"}
    assert "rounded to 8 bits" in result.summary
    assert (result.base, result.changed) == ("base", "base (int8 weights)")
    assert all(shift.relative < 0.01 for shift in report.shifts)


def test_what_was_rounded_here_is_offered_for_intervention_in_the_base_alone(folder: Path) -> None:
    report, _, _ = diffed(folder, "base", quantise="int8_weights")
    lost = report.units[0].model_copy(update={"verdict": "lost"})
    request = asked("base", quantise="int8_weights", dataset="p.jsonl")
    actions = list(suggest_next(request, report.model_copy(update={"units": (lost,)})))
    assert [action.arguments["model"] for action in actions] == ["base"]

    cases = (
        ("unclear", 0.99, 1, PLACE),
        ("kept", 0.99, 2, f"{PLACE}/d"),
        ("kept", 0.7, 3, PLACE),
        ("kept", 0.1, 4, PLACE),
    )
    judged = tuple(
        lost.model_copy(update={"verdict": verdict, "base_auroc": auroc, "index": index, "address": address})
        for verdict, auroc, index, address in cases
    )
    (kept,) = suggest_next(request, report.model_copy(update={"units": judged}))
    assert (kept.tool, kept.arguments["units"]) == ("intervene", [{"address": PLACE, "index": 4}])
    assert "kept" in kept.why
    (nothing,) = suggest_next(request, report.model_copy(update={"units": judged[:2]}))
    assert nothing.tool == "dossier"


def test_a_plan_says_what_is_stored_and_refuses_strangers_before_anything_is_loaded(
    folder: Path, load_tiny: Load
) -> None:
    capability = find("diff_models")
    assert isinstance(capability, JobCapability)
    shutil.copytree(load_tiny("llama").source.directory, folder / "other")
    with Lab.open(Settings(workspace=folder)) as lab:
        plan = capability.plan(asked({"id": "copy", "dtype": "bfloat16"}), lab)
        with pytest.raises(InvalidRequest, match="by name and shape"):
            capability.plan(asked("other"), lab)
    assert "MiB" in plan.summary
    n = plan.details["n_parameters"]
    assert isinstance(n, int)
    assert plan.details["n_bytes"] == n // 2 * (4 + 2)
    stored = plan.details["stored"]
    assert isinstance(stored, list)
    assert all("F32" in str(each) for each in stored)


def test_models_that_are_no_versions_of_each_other_are_refused(folder: Path, load_tiny: Load) -> None:
    shutil.copytree(load_tiny("llama").source.directory, folder / "other")
    with pytest.raises(InvalidRequest, match="same weights"):
        diffed(folder, "other")


def crosscoder(folder: Path, base_row: float, models: tuple[str, ...] = ()) -> None:
    """Write a crosscoder of one latent that reads coordinate 3 of both models."""
    read, write = torch.zeros(64, 1), torch.zeros(1, 64)
    read[35, 0], write[0, 3], write[0, 35] = 1.0, base_row, 1.0
    owned: dict[str, Any] = {"models": models, "owners": (0, 1)} if models else {}
    config = DictionaryConfig(
        kind="crosscoder", architecture="relu", d_in=64, d_out=64, n_latents=1, sections=(32, 32),
        addresses_in=(PLACE, PLACE), apply_b_dec_to_input=False, **owned,
    )  # fmt: skip
    made = Dictionary(config, W_enc=read, W_dec=write, b_dec=torch.zeros(64), b_enc=torch.zeros(1))
    target = folder / "crosscoder"
    target.mkdir()
    save_dictionary(made, target)


def test_a_latent_whose_base_row_was_shrunk_to_zero_is_called_an_artefact(folder: Path) -> None:
    crosscoder(folder, 0.0)
    report, _, _ = diffed(folder, "copy", crosscoder="crosscoder")
    (latent,) = report.exclusive
    assert (latent.owner, latent.artefact) == ("changed", "complete_shrinkage")
    assert latent.error_ratio == pytest.approx(1, abs=1e-4)
    assert any("artefacts" in caveat for caveat in report.caveats)


def test_a_crosscoder_that_was_trained_the_other_way_round_is_refused(folder: Path) -> None:
    crosscoder(folder, 1.0, models=("copy", "base"))
    with pytest.raises(DictionaryMismatch, match="base is the base"):
        diffed(folder, "copy", crosscoder="crosscoder")


def test_a_shared_latent_is_not_among_those_that_look_exclusive(folder: Path) -> None:
    crosscoder(folder, 1.0)
    report, _, _ = diffed(folder, "copy", crosscoder="crosscoder")
    assert report.exclusive == ()
    assert report.n_crosscoder_latents == 1


def test_the_plan_says_what_is_read_and_a_change_leads_to_interventions_on_both(folder: Path) -> None:
    capability = find("diff_models")
    assert isinstance(capability, JobCapability)
    with Lab.open(Settings(workspace=folder)) as lab:
        plan = capability.plan(asked("copy"), lab)
    assert "80 prompts" in plan.summary
    report, _, _ = diffed(folder, "copy")
    lost = report.units[0].model_copy(update={"verdict": "lost"})
    (folder / "p.jsonl").write_text("", encoding="utf-8")
    request = asked("copy", dataset="p.jsonl")
    actions = list(suggest_next(request, report.model_copy(update={"units": (lost,)})))
    assert [(action.tool, action.arguments["model"]) for action in actions] == [
        ("intervene", "base"),
        ("intervene", "copy"),
    ]
