# pyright: standard
"""harvest_policy: a policy acts in an environment; its activations at every step go into an activation store."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interp_lab.artifacts.paths import resolve_input
from interp_lab.bridges.gymnasium import MakeEnvironment, open_environments, registered
from interp_lab.contracts.policy import ActionChoice, DerivedMetric, HarvestPolicyRequest, HarvestPolicyResult
from interp_lab.contracts.store import (
    STORE_KIND,
    DenseColumn,
    StoredDataset,
    StoredModel,
    StoreDtype,
    StoreHeader,
    StoreManifest,
)
from interp_lab.engine.modules import reading
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run
from interp_lab.models.policy import load_policy
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.locate import publish_store
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.policies.acting import Choose, check_fit, chooser
from interp_lab.workflows.policies.episodes import Episode, Player
from interp_lab.workflows.policies.rows import Recorder, StepMetric, prompts_of, summary_of


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a policy is played and what is kept of it."""

    addresses: Sequence[Address]
    episodes: int = 100
    max_steps: int = 1000
    environments: int = 8
    actions: ActionChoice = "mode"
    choose: Choose | None = None
    """How actions follow from the output, for a network that `actions` does not understand."""
    derived: tuple[DerivedMetric, ...] = ()
    metrics: Mapping[str, StepMetric] = field(default_factory=dict[str, StepMetric])
    """Numbers of one step, computed in Python."""
    totals: Mapping[str, StepMetric] = field(default_factory=dict[str, StepMetric])
    """Numbers of one step, summed over the episode so far."""
    dtype: StoreDtype = "float32"
    device: str = "cpu"
    seed: int = 0
    shard_rows: int = 65_536


def harvest_policy(request: HarvestPolicyRequest, run: Run, *, settings: Settings) -> HarvestPolicyResult:
    """Return what was played; the store is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the policy, the environment or the addresses.
    """
    run.progress(0, request.episodes, "opening the policy", "episodes")
    folder = resolve_input(settings.workspace, request.policy, read_roots=settings.read_roots, kind="folder")
    network = load_policy(folder)
    run.seed, run.device = request.seed, request.device
    run.inputs |= {"policy": f"{request.policy} sha256:{weights_hash(network)}", "environment": request.environment}
    rollout = Rollout(
        addresses=request.addresses,
        episodes=request.episodes,
        max_steps=request.max_steps,
        environments=request.environments,
        actions=request.actions,
        derived=tuple(DerivedMetric.parse(text) for text in request.metrics),
        dtype=request.dtype,
        device=request.device,
        seed=request.seed,
    )
    target = run.checkpoint_dir / "store"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()

    def told(done: int) -> None:
        run.progress(done, request.episodes, "playing", "episodes")

    manifest, summaries = _played(
        network,
        registered(request.environment),
        rollout,
        target,
        names=(request.policy, request.environment),
        told=told,
    )
    _publish(target, manifest, run)
    return _result(request.environment, manifest, summaries)


def harvest_network(
    network: nn.Module, make: MakeEnvironment, rollout: Rollout, folder: Path, *, name: str, environment: str
) -> StoreManifest:
    """Return the manifest of a store of any torch network's activations, written into an empty folder.

    Raises:
        LabError: as `harvest_policy`.
    """
    return _played(network, make, rollout, folder, names=(name, environment), told=lambda _: None)[0]


def weights_hash(network: nn.Module) -> str:
    """Return a hash over the names and values of the network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.detach().double().cpu().numpy().tobytes())
    return digest.hexdigest()


def _played(
    network: nn.Module,
    make: MakeEnvironment,
    rollout: Rollout,
    folder: Path,
    *,
    names: tuple[str, str],
    told: Callable[[int], None],
) -> tuple[StoreManifest, list[Any]]:
    if not rollout.addresses:
        raise InvalidRequest("No address was named.")
    device = torch.device("cuda" if rollout.device == "auto" and torch.cuda.is_available() else _plain(rollout.device))
    environments = open_environments([make] * min(rollout.environments, rollout.episodes))
    try:
        spaces = environments[0].spaces
        recorder = Recorder(spaces, rollout.derived, rollout.metrics, rollout.totals)
        check_fit(network, spaces)
        choose = rollout.choose or chooser(network, spaces, rollout.actions)
        with reading(network.to(device), rollout.addresses) as reader:
            player = Player(reader, choose, environments, rollout.seed, rollout.max_steps, device)
            return _written(player, recorder, rollout, folder, header=_Header(network, names), told=told)
    finally:
        for environment in environments:
            environment.close()


def _plain(device: str) -> str:
    return "cpu" if device == "auto" else device


@dataclass(frozen=True)
class _Header:
    network: nn.Module
    names: tuple[str, str]

    def made(self, rollout: Rollout, recorder: Recorder, first: Episode) -> StoreHeader:
        """Return the header; the widths are those of the first activations."""
        policy, environment = self.names
        return StoreHeader(
            title=f"{policy} in {environment}"[:200],
            row="step",
            model=StoredModel(
                id=policy,
                weights_hash=weights_hash(self.network),
                architecture=type(self.network).__name__,
                device=rollout.device,
            ),
            dataset=StoredDataset(name=environment),
            columns=tuple(
                DenseColumn(address=address, width=values.size, dtype=rollout.dtype)
                for address, values in first.activations[0].items()
            ),
            labels=recorder.labels(),
            metrics=recorder.fields(),
            seed=rollout.seed,
            settings={"actions": rollout.actions, "episodes": rollout.episodes, "max_steps": rollout.max_steps},
        )


def _written(
    player: Player,
    recorder: Recorder,
    rollout: Rollout,
    folder: Path,
    *,
    header: _Header,
    told: Callable[[int], None],
) -> tuple[StoreManifest, list[Any]]:
    recorder.fields()
    playing = player.play(rollout.episodes)
    first = next(playing)
    summaries: list[Any] = []
    with StoreWriter(folder, header.made(rollout, recorder, first), shard_rows=rollout.shard_rows) as writer:
        for episode in chain([first], playing):
            writer.add(recorder.block(episode))
            summaries.append(summary_of(episode))
            told(len(summaries))
        return writer.finish(prompts_of(summaries)), summaries


def _publish(folder: Path, manifest: StoreManifest, run: Run) -> None:
    with run.artifact(STORE_KIND, manifest.title) as files:
        publish_store(folder, files)
        files.metrics |= {"n_rows": manifest.n_rows, "n_prompts": manifest.n_prompts, "n_groups": manifest.n_groups}


def _result(environment: str, manifest: StoreManifest, summaries: list[Any]) -> HarvestPolicyResult:
    returns = [total for _, total, *_ in summaries]
    mean = sum(returns) / len(returns)
    ends = Counter(end for _, _, end, *_ in summaries)
    few = manifest.n_groups < 20
    return HarvestPolicyResult(
        summary=(
            f"{manifest.n_rows} steps of {manifest.n_prompts} episodes of {environment}, mean return {mean:.1f}; "
            f"{manifest.n_groups} independent courses.\nA row is one step: what the policy saw, computed and did, and "
            "the reward that followed."
        ),
        warnings=(
            (f"Only {manifest.n_groups} episodes took different courses; conclusions rest on these.",) if few else ()
        ),
        environment=environment,
        n_episodes=manifest.n_prompts,
        n_steps=manifest.n_rows,
        n_groups=manifest.n_groups,
        ends=dict(ends),
        mean_return=mean,
        columns={column.key: column.width for column in manifest.columns},
        metrics=tuple(metric.name for metric in manifest.metrics),
        labels=tuple(label.name for label in manifest.labels),
    )
