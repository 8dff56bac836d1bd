"""Latents of a dictionary are ranked like coordinates: known codes give known numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.errors import DictionaryMismatch, InvalidPath, LabError
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import design
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

PLACE = "resid_post.1"
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")
Load = Callable[[str], Any]


def two_sided(width: int, *addresses: str) -> Dictionary:
    """The dictionary whose latents are the positive and the negative part of every number it reads."""
    config = DictionaryConfig(
        architecture="relu",
        d_in=width,
        d_out=width,
        n_latents=2 * width,
        apply_b_dec_to_input=False,
        addresses_in=addresses,
        kind="crosscoder" if len(addresses) > 1 else "sae",
        sections=(width // len(addresses),) * len(addresses) if len(addresses) > 1 else (),
    )
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    return Dictionary(
        config, W_enc=both.T.contiguous(), W_dec=both, b_dec=torch.zeros(width), b_enc=torch.zeros(2 * width)
    )


def prompts(n_pairs: int) -> list[dict[str, Any]]:
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=6)) for _ in range(n_pairs)]
    return [{"text": f"{s} {end}", "score": score} for s in stems for end, score in (("cat", 1), ("dog", 0))]


def request(model: str, **options: Any) -> dict[str, Any]:
    dataset = {"kind": "inline", "prompts": prompts(40)}
    return {"model": model, "criterion": "ends in cat", "dataset": dataset, "pooling": "last", "top_k": 6, **options}


def saved(folder: Path, dictionary: Dictionary) -> str:
    folder.mkdir()
    save_dictionary(dictionary, folder)
    return str(folder)


def report_of(wanted: InspectRequest, settings: Settings, out: Path) -> InspectReport:
    run = LocalRun(out, workspace=settings.workspace)
    inspect(wanted, run, settings=settings, suggest=lambda _: ())
    return InspectReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))


def states(loaded: Any, layer: int) -> np.ndarray:
    found = []
    with torch.no_grad():
        for row in prompts(40):
            ids = loaded.tokenizer(row["text"], return_tensors="pt").input_ids
            found.append(loaded.model(ids, output_hidden_states=True).hidden_states[layer + 1][0, -1].numpy())
    return np.stack(found)


@pytest.mark.parametrize("addresses", [(PLACE,), ("resid_post.0", PLACE)])
def test_the_auroc_of_a_latent_equals_scikit_learns_on_plain_hidden_states(
    load_tiny: Load, tmp_path: Path, addresses: tuple[str, ...]
) -> None:
    loaded = load_tiny("gpt2")
    plain = np.concatenate([states(loaded, int(address[-1])) for address in addresses], axis=1)
    width = plain.shape[1]
    name = saved(tmp_path / "two", two_sided(width, *addresses))
    settings = Settings(workspace=loaded.source.directory.parent, read_roots=(tmp_path,))
    wanted = InspectRequest.model_validate(request(loaded.source.directory.name, dictionaries=[name]))
    report = report_of(wanted, settings, tmp_path / "out")
    assert [row.address for row in report.layers] == [f"{'+'.join(addresses)}/relu-{2 * width}"]
    assert report.n_tested == 2 * width
    plan = design(open_inputs(wanted, settings))
    labels = np.array([row["score"] for row in prompts(40)])
    for card in report.coordinates:
        codes = np.maximum((1 if card.index < width else -1) * plain[:, card.index % width], 0)
        for part in (card.explore, card.confirm):
            assert part is not None
            chosen = plan.rows(part.split)
            assert part.auroc.value == pytest.approx(roc_auc_score(labels[chosen], codes[chosen]), abs=2e-4)


def test_raw_coordinates_and_latents_are_ranked_together_when_both_are_asked_for(
    load_tiny: Load, tmp_path: Path
) -> None:
    loaded = load_tiny("gpt2")
    width = loaded.facts.d_model
    names = [saved(tmp_path / n, two_sided(width, PLACE)) for n in ("a", "b")]
    settings = Settings(workspace=loaded.source.directory.parent, read_roots=(tmp_path,))
    asked = request(loaded.source.directory.name, dictionaries=names, addresses=[PLACE])
    report = report_of(InspectRequest.model_validate(asked), settings, tmp_path / "out")
    assert report.n_tested == 5 * width
    assert len({row.address for row in report.layers}) == 3
    aurocs = {row.address: row.best_auroc for row in report.layers}
    assert aurocs[f"{PLACE}/relu-{2 * width}-0"] == aurocs[f"{PLACE}/relu-{2 * width}-1"]
    assert report.handles is not None
    seen: set[float | None] = set()
    for group in report.handles.alike:
        for member in group.members:
            seen.add(member.decoder_cosine)
            assert member.decoder_cosine == written_alike(group.leader, member.name, width)
    assert seen >= {None, 1.0}  # raw coordinates write no row, and a latent of one dictionary is one of the other


def written_alike(one: str, other: str, width: int) -> float | None:
    """The cosine of the rows of two latents of the two-sided dictionary: one axis, either way, or none."""
    (first, i), (second, j) = (name.split(" #") for name in (one, other))
    if "/" not in first or "/" not in second:
        return None
    side = 1.0 if (int(i) < width) == (int(j) < width) else -1.0
    return side if int(i) % width == int(j) % width else 0.0


@pytest.mark.parametrize(
    ("dictionary", "error", "said"),
    [
        (lambda width: two_sided(width + 2, PLACE), DictionaryMismatch, "of this model has"),
        (two_sided, DictionaryMismatch, "does not say"),
        (lambda width: two_sided(width, "resid_post.99"), LabError, "99"),
        (None, InvalidPath, "wrong"),
    ],
)
def test_a_dictionary_that_does_not_fit_is_refused_before_a_job_starts(
    load_tiny: Load, tmp_path: Path, dictionary: Callable[[int], Dictionary] | None, error: type[LabError], said: str
) -> None:
    loaded = load_tiny("gpt2")
    if dictionary is not None:
        saved(tmp_path / "wrong", dictionary(loaded.facts.d_model))
    settings = Settings(workspace=tmp_path, read_roots=(loaded.source.directory,))
    asked = request(str(loaded.source.directory), dictionaries=["wrong"], dry_run=True)
    with Lab.open(settings) as lab, pytest.raises(error, match=said):
        dispatch(lab, "inspect", asked)


def test_a_dry_run_counts_the_latents(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    width = loaded.facts.d_model
    saved(tmp_path / "two", two_sided(width, PLACE))
    settings = Settings(workspace=tmp_path, read_roots=(loaded.source.directory,))
    with Lab.open(settings) as lab:
        view = dispatch(lab, "inspect", request(str(loaded.source.directory), dictionaries=["two"], dry_run=True))
    assert view.plan["n_coordinates"] == 2 * width  # type: ignore[union-attr]
    assert view.plan["dictionaries"] == ["two"]  # type: ignore[union-attr]
