"""Every answer of query_activations equals a plain computation on the same data, dense columns and codes alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from interp_lab.errors import EmptySlice, InvalidCondition, LabelsUnusable
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.false_discovery import benjamini_hochberg
from tests.truth.query_stores import CODES, DEAD, DENSE, TOPICS, WORDS, Plain, ask, make_store, rows_of

COLUMNS = pytest.mark.parametrize("column", [DENSE, CODES])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_store(tmp_path_factory.mktemp("stores") / "store")


def _values(plain: Plain, column: str) -> np.ndarray:
    return plain.dense if column == DENSE else plain.codes


def _all_rows(plain: Plain, query: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        result = plain.ask(query, cursor=cursor, limit=100, **more)
        rows += rows_of(result)
        cursor = result.next_cursor
        if cursor is None:
            assert len(rows) == result.total
            return rows


@COLUMNS
def test_statistics_of_units_equal_numpy(plain: Plain, column: str) -> None:
    values = _values(plain, column).astype(np.float64)
    for row in _all_rows(plain, {"kind": "units", "column": column}):
        of = values[:, row["unit"]]
        wanted = [of.mean(), of.std(), of.min(), of.max(), (of > 0).mean(), *np.quantile(of, [0.01, 0.5, 0.9, 0.99])]
        shown = [row[name] for name in ("mean", "std", "min", "max", "firing_rate", "q1", "q50", "q90", "q99")]
        np.testing.assert_allclose(shown, wanted, rtol=1e-5, atol=1e-6)
        estimate = clustered_mean(of, plain.group)
        np.testing.assert_allclose([row["mean_low"], row["mean_high"]], [estimate.low, estimate.high], rtol=1e-5)


@COLUMNS
def test_statistics_of_chosen_rows_equal_numpy(plain: Plain, column: str) -> None:
    where = [{"field": "label:topic", "one_of": ["sports"]}, {"field": "generated", "one_of": [False]}]
    chosen = (plain.topic == "sports") & ~plain.generated
    values = _values(plain, column)[chosen].astype(np.float64)
    for row in _all_rows(plain, {"kind": "units", "column": column, "sort": "unit"}, where=where):
        np.testing.assert_allclose(row["mean"], values[:, row["unit"]].mean(), rtol=1e-5)
        np.testing.assert_allclose(row["std"], values[:, row["unit"]].std(), rtol=1e-5)


@COLUMNS
@pytest.mark.parametrize("metrics", [["loss"], ["loss", "reward"], ["loss", "reward", "flat"]])
def test_correlations_equal_numpy_for_any_number_of_metrics(plain: Plain, column: str, metrics: list[str]) -> None:
    query = {"kind": "associate", "column": column, "targets": [f"metric:{name}" for name in metrics]}
    rows = _all_rows(plain, query)
    assert {row["target"] for row in rows} == {f"metric:{name}" for name in metrics if name != "flat"}
    for row in rows:
        metric = getattr(plain, row["target"].removeprefix("metric:")).astype(np.float64)
        known = np.isfinite(metric)
        values = _values(plain, column)[known, row["unit"]].astype(np.float64)
        wanted = np.corrcoef(values, metric[known])[0, 1] if values.std() else 0.0
        np.testing.assert_allclose(row["estimate"], wanted, rtol=1e-5, atol=1e-9)
        assert row["rows"] == known.sum()
        assert row["groups"] == np.unique(plain.group[known]).size
        assert row["low"] <= row["estimate"] <= row["high"]


def test_a_constant_metric_is_named_with_its_reason_and_missing_values_are_counted(plain: Plain) -> None:
    result = plain.ask({"kind": "associate", "column": DENSE})
    assert result.facts["left_out"] == [{"name": "metric:flat", "why": "it is 1 on every row"}]
    assert any("metric:flat" in warning for warning in result.warnings)
    reward = next(each for each in result.facts["targets"] if each["name"] == "metric:reward")
    assert reward["missing"] == np.isnan(plain.reward).sum()
    with pytest.raises(LabelsUnusable, match="metric:flat"):
        plain.ask({"kind": "associate", "column": DENSE, "targets": ["metric:flat"]})


@COLUMNS
def test_auroc_of_every_label_value_equals_sklearn(plain: Plain, column: str) -> None:
    labels = {f"label:topic={topic}": plain.topic == topic for topic in TOPICS}
    labels |= {"label:happy": plain.happy, "label:part=verb": plain.part == "verb"}
    rows = _all_rows(
        plain, {"kind": "associate", "column": column, "targets": ["label:topic", "label:happy", "label:part"]}
    )
    assert {row["target"] for row in rows} == set(labels)
    for row in rows:
        label, values = labels[row["target"]], _values(plain, column)[:, row["unit"]].astype(np.float64)
        assert row["measure"] == "AUROC"
        np.testing.assert_allclose(row["estimate"], roc_auc_score(label, values), rtol=1e-5)
        np.testing.assert_allclose(row["rate_with"], (values[label] > 0).mean(), rtol=1e-5)
        np.testing.assert_allclose(row["rate_without"], (values[~label] > 0).mean(), rtol=1e-5)
        np.testing.assert_allclose(row["d"], _cohen_d(values[label], values[~label]), rtol=1e-4, atol=1e-8)


def _cohen_d(a: np.ndarray, b: np.ndarray) -> float:
    pooled = ((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2)
    return (a.mean() - b.mean()) / np.sqrt(pooled) if pooled else 0.0


def test_q_values_are_benjamini_hochberg_over_every_unit_and_target(plain: Plain) -> None:
    from interp_lab.statistics.block_association import Target, associate
    from interp_lab.statistics.blocks import DenseBlock
    from interp_lab.statistics.clusters import Clusters

    order = np.argsort(plain.group, kind="stable")
    block = DenseBlock(np.ascontiguousarray(plain.dense[order].T), Clusters.of(plain.group[order]))
    known = np.isfinite(plain.reward[order])
    targets = [
        Target("metric:loss", plain.loss[order].astype(np.float64), np.ones(order.size, dtype=bool), is_label=False),
        Target("metric:reward", np.nan_to_num(plain.reward[order]).astype(np.float64), known, is_label=False),
        Target("label:happy", plain.happy[order].astype(np.float64), np.ones(order.size, dtype=bool), is_label=True),
    ]
    q = benjamini_hochberg(np.concatenate([associate(block, target).p for target in targets])).reshape(3, -1)
    names = [target.name for target in targets]
    for row in _all_rows(plain, {"kind": "associate", "column": DENSE, "targets": names}):
        np.testing.assert_allclose(row["q"], q[names.index(row["target"]), row["unit"]], rtol=1e-4)


@COLUMNS
def test_top_contexts_are_those_of_a_plain_sort(plain: Plain, column: str) -> None:
    values = _values(plain, column)[:, 3]
    order = np.argsort(-values, kind="stable")
    order = order if column == DENSE else order[values[order] > 0]
    every = _all_rows(plain, {"kind": "contexts", "column": column, "unit": 3, "one_per_prompt": False})
    assert [row["row"] for row in every] == order.tolist()
    np.testing.assert_allclose([row["value"] for row in every], values[order], rtol=1e-5)
    first = list({plain.prompt[row]: row for row in order[::-1]}.values())
    wanted = sorted(first, key=lambda row: (-values[row], row))
    assert [row["row"] for row in _all_rows(plain, {"kind": "contexts", "column": column, "unit": 3})] == wanted


def test_quantile_contexts_come_from_equally_filled_ranges_and_depend_on_the_seed_alone(plain: Plain) -> None:
    values = plain.dense[:, 4]
    query = {"kind": "contexts", "column": DENSE, "unit": 4, "choose": "quantiles", "n_quantiles": 5}
    shown = rows_of(plain.ask(query, limit=20))
    parts = np.array_split(np.argsort(-values, kind="stable"), 5)
    assert [row["quantile"] for row in shown] == np.repeat([1, 2, 3, 4, 5], 4).tolist()
    assert all(row["row"] in parts[row["quantile"] - 1] for row in shown)
    assert shown == rows_of(plain.ask(query, limit=20))
    assert shown != rows_of(plain.ask(query, limit=20, seed=1))


def test_the_text_around_a_token_never_leaves_its_prompt(plain: Plain) -> None:
    for row in _all_rows(plain, {"kind": "contexts", "column": DENSE, "unit": 0, "window": 3}):
        of_prompt = plain.token[plain.prompt == row["prompt"]].tolist()
        at = row["position"]
        assert row["token"] == of_prompt[at]
        assert row["before"] == "".join(of_prompt[max(0, at - 3) : at])
        assert row["after"] == "".join(of_prompt[at + 1 : at + 4])


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ([{"field": "token", "one_of": [" cat"]}], lambda p: p.token == " cat"),
        ([{"field": "token", "matches": "^ [cd]"}], lambda p: np.array([t[:2] in (" c", " d") for t in p.token])),
        ([{"field": "label:topic", "one_of": ["sports", "weather"]}], lambda p: p.topic != "animals"),
        ([{"field": "label:happy", "one_of": [True]}], lambda p: p.happy),
        ([{"field": "label:part", "matches": "er"}], lambda p: p.part == "verb"),
        ([{"field": "metric:loss", "at_least": 0.5, "at_most": 1}], lambda p: (p.loss >= 0.5) & (p.loss <= 1)),
        ([{"field": "metric:reward", "at_least": -100}], lambda p: np.isfinite(p.reward)),
        ([{"field": "metric:reward", "at_least": -100, "negate": True}], lambda p: np.isnan(p.reward)),
        ([{"field": "position", "one_of": [0, 2]}], lambda p: np.isin(p.position, [0, 2])),
        ([{"field": "generated", "one_of": [True]}], lambda p: p.generated),
        ([{"field": f"{CODES}#3", "at_least": 1}], lambda p: p.codes[:, 3] >= 1),
        ([{"field": f"{DENSE}#1", "at_most": 0}], lambda p: p.dense[:, 1] <= 0),
        ([{"field": "text", "matches": "number 1[0-9]$"}], lambda p: (p.prompt >= 10) & (p.prompt < 20)),
        ([{"field": "id", "one_of": ["p7"]}, {"field": "token", "one_of": ["."], "negate": True}],
         lambda p: (p.prompt == 7) & (p.token != ".")),
    ],
)  # fmt: skip
def test_search_finds_exactly_the_rows_for_which_the_conditions_hold(plain: Plain, where: Any, holds: Any) -> None:
    wanted = np.flatnonzero(holds(plain))
    assert wanted.size
    assert [row["row"] for row in _all_rows(plain, {"kind": "search"}, where=where)] == wanted.tolist()


def test_search_orders_by_value_and_by_magnitude(plain: Plain) -> None:
    query = {"kind": "search", "show": [f"{DENSE}#1"]}
    values = plain.dense[:, 1]
    by_value = [row["row"] for row in _all_rows(plain, {**query, "order": "value"})]
    by_magnitude = [row["row"] for row in _all_rows(plain, {**query, "order": "magnitude"})]
    assert by_value == np.argsort(-values, kind="stable").tolist()
    assert by_magnitude == np.argsort(-np.abs(values), kind="stable").tolist()


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "token", "matches": "(a+)+$("},
        {"field": "token", "matches": r"(\w)\1"},
        {"field": "token", "at_least": 1},
        {"field": "metric:loss", "matches": "1"},
        {"field": "metric:loss", "one_of": ["high"]},
        {"field": "label:happy", "one_of": [1]},
    ],
)
def test_a_condition_that_does_not_fit_its_field_is_refused(plain: Plain, condition: dict[str, Any]) -> None:
    with pytest.raises(InvalidCondition):
        plain.ask({"kind": "search"}, where=[condition])


def test_a_pattern_that_backtracks_for_years_elsewhere_is_answered(plain: Plain) -> None:
    found = plain.ask({"kind": "search"}, where=[{"field": "text", "matches": "(x+x+)+y"}])
    assert (found.total, found.n.rows, found.table.rows) == (0, 0, ())


@COLUMNS
def test_difference_is_cohens_d_and_its_p_value_is_welch_like_for_independent_rows(plain: Plain, column: str) -> None:
    query = {
        "kind": "difference",
        "column": column,
        "a": {"where": [{"field": "label:topic", "one_of": ["sports"]}]},
        "b": {"where": [{"field": "label:topic", "one_of": ["animals"]}]},
    }
    a, b = (_values(plain, column)[plain.topic == topic].astype(np.float64) for topic in ("sports", "animals"))
    for row in _all_rows(plain, query):
        unit = row["unit"]
        wanted = [a[:, unit].mean(), b[:, unit].mean(), _cohen_d(a[:, unit], b[:, unit])]
        np.testing.assert_allclose([row["mean_a"], row["mean_b"], row["d"]], wanted, rtol=1e-4, atol=1e-7)
        assert row["low"] <= row["d"] <= row["high"]


def test_an_empty_slice_is_an_error_and_never_a_mean_of_zero(plain: Plain) -> None:
    nothing = {"where": [{"field": "token", "one_of": ["no such token"]}]}
    for sides in ({"a": nothing, "b": {}}, {"a": {}, "b": nothing}):
        with pytest.raises(EmptySlice, match="Slice"):
            plain.ask({"kind": "difference", "column": DENSE, **sides})
    for query in ({"kind": "units", "column": DENSE}, {"kind": "associate", "column": DENSE}, "overview"):
        with pytest.raises(EmptySlice):
            plain.ask(query, **nothing)


def test_two_stores_of_the_same_prompts_are_compared_group_by_group(plain: Plain, tmp_path_factory: Any) -> None:
    moved = make_store(plain.folder.parent / "moved", seed=0, shift=0.25)
    query = {"kind": "difference", "column": DENSE, "a": {"store": "moved"}, "b": {}}
    result = plain.ask(query)
    assert result.facts["groups_in_all"] == np.unique(plain.group).size
    for row in rows_of(result):
        a, b = moved.dense[:, row["unit"]].astype(np.float64), plain.dense[:, row["unit"]].astype(np.float64)
        np.testing.assert_allclose(row["d"], _cohen_d(a, b), rtol=1e-4)
        # The same prompts moved by a constant: only the groups' sizes vary, so hardly anything is uncertain.
        assert row["q"] < 1e-9
        assert row["high"] - row["low"] < 0.1
    other = make_store(plain.folder.parent / "other", seed=5, dataset=None)
    apart = ask(other.folder, {**query, "a": {"store": plain.folder.name}})
    assert apart.facts["groups_in_all"] == np.unique(plain.group).size + np.unique(other.group).size


def test_dead_units_are_told_by_firing_and_not_by_their_mean(tmp_path: Path) -> None:
    plain = make_store(tmp_path / "store")
    assert [row["unit"] for row in _all_rows(plain, {"kind": "units", "column": CODES, "only": "dead"})] == [DEAD]
    balanced = int(np.argmin(np.abs(plain.dense.mean(axis=0))))
    assert abs(plain.dense[:, balanced].mean()) < 0.1
    assert _all_rows(plain, {"kind": "units", "column": DENSE, "only": "dead"}) == []
    dense = {
        row["unit"] for row in _all_rows(plain, {"kind": "units", "column": CODES, "only": "dense", "dense_rate": 0.5})
    }
    assert dense == set(np.flatnonzero((plain.codes > 0).mean(axis=0) >= 0.5).tolist())


def test_a_timeline_is_the_units_and_metrics_of_one_prompt_in_order(plain: Plain) -> None:
    query = {"kind": "timeline", "prompt": "p5", "show": [f"{DENSE}#2", f"{CODES}#3"], "metrics": ["metric:reward"]}
    at = np.flatnonzero(plain.prompt == 5)
    rows = _all_rows(plain, query)
    assert [row["row"] for row in rows] == at.tolist()
    assert [row["token"] for row in rows] == plain.token[at].tolist()
    np.testing.assert_allclose([row[f"{DENSE}#2"] for row in rows], plain.dense[at, 2], rtol=1e-5)
    np.testing.assert_allclose([row[f"{CODES}#3"] for row in rows], plain.codes[at, 3], rtol=1e-5)
    assert [row["metric:reward"] is None for row in rows] == np.isnan(plain.reward[at]).tolist()
    assert [row["row"] for row in _all_rows(plain, {**query, "stride": 3})] == at[::3].tolist()


@COLUMNS
def test_means_by_token_equal_numpy_with_intervals_over_groups(plain: Plain, column: str) -> None:
    values = _values(plain, column)[:, 1].astype(np.float64)
    rows = _all_rows(plain, {"kind": "levels", "column": column, "by": "token", "units": [1]})
    assert {row["value"] for row in rows} == set(WORDS)
    assert [row["mean"] for row in rows] == sorted((row["mean"] for row in rows), reverse=True)
    for row in rows:
        here = plain.token == row["value"]
        estimate = clustered_mean(values[here], plain.group[here])
        wanted = [estimate.mean, estimate.low, estimate.high, values[here].max()]
        np.testing.assert_allclose([row[n] for n in ("mean", "low", "high", "max")], wanted, rtol=1e-4, atol=1e-9)
        assert (row["rows"], row["groups"]) == (here.sum(), np.unique(plain.group[here]).size)


@COLUMNS
def test_units_are_ranked_by_how_far_their_means_lie_apart(plain: Plain, column: str) -> None:
    values = _values(plain, column).astype(np.float64)
    rows = _all_rows(plain, {"kind": "levels", "column": column, "by": "label:topic"})
    for row in rows:
        parts = [values[plain.topic == topic, row["unit"]] for topic in TOPICS]
        np.testing.assert_allclose([row[topic] for topic in TOPICS], [p.mean() for p in parts], rtol=1e-4, atol=1e-7)
        within = sum(((p - p.mean()) ** 2).sum() for p in parts) / (len(plain.topic) - 3)
        wanted = np.std([p.mean() for p in parts]) / np.sqrt(within) if within else 0.0
        np.testing.assert_allclose(row["spread"], wanted, rtol=1e-4, atol=1e-8)
    if column == DENSE:
        assert rows[0]["unit"] == 1


def test_profiles_are_mean_norms_by_position(plain: Plain) -> None:
    for row in _all_rows(plain, {"kind": "profile", "bins": 3}):
        here = (plain.position >= row["from"]) & (plain.position <= row["to"])
        norms = np.linalg.norm(_values(plain, row["column"]).astype(np.float64), axis=1)
        np.testing.assert_allclose(row["mean"], norms[here].mean(), rtol=1e-5)
        assert row["rows"] == here.sum()
    one = _all_rows(plain, {"kind": "profile", "columns": [CODES], "unit": 3, "bins": 1})
    np.testing.assert_allclose([row["mean"] for row in one], plain.codes[:, 3].mean(), rtol=1e-5)


def test_a_sample_of_rows_is_seeded_and_said(plain: Plain) -> None:
    query = {"kind": "units", "column": DENSE, "sort": "unit"}
    result = plain.ask(query, sample_rows=200)
    assert (result.n.rows, result.n.of_rows, result.n.sampled) == (200, plain.prompt.size, True)
    assert "200 of" in result.summary
    assert "seed 0" in result.summary
    chosen = np.sort(np.random.default_rng(0).choice(np.arange(plain.prompt.size), 200, replace=False))
    np.testing.assert_allclose([r["mean"] for r in rows_of(result)], plain.dense[chosen].mean(axis=0), rtol=1e-4)
    assert plain.ask(query).n.sampled is False


def test_the_overview_names_every_column_metric_and_label(plain: Plain) -> None:
    result = plain.ask("overview")
    assert [row["column"] for row in rows_of(result)] == [DENSE, CODES]
    assert rows_of(result)[1]["active_per_row"] == pytest.approx((plain.codes > 0).sum(axis=1).mean(), rel=1e-5)
    assert {each["name"] for each in result.facts["metrics"]} == {"metric:loss", "metric:reward", "metric:flat"}
    topic = next(each for each in result.facts["labels"] if each["name"] == "label:topic")
    assert (topic["n_values"], {name for name, _ in topic["most_common"]}) == (3, set(TOPICS))
    reward = next(each for each in result.facts["metrics"] if each["name"] == "metric:reward")
    assert reward["known"] == np.isfinite(plain.reward).sum()


def test_clustered_p_values_are_uniform_enough_when_nothing_is_associated() -> None:
    from interp_lab.statistics.block_association import Target, associate
    from interp_lab.statistics.blocks import DenseBlock
    from interp_lab.statistics.clusters import Clusters

    rng = np.random.default_rng(0)
    shares: dict[str, list[float]] = {"label": [], "metric": [], "naive": []}
    for _ in range(30):
        groups = np.repeat(np.arange(40), 15)
        own = rng.normal(size=(20, 40))[:, groups]
        block = DenseBlock((own + rng.normal(size=(20, groups.size))).astype(np.float32), Clusters.of(groups))
        label = (rng.random(40) < 0.4)[groups].astype(np.float64)
        metric = rng.normal(size=40)[groups] + rng.normal(size=groups.size)
        known = np.ones(groups.size, dtype=bool)
        shares["label"] += list(associate(block, Target("l", label, known, is_label=True)).p)
        shares["metric"] += list(associate(block, Target("m", metric, known, is_label=False)).p)
        shares["naive"] += [stats.pearsonr(own[j], metric).pvalue for j in range(20)]
    rejected = {name: float(np.mean(np.array(p) < 0.05)) for name, p in shares.items()}
    assert rejected["label"] < 0.08
    assert rejected["metric"] < 0.08
    assert rejected["naive"] > 0.2
