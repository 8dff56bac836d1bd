"""What is stored of a policy in an environment belongs together: each step's observation, activations, action, reward.

The tiny environment counts, so that every number of every row is known before it is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from interp_lab.contracts.policy import DerivedMetric, HarvestPolicyRequest, MlpPolicy
from interp_lab.contracts.probe import TrainProbeRequest
from interp_lab.errors import (
    EnvironmentUnusable,
    HookPointUnavailable,
    InvalidRequest,
    PathOutsideWorkspace,
    PolicyUnusable,
)
from interp_lab.jobs.run import LocalRun
from interp_lab.models.policy import PolicyNetwork, load_policy, save_policy
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.workflows.harvest_policy import Rollout, harvest_network, harvest_policy
from interp_lab.workflows.train_probe import train_probe

COUNTING = "InterpLabCounting-v0"


class Counting(gymnasium.Env[Any, Any]):
    """Observes (start, step, total of actions); action a earns 10·step + a; ends after three steps, or by TimeLimit."""

    def __init__(self, *, ends: bool = True) -> None:
        self.observation_space = gymnasium.spaces.Box(-1e6, 1e6, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2, start=5)
        self._ends = ends

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._start, self._step, self._total = float(self.np_random.integers(1000)), 0, 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        own = int(action) - 5
        reward = 10.0 * self._step + own
        self._step, self._total = self._step + 1, self._total + own
        return self._seen(), reward, self._ends and self._step == 3, False, {"after": self._step}

    def _seen(self) -> np.ndarray:
        return np.array([self._start, self._step, self._total], dtype=np.float32)


class Alternating(nn.Module):
    """Takes action 1 at odd steps; `seen` passes the observation on, so that activations are known."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Identity()
        self.twice = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.twice.weight.copy_(2 * torch.eye(3))

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, None]:
        doubled = self.twice(self.seen(observation))
        odd = (observation[:, 1] % 2 == 1).float()
        return torch.stack([1 - odd, odd + 0 * doubled[:, 0]], dim=1), None


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register(COUNTING, entry_point=Counting)
    yield
    del gymnasium.registry[COUNTING]


def played(folder: Path, network: nn.Module, make: Callable[[], Any], **fields: Any) -> ActivationStore:
    folder.mkdir()
    fields = {"addresses": [Address.parse("module:seen")], **fields}
    harvest_network(network, make, Rollout(**fields), folder, name="test", environment="counting")
    return open_store(folder)


def column(store: ActivationStore, name: str) -> np.ndarray:
    return np.array(store.rows(columns=[name]).column(name).to_pylist())


def test_each_row_holds_what_was_seen_computed_done_and_earned_at_one_step(tmp_path: Path):
    store = played(tmp_path / "s", Alternating(), Counting, episodes=5, environments=2)
    assert store.n_rows == 15
    np.testing.assert_array_equal(column(store, "position"), [0, 1, 2] * 5)
    np.testing.assert_array_equal(column(store, "prompt"), np.repeat(np.arange(5), 3))
    seen = store.dense("module:seen").slice(0, 15)
    observed = np.stack([column(store, f"metric:obs.{i}") for i in range(3)], axis=1)
    np.testing.assert_array_equal(seen, observed)
    np.testing.assert_array_equal(observed[:, 1], [0, 1, 2] * 5)
    np.testing.assert_array_equal(observed[:, 2], [0, 0, 1] * 5)
    np.testing.assert_array_equal(column(store, "label:action"), [0, 1, 0] * 5)
    np.testing.assert_array_equal(column(store, "metric:reward"), [0, 11, 20] * 5)
    np.testing.assert_array_equal(column(store, "metric:return_so_far"), [0, 11, 31] * 5)


def test_the_first_step_of_an_episode_has_its_own_numbers_and_nothing_of_the_episode_before(tmp_path: Path):
    totals = {"count": lambda step: 1.0}
    store = played(tmp_path / "s", Alternating(), Counting, episodes=4, environments=1, totals=totals)
    firsts = np.flatnonzero(column(store, "position") == 0)
    assert (column(store, "metric:obs.1")[firsts] == 0).all()
    assert (column(store, "metric:reward")[firsts] == 0).all()
    assert (column(store, "metric:count") == [1, 2, 3] * 4).all()
    assert len(set(column(store, "metric:obs.0")[firsts])) == 4


