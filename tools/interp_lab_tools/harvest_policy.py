"""harvest_policy: a policy acts in an environment and its activations are kept, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.policy import HarvestPolicyPlan, HarvestPolicyRequest, HarvestPolicyResult
from interp_lab.errors import PolicyUnusable
from interp_lab.models.policy_files import CONFIG, WEIGHTS, read_config
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: HarvestPolicyRequest, lab: Lab) -> Plan:
    settings = lab.settings
    folder = resolve_input(settings.workspace, request.policy, read_roots=settings.read_roots, kind="folder")
    config = read_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise PolicyUnusable(f"There is no {WEIGHTS} in the policy's folder.")
    plan = HarvestPolicyPlan(
        n_episodes=request.episodes,
        n_steps_at_most=request.episodes * request.max_steps,
        n_parameters=config.n_parameters,
        columns=tuple(str(address) for address in request.addresses),
    )
    return Plan(
        summary=(
            f"{plan.n_episodes} episodes of {request.environment}, at most {plan.n_steps_at_most} steps, "
            f"{len(plan.columns)} columns; a policy of {plan.n_parameters} parameters."
        ),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.policy} in {request.environment}"[:200],
        slot=slot_for(request.device, settings),
        inputs={"policy": hash_file(folder / CONFIG)[0], "weights": hash_file(folder / WEIGHTS)[0]},
    )


def _handle(request: HarvestPolicyRequest, run: Run) -> HarvestPolicyResult:
    from interp_lab.workflows.harvest_policy import harvest_policy  # lazy: imports torch, and only the worker may

    return harvest_policy(request, run, settings=Settings.from_env())


HARVEST_POLICY = JobCapability(
    name="harvest_policy",
    title="Play a policy in a Gymnasium environment and store its activations",
    guidance=(
        "Give a folder with policy.json (a declared multilayer perceptron) and model.safetensors, a registered "
        "environment and modules to read ('module:activations.1', 'module:layers.0@in'). Plays episodes and stores, "
        "one row per step, what the policy saw, computed and did, and the reward that followed. A row's numbers "
        "belong to the same step. Query the store like any other, or train_probe on it with pooling 'none'. "
        "Networks of other kinds: call it from Python."
    ),
    request=HarvestPolicyRequest,
    result=HarvestPolicyResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="ops",
    changes="No grade; its activations can then be asked and trained on.",
    example={
        "policy": "policies/cartpole",
        "environment": "CartPole-v1",
        "addresses": ["module:activations.1"],
        "metrics": ["angle=abs(obs[2])"],
    },
)
