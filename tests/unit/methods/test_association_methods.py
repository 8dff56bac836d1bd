from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import NonFiniteInput, ShapeMismatch, TooFewGroups
from interp_lab.methods.association import associate
from interp_lab.methods.confounds import audit_confounds, control_confounds
from interp_lab.methods.specificity import specificity
from interp_lab.methods.stability import stability
from interp_lab.methods.surface import bag_of_words, one_hot, surface_features
from interp_lab.statistics.sample import Sample

LABELS = np.arange(120) % 2 == 0


def _table(seed: int, *, n_latents: int, n_true: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(120, n_latents))
    table[:, :n_true] += LABELS[:, None] * np.linspace(1.5, 2.5, n_true) if n_true else 0
    return np.maximum(table - 0.3, 0).astype(np.float32)


def test_every_array_of_an_association_has_one_value_per_latent() -> None:
    found = associate(_table(0, n_latents=7), Sample.of(LABELS))
    names = ("auroc", "low", "high", "sign", "d", "r", "rate_positive", "rate_negative", "density", "p", "q")
    assert {name: getattr(found, name).shape for name in names} == dict.fromkeys(names, (7,))
    assert found.n_latents == 7
    assert (found.n_rows, found.n_positive_groups, found.n_negative_groups) == (120, 60, 60)


def test_a_planted_latent_ranks_first_and_keeps_its_q_among_many_others() -> None:
    found = associate(_table(1, n_latents=2000, n_true=1), Sample.of(LABELS))
    assert found.strongest(1).tolist() == [0]
    assert found.q[0] < 0.001
    assert found.sign[0] == 1


def test_without_a_planted_latent_the_best_of_many_has_no_small_q() -> None:
    found = associate(_table(2, n_latents=2000), Sample.of(LABELS))
    assert found.p.min() < 0.01
    assert found.q.min() > 0.1


def test_adding_latents_never_lowers_the_q_of_those_that_were_there() -> None:
    table, noise = _table(3, n_latents=20, n_true=3), _table(4, n_latents=500)
    alone = associate(table, Sample.of(LABELS)).q
    among = associate(np.concatenate([table, noise], axis=1), Sample.of(LABELS)).q[:20]
    assert (among[:3] >= alone[:3]).all()


def test_dropping_silent_rows_would_hide_a_perfect_detector() -> None:
    table = np.where(LABELS, 1.0, 0.0)[:, None]
    assert associate(table, Sample.of(LABELS)).auroc[0] == 1.0


def test_nan_activations_are_refused_by_row_and_column() -> None:
    table = _table(5, n_latents=3)
    table[7, 2] = np.nan
    with pytest.raises(NonFiniteInput, match="row 7, column 2"):
        associate(table, Sample.of(LABELS))


def test_rankings_of_real_structure_are_stable_and_of_noise_are_not() -> None:
    rng = np.random.default_rng(6)
    strengths = np.linspace(0, 2, 60)
    structured = rng.normal(size=(120, 60)) + LABELS[:, None] * strengths
    found = stability(structured, Sample.of(LABELS), seed=0, top=10)
    noise = stability(rng.normal(size=(120, 60)), Sample.of(LABELS), seed=0, top=10)
    assert found.rank_agreement.min() > 0.6
    assert np.abs(noise.rank_agreement).mean() < 0.3
    assert found.top_overlap.mean() > 0.4 > noise.top_overlap.mean()
    assert found.sign_agreement[-1] == 1.0


def test_latents_that_never_vary_do_not_make_a_ranking_look_stable() -> None:
    rng = np.random.default_rng(7)
    table = np.concatenate([rng.normal(size=(120, 20)), np.zeros((120, 500))], axis=1)
    found = stability(table, Sample.of(LABELS), seed=0)
    assert found.n_compared == 20
    assert np.abs(found.rank_agreement).mean() < 0.5


