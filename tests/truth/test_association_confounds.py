"""The audit flags datasets that are wrong on purpose and passes clean ones; control removes what only tracks them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from interp_lab.methods.confounds import JOINT, ConfoundAudit, Verdict, audit_confounds, control_confounds
from interp_lab.methods.surface import bag_of_words, one_hot, surface_features
from interp_lab.statistics.sample import Sample

WORDS = [a + b for a in ("ba", "ki", "lo", "mu", "ne", "ra", "si", "to") for b in ("n", "rt", "lem", "sti", "pa", "go")]


def _texts(rng: random.Random, n: int, *, lengths: tuple[int, int] = (8, 20)) -> list[str]:
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randint(*lengths))) + "." for _ in range(n)]


def _audit(texts: list[str], labels: np.ndarray, groups: np.ndarray | None = None) -> ConfoundAudit:
    return audit_confounds(
        Sample.of(labels, groups), numeric=surface_features(texts), tables={"words": bag_of_words(texts)}
    )


def _flagged(audit: ConfoundAudit) -> set[str]:
    return {score.name for score in audit.flagged}


LABELS = np.arange(200) % 2 == 0


def test_a_dataset_solved_by_length_is_flagged() -> None:
    rng = random.Random(1)
    long, short = _texts(rng, 200, lengths=(22, 30)), _texts(rng, 200, lengths=(5, 20))
    texts = [a if label else b for a, b, label in zip(long, short, LABELS, strict=True)]
    assert {"length", JOINT} <= _flagged(_audit(texts, LABELS))


def test_a_dataset_solved_by_one_punctuation_mark_is_flagged() -> None:
    texts = [t[:-1] + ("!!" if label else "") for t, label in zip(_texts(random.Random(2), 200), LABELS, strict=True)]
    audit = _audit(texts, LABELS)
    assert "punctuation" in _flagged(audit)
    assert "words" not in _flagged(audit)


def test_a_dataset_solved_by_middling_length_is_flagged_although_length_alone_ranks_nothing() -> None:
    rng = random.Random(3)
    bounds = [(12, 14) if label else rng.choice([(4, 8), (20, 26)]) for label in LABELS]
    audit = _audit([_texts(rng, 1, lengths=b)[0] for b in bounds], LABELS)
    assert JOINT in _flagged(audit)
    assert "length" not in _flagged(audit)


def test_a_dataset_solved_by_one_word_is_flagged_by_its_words_only() -> None:
    texts = [
        t + (" seldom" if label else " mostly") for t, label in zip(_texts(random.Random(4), 200), LABELS, strict=True)
    ]
    assert _flagged(_audit(texts, LABELS)) == {"words"}


def test_a_dataset_solved_by_its_template_family_is_flagged_on_unseen_groups() -> None:
    families = np.where(LABELS, "statement", "report")
    groups = np.repeat(np.arange(50), 4)
    labels, families = LABELS[groups], families[groups]
    audit = audit_confounds(Sample.of(labels, groups), numeric={}, tables={"template": one_hot(families.tolist())})
    assert _flagged(audit) == {"template"}
    own = audit_confounds(Sample.of(labels, groups), numeric={}, tables={"template": one_hot([str(g) for g in groups])})
    assert own.scores[0].verdict is Verdict.CLEAN


def test_clean_datasets_are_seldom_called_anything() -> None:
    called = 0
    for seed in range(40):
        audit = _audit(_texts(random.Random(seed), 120), np.random.default_rng(seed).permutation(120) < 60)
        assert not audit.flagged
        called += bool(audit.associated)
    assert called <= 6


def test_repeating_each_prompt_does_not_turn_chance_into_a_confound() -> None:
    called_rows = called_groups = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(12), 10)
        labels = (rng.permutation(12) < 6)[groups]
        numeric = {"length": rng.normal(size=12)[groups]}
        called_rows += audit_confounds(Sample.of(labels), numeric=numeric).scores[0].verdict is not Verdict.CLEAN
        called_groups += (
            audit_confounds(Sample.of(labels, groups), numeric=numeric).scores[0].verdict is not Verdict.CLEAN
        )
    assert called_rows > 8
    assert called_groups <= 5


def _confounded_world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns: tracks the length, tracks its square, tracks the label, tracks nothing. Length goes with the label."""
    rng = np.random.default_rng(seed)
    labels = rng.random(600) < 0.5
    length = 40 + 12 * labels + 10 * rng.normal(size=600)
    noise = rng.normal(size=(600, 4))
    table = np.stack([length / 10, (length / 30) ** 4, 1.5 * labels, np.zeros(600)], axis=1) + noise * [0.3, 0.3, 1, 1]
    return table, labels, length


def test_a_latent_that_tracks_only_the_confound_drops_after_control_and_a_true_one_survives() -> None:
    drops = 0
    for seed in range(20):
        table, labels, length = _confounded_world(seed)
        sample = Sample.of(labels)
        raw = control_confounds(table, sample, numeric={})
        left = control_confounds(table, sample, numeric={"length": length})
        assert (raw.low[:3] > 0.6).all()
        assert left.low[2] > 0.6
        assert (np.abs(left.auroc[:2] - 0.5) < 0.1).all()
        drops += int((left.low[:2] <= 0.5).sum())
    assert drops >= 36


def test_controlling_for_something_unrelated_leaves_the_confounded_latent_as_it_was() -> None:
    table, labels, _ = _confounded_world(0)
    unrelated = np.random.default_rng(1).normal(size=600)
    left = control_confounds(table, Sample.of(labels), numeric={"unrelated": unrelated})
    assert (left.low[:3] > 0.6).all()


def test_without_covariates_the_adjusted_auroc_is_the_plain_auroc() -> None:
    from interp_lab.statistics.auroc import auroc

    table, labels, _ = _confounded_world(3)
    left = control_confounds(table, Sample.of(labels), numeric={})
    np.testing.assert_allclose(left.auroc, auroc(table, labels), atol=1e-12)


def test_a_confound_that_is_the_label_leaves_nothing_to_tell_apart() -> None:
    table, labels, _ = _confounded_world(4)
    left = control_confounds(table, Sample.of(labels), numeric={"length": labels * 10.0})
    assert not left.separable
    assert left.auroc.tolist() == [0.5] * 4
    assert (left.low == 0).all()
    assert (left.high == 1).all()


@pytest.mark.parametrize("size", [1, 4])
def test_adjusted_p_values_keep_their_level_when_only_the_confound_acts(size: int) -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(120), size)
    labels = (np.arange(120) % 2 == 0)[groups]
    confound = (labels + rng.normal(size=120)[groups]) / 2
    table = confound[:, None] + rng.normal(size=(120, 1000))[groups]
    left = control_confounds(table, Sample.of(labels, groups), numeric={"c": confound})
    assert (left.p <= 0.05).mean() < 0.08
    assert ((left.low > 0.5) | (left.high < 0.5)).mean() < 0.08
    ignoring = control_confounds(table, Sample.of(labels, groups), numeric={})
    assert (ignoring.p <= 0.05).mean() > 0.3