def test_termination_is_marked_on_the_step_that_caused_it(tmp_path: Path):
    store = played(tmp_path / "s", Alternating(), Counting, episodes=2)
    np.testing.assert_array_equal(column(store, "label:terminated"), [False, False, True] * 2)
    assert not column(store, "label:truncated").any()
    assert store.prompts().column("label:end").to_pylist() == ["terminated"] * 2
    assert store.prompts().column("label:return").to_pylist() == [31.0] * 2


@pytest.mark.parametrize("by", ["wrapper", "limit"])
def test_truncation_ends_an_episode_too(tmp_path: Path, by: str):
    def make() -> Any:
        env = Counting(ends=False)
        return gymnasium.wrappers.TimeLimit(env, 4) if by == "wrapper" else env

    store = played(tmp_path / "s", Alternating(), make, episodes=3, environments=2, max_steps=4)
    np.testing.assert_array_equal(column(store, "position"), [0, 1, 2, 3] * 3)
    np.testing.assert_array_equal(column(store, "label:truncated"), [False, False, False, True] * 3)
    assert not column(store, "label:terminated").any()
    assert store.prompts().column("label:end").to_pylist() == ["truncated"] * 3


def test_the_data_do_not_depend_on_how_many_environments_are_played_at_once(tmp_path: Path):
    tables = [
        played(tmp_path / str(n), Alternating(), Counting, episodes=7, environments=n, actions="sample")
        for n in (1, 3, 16)
    ]
    for other in tables[1:]:
        assert other.rows().equals(tables[0].rows())
        assert other.prompts().equals(tables[0].prompts())


def test_drawn_actions_follow_the_scores_and_the_seed(tmp_path: Path):
    class Uneven(Alternating):
        def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, None]:
            self.seen(observation)
            return torch.log(torch.tensor([[0.8, 0.2]])).expand(len(observation), 2), None

    first = played(tmp_path / "a", Uneven(), Counting, episodes=100, actions="sample", seed=1)
    again = played(tmp_path / "b", Uneven(), Counting, episodes=100, actions="sample", seed=1)
    other = played(tmp_path / "c", Uneven(), Counting, episodes=100, actions="sample", seed=2)
    assert column(first, "label:action").mean() == pytest.approx(0.2, abs=0.08)
    np.testing.assert_array_equal(column(first, "label:action"), column(again, "label:action"))
    assert (column(first, "label:action") != column(other, "label:action")).any()


def test_modules_are_read_on_both_sides(tmp_path: Path):
    addresses = [Address.parse("module:twice@in"), Address.parse("module:twice")]
    store = played(tmp_path / "s", Alternating(), Counting, episodes=2, addresses=addresses)
    before, after = (store.dense(str(address)).slice(0, 6) for address in addresses)
    np.testing.assert_array_equal(after, 2 * before)


def test_a_nonlinearity_that_works_in_place_does_not_overwrite_what_was_read_before_it(tmp_path: Path):
    class InPlace(Alternating):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, None]:
            self.relu(self.twice(-self.seen(observation)))
            return torch.ones(len(observation), 2), None

    addresses = [Address.parse("module:twice"), Address.parse("module:relu")]
    store = played(tmp_path / "s", InPlace(), Counting, episodes=2, addresses=addresses)
    before, after = (store.dense(str(address)).slice(0, 6) for address in addresses)
    assert (before < 0).any()
    np.testing.assert_array_equal(after, np.maximum(before, 0))


def test_declared_metrics_are_computed_from_the_aligned_step(tmp_path: Path):
    derived = tuple(
        map(DerivedMetric.parse, ("later=obs[1]", "far=square(obs[1])", "score=sum(reward)", "size=abs(reward)"))
    )
    metrics = {"said": lambda step: step.info["after"], "both": lambda step: step.observation[1] + step.reward}
    store = played(tmp_path / "s", Alternating(), Counting, episodes=2, derived=derived, metrics=metrics)
    np.testing.assert_array_equal(column(store, "metric:later"), [0, 1, 2] * 2)
    np.testing.assert_array_equal(column(store, "metric:far"), [0, 1, 4] * 2)
    np.testing.assert_array_equal(column(store, "metric:score"), [0, 11, 31] * 2)
    np.testing.assert_array_equal(column(store, "metric:said"), [1, 2, 3] * 2)
    np.testing.assert_array_equal(column(store, "metric:both"), [0, 12, 22] * 2)