def test_the_same_seed_gives_the_same_halves_and_small_samples_are_refused() -> None:
    table = _table(8, n_latents=30, n_true=5)
    runs = [stability(table, Sample.of(LABELS), seed=seed).rank_agreement.tolist() for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    with pytest.raises(TooFewGroups, match="four"):
        stability(table[:6], Sample.of(LABELS[:6]), seed=0)
    with pytest.raises(TooFewGroups, match="vary"):
        stability(np.zeros((120, 3)), Sample.of(LABELS), seed=0)


def test_a_specific_latent_has_a_margin_and_one_that_tracks_another_label_has_none() -> None:
    rng = np.random.default_rng(9)
    topic = rng.random(120) < 0.5
    table = rng.normal(size=(120, 2)) + 3 * np.stack([LABELS, topic], axis=1)
    found = specificity(table, Sample.of(LABELS), labels={"topic": topic, "all": np.ones(120)})
    assert found.margin[0] > 0.3
    assert found.margin[1] < -0.3
    assert found.skipped == ("all",)
    assert abs(found.labels[0].overlap) < 0.3


def test_the_weakest_subtype_shows_the_kind_of_negative_that_a_latent_also_fires_on() -> None:
    rng = np.random.default_rng(10)
    kinds = np.where(LABELS, "positive", np.where(np.arange(120) % 4 == 1, "near", "far"))
    table = rng.normal(size=(120, 2)) + 3 * np.stack([LABELS, LABELS | (kinds == "near")], axis=1)
    found = specificity(table, Sample.of(LABELS), subtypes=kinds.tolist())
    assert [c.name for c in found.subtypes] == ["far", "near"]
    assert [c.n_negative for c in found.subtypes] == [30, 30]
    assert found.weakest_subtype[0] > 0.9
    assert abs(found.weakest_subtype[1] - 0.5) < 0.2
    reverse = specificity(-table, Sample.of(LABELS), subtypes=kinds.tolist())
    np.testing.assert_allclose(reverse.weakest_subtype, 1 - found.weakest_subtype)


def test_without_other_labels_the_margin_is_the_effect_itself() -> None:
    found = specificity(_table(11, n_latents=3, n_true=1), Sample.of(LABELS))
    np.testing.assert_allclose(found.margin, np.abs(found.target - 0.5))
    np.testing.assert_allclose(found.weakest_subtype, found.target)


def test_labels_of_another_length_are_refused() -> None:
    table = _table(12, n_latents=2)
    with pytest.raises(ShapeMismatch, match="topic"):
        specificity(table, Sample.of(LABELS), labels={"topic": [True, False]})
    with pytest.raises(ShapeMismatch, match="length"):
        control_confounds(table, Sample.of(LABELS), numeric={"length": [1.0, 2.0]})
    with pytest.raises(ShapeMismatch, match="no property"):
        audit_confounds(Sample.of(LABELS), numeric={})


def test_surface_features_count_characters_and_their_kinds() -> None:
    found = surface_features(["Ab 1!", "", "ÄÖ٣—"], n_tokens=[3, 0, 4])
    assert {name: values.tolist() for name, values in found.items()} == {
        "length": [5.0, 0.0, 4.0],
        "tokens": [3.0, 0.0, 4.0],
        "punctuation": [0.2, 0.0, 0.25],
        "digits": [0.2, 0.0, 0.25],
        "uppercase": [0.2, 0.0, 0.5],
    }


def test_words_seen_once_or_everywhere_tell_nothing_and_are_left_out() -> None:
    table = bag_of_words(["The red fox", "the red hen", "the lone owl"])
    assert table.shape == (3, 1)
    assert table.ravel().tolist() == [1.0, 1.0, 0.0]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_surface_features_of_any_text_are_finite_and_shares_are_shares(texts: list[str]) -> None:
    found = surface_features(texts)
    assert all(np.isfinite(values).all() for values in found.values())
    assert all(((found[name] >= 0) & (found[name] <= 1)).all() for name in ("punctuation", "digits", "uppercase"))
    norms = np.linalg.norm(bag_of_words(texts), axis=1)
    assert (np.isclose(norms, 0) | np.isclose(norms, 1)).all()


def test_one_hot_marks_each_category_once() -> None:
    assert one_hot(["b", "a", "b"]).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_of_latents_that_separate_perfectly_the_one_farther_apart_ranks_first() -> None:
    rng = np.random.default_rng(9)
    spread = np.where(LABELS, 1.0 + np.abs(rng.normal(size=120)), 0.0)
    steady = np.where(LABELS, -1.0 + 0.05 * rng.normal(size=120), 0.0)
    noise = np.abs(rng.normal(size=(120, 3)))
    found = associate(np.column_stack([noise, spread, steady]), Sample.of(LABELS))
    assert {found.auroc[3], 1 - found.auroc[4]} == {1.0}
    assert found.strongest(2).tolist() == [4, 3]
    assert found.strongest(1, slice(0, 4)).tolist() == [3]


def test_the_rank_of_a_latent_is_its_place_in_the_order() -> None:
    found = associate(np.round(_table(11, n_latents=50, n_true=5)), Sample.of(LABELS))
    order = found.strongest(50).tolist()
    assert [found.rank(latent) for latent in order[:20]] == list(range(1, 21))