@pytest.mark.parametrize(
    "text",
    ["x=obs[2]; import os", "x=__import__('os')", "x=abs(obs[2]", "x=obs[2])", "x=max(reward)", "x=obs", "=reward"],
)
def test_what_is_not_a_declared_metric_is_refused_and_never_evaluated(text: str):
    with pytest.raises(ValueError, match=r"metric|pattern|NAME|is not"):
        DerivedMetric.parse(text)
    with pytest.raises(ValueError, match="metric"):
        HarvestPolicyRequest(
            policy="p", environment="CartPole-v1", addresses=(Address.parse("module:a"),), metrics=(text,)
        )


def test_episodes_that_took_the_same_course_are_one_unit_of_evidence(tmp_path: Path):
    class Fixed(Counting):
        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Any, dict[str, Any]]:
            return super().reset(seed=0)

    assert played(tmp_path / "a", Alternating(), Fixed, episodes=6).manifest.n_groups == 1
    assert played(tmp_path / "b", Alternating(), Counting, episodes=6).manifest.n_groups == 6


def test_the_network_is_left_as_it_was(tmp_path: Path):
    network = Alternating().train()
    played(tmp_path / "s", network, Counting, episodes=2)
    assert network.training
    assert network.seen.training
    assert not network.seen._forward_hooks


def test_a_policy_in_a_folder_plays_cartpole_as_a_job_would(tmp_path: Path):
    save_cartpole(tmp_path / "pole")
    request = HarvestPolicyRequest(
        policy="pole",
        environment="CartPole-v1",
        addresses=(Address.parse("module:activations.0"), Address.parse("module:layers.0@in")),
        episodes=12,
        metrics=("angle=abs(obs[2])",),
    )
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        result = harvest_policy(request, run, settings=Settings(workspace=tmp_path))
    store = open_store(run.written[0])
    observed = np.stack([column(store, f"metric:obs.{i}") for i in range(4)], axis=1)
    np.testing.assert_array_equal(store.dense("module:layers.0@in").slice(0, store.n_rows), observed)
    np.testing.assert_array_equal(column(store, "metric:angle"), np.abs(observed[:, 2]))
    assert result.ends == {"terminated": 12}
    assert result.n_steps == store.n_rows == sum(store.prompts().column("label:length").to_pylist())
    assert (column(store, "metric:reward") == 1).all()
    replayed(store, observed)


def replayed(store: ActivationStore, observed: np.ndarray) -> None:
    """The environment, driven by the stored actions from the stored state, gives the next stored observation."""
    env: Any = gymnasium.make("CartPole-v1", disable_env_checker=True)
    env.reset(seed=0)
    actions, ended = column(store, "label:action"), column(store, "label:terminated")
    for row in range(store.n_rows - 1):
        env.unwrapped.state = observed[row].astype(np.float64)
        env.unwrapped.steps_beyond_terminated = None
        after, _, terminated, _, _ = env.step(actions[row])
        assert bool(terminated) == bool(ended[row])
        if not ended[row]:
            np.testing.assert_allclose(after, observed[row + 1], atol=1e-4)
    env.close()


@pytest.mark.parametrize("actions", ["mode", "sample"])
def test_continuous_actions_stay_within_their_bounds_and_are_recorded_as_executed(tmp_path: Path, actions: str):
    torch.manual_seed(0)
    config = MlpPolicy(n_observations=3, hidden=(8,), n_actions=1, actions="continuous", squash=actions == "mode")
    network = PolicyNetwork(config)
    with torch.no_grad():
        network.layers[-1].weight.mul_(20 if actions == "mode" else 0.1)
    store = played(
        tmp_path / "s",
        network,
        lambda: gymnasium.make("Pendulum-v1", disable_env_checker=True),
        addresses=[Address.parse("module:layers.1")],
        episodes=2,
        actions=actions,
    )
    taken, output = column(store, "metric:action.0"), store.dense("module:layers.1").slice(0, store.n_rows)[:, 0]
    assert store.n_rows == 400
    assert np.abs(taken).max() <= 2
    assert column(store, "label:truncated").sum() == 2
    if actions == "mode":
        np.testing.assert_allclose(taken, 2 * np.tanh(output), atol=1e-5)
    else:
        inside = np.abs(taken) < 2
        assert 0.7 < np.std(taken[inside] - output[inside]) < 1.1


def test_a_probe_reads_from_a_policy_what_it_saw(tmp_path: Path):
    torch.manual_seed(1)
    network = PolicyNetwork(MlpPolicy(n_observations=4, hidden=(16,), n_actions=2, actions="discrete"))
    played(
        tmp_path / "pole",
        network,
        lambda: gymnasium.make("CartPole-v1", disable_env_checker=True),
        addresses=[Address.parse("module:activations.0")],
        episodes=40,
        derived=(DerivedMetric.parse("angle=obs[2]"),),
        actions="sample",
    )
    for target, least in (("metric:angle", 0.9), ("label:action", 0.5)):
        asked = TrainProbeRequest(store="pole", target=target, pooling="none")
        with LocalRun(tmp_path / target.replace(":", "-"), workspace=tmp_path) as run:
            result = train_probe(asked, run, settings=Settings(workspace=tmp_path), suggest=lambda _: ())
        assert result.best.confirm.value > least
        assert result.counts.groups == (16, 12, 12)
        assert result.classes == (("0", "1") if target == "label:action" else ())


def test_what_cannot_be_played_is_refused(tmp_path: Path):
    save_cartpole(tmp_path / "pole")
    with pytest.raises(EnvironmentUnusable):
        request(tmp_path, environment="NoSuchThing-v3")
    with pytest.raises(HookPointUnavailable):
        request(tmp_path, addresses=[Address.parse("module:layers.9")])
    with pytest.raises(PolicyUnusable):
        request(tmp_path, environment="Acrobot-v1")
    with pytest.raises(InvalidRequest):
        request(tmp_path, metrics=("x=obs[7]",))
    with pytest.raises(InvalidRequest):
        request(tmp_path, metrics=("reward=obs[1]",))
    with pytest.raises(PathOutsideWorkspace):
        request(tmp_path, policy="../elsewhere")
    with pytest.raises(ValueError, match="environment"):
        request(tmp_path, environment="evil_module:Thing-v0")


def request(workspace: Path, **fields: Any) -> None:
    fields = {"policy": "pole", "environment": "CartPole-v1", "addresses": [Address.parse("module:layers.0")], **fields}
    asked = HarvestPolicyRequest.model_validate(fields)
    with LocalRun(workspace / "out", workspace=workspace) as run:
        harvest_policy(asked, run, settings=Settings(workspace=workspace))


def save_cartpole(folder: Path) -> PolicyNetwork:
    torch.manual_seed(0)
    network = PolicyNetwork(MlpPolicy(n_observations=4, hidden=(16,), n_actions=2, actions="discrete"))
    folder.mkdir()
    save_policy(network, folder)
    return network


def test_a_saved_policy_comes_back_and_a_misfit_is_named(tmp_path: Path):
    network = save_cartpole(tmp_path / "pole")
    again, observation = load_policy(tmp_path / "pole"), torch.randn(5, 4)
    torch.testing.assert_close(again(observation), network(observation), rtol=0, atol=0)
    text = (tmp_path / "pole" / "policy.json").read_text()
    (tmp_path / "pole" / "policy.json").write_text(text.replace("16", "17"))
    with pytest.raises(PolicyUnusable, match=r"layers\.0"):
        load_policy(tmp_path / "pole")
    (tmp_path / "pole" / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(PolicyUnusable, match="cannot be read"):
        load_policy(tmp_path / "pole")


def test_normalisation_is_part_of_the_policy():
    config = MlpPolicy(
        n_observations=2, hidden=(), n_actions=2, actions="discrete",
        observation_mean=(1.0, 2.0), observation_std=(2.0, 4.0), observation_clip=1.5,
    )  # fmt: skip
    network = PolicyNetwork(config)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.eye(2))
        network.layers[0].bias.zero_()
    torch.testing.assert_close(network(torch.tensor([[3.0, 100.0]])), torch.tensor([[1.0, 1.5]]))
    with pytest.raises(ValueError, match="observation_std"):
        MlpPolicy(n_observations=1, hidden=(), n_actions=1, actions="discrete", observation_std=(0.0,))
