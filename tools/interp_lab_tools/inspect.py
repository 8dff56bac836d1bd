"""inspect: which coordinates of a model follow a criterion, and how far the evidence carries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.inspect import InspectPlan, InspectRequest, InspectResult
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, FeaturesEvidence
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups, refuse_one_sided, refuse_without_spans, relabelled
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import HookPointUnavailable, HubUnreachable, SplitImpossible
from interp_lab.evidence.grade import too_few_to_confirm
from interp_lab.evidence.split import DEFAULT_SHARES, split_groups
from interp_lab.models.facts import ModelFacts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import fingerprint, locate
from interp_lab.points import Address, every_layer
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs, dictionary_stamp
from interp_lab.workflows.inspection.asked import asking, further
from interp_lab.workflows.inspection.edited.sources import check_edits
from interp_lab.workflows.inspection.registered import refuse_unregistered
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.inspect_next import by_report, suggest
from interp_lab_tools.inspect_recorded import plan_recorded
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run

_BYTES_PER_VALUE = 4
GROUPED_AT_ONCE = 2000
"""Prompts that are compared with each other while the caller waits; it takes about a second."""


def _plan(request: InspectRequest, lab: Lab) -> Plan:
    if not request.runs_model:
        return plan_recorded(request, lab)
    prompts = _prompts(request, lab)
    refuse_unregistered(request, prompts, lab.settings)
    dictionaries = dictionary_configs(request.dictionaries, lab.settings)
    facts = _facts(request, prompts, lab)
    if facts is not None:
        for dictionary in dictionaries:
            addresses_read(dictionary, facts)
    groups = _groups(prompts, request)
    _refuse_unteachable(prompts, request, groups)
    others = _others(request, lab, facts)
    plan = _cost(request, prompts, facts, dictionaries, n_groups=len(set(groups)) if groups else None)
    plan = _with_others(plan, prompts, others)
    return Plan(
        summary=_in_words(plan, request.model.id),
        details=plan.model_dump(mode="json", exclude_none=True),
        label=f"{request.criterion[:80]} in {request.model.id}",
        slot=slot_for(request.model.device, lab.settings),
        inputs={
            "prompts": prompts.sha256,
            "model": fingerprint(request.model, lab.settings),
            **{f"dictionary {name}": dictionary_stamp(name, lab.settings) for name in request.dictionaries},
            **check_edits(request, lab.settings),
            **_listed(request, lab),
            **{f"prompts {number}": other.sha256 for number, other in enumerate(others, start=2)},
        },
        warnings=tuple(_warnings(request, prompts, groups, facts)),
    )


def _prompts(request: InspectRequest, lab: Lab) -> PromptSet:
    assert request.dataset is not None  # the request has either a dataset or evidence
    prompts = open_prompts(request.dataset, lab.settings)
    if request.label is not None:
        prompts = relabelled(prompts, request.label)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span":
        refuse_without_spans(prompts)
    return prompts


def _listed(request: InspectRequest, lab: Lab) -> dict[str, str]:
    """Return a stamp of the list of features, where one is to be measured."""
    if not isinstance(request.evidence, FeaturesEvidence):
        return {}
    path = request.evidence.path
    status = resolve_input(lab.settings.workspace, path, read_roots=lab.settings.read_roots, kind="file").stat()
    return {f"features {path}": f"{status.st_size}:{status.st_mtime_ns}"}


def _others(request: InspectRequest, lab: Lab, facts: ModelFacts | None) -> list[PromptSet]:
    """Return the prompts of the further criteria, checked as those of the first are."""
    found: list[PromptSet] = []
    for one in further(request):
        prompts = _prompts(one, lab)
        _refuse_unteachable(prompts, one, _groups(prompts, one))
        if facts is not None:
            _facts(one, prompts, lab)
        found.append(prompts)
    return found


def _with_others(plan: InspectPlan, prompts: PromptSet, others: Sequence[PromptSet]) -> InspectPlan:
    if not others:
        return plan
    read = {
        (prompt.text, tuple((span.start, span.end) for span in prompt.spans))
        for each in (prompts, *others)
        for prompt in each.prompts
    }
    peak = plan.peak_bytes and plan.peak_bytes + 3 * (len(read) - plan.n_prompts) * (plan.n_coordinates or 0) * 4
    passes = len(read)
    if plan.n_forward_passes > plan.n_prompts:  # each criterion learns directions of its own
        passes = 2 * sum(len(each.prompts) for each in (prompts, *others))
    return plan.model_copy(update={"n_criteria": 1 + len(others), "n_forward_passes": passes, "peak_bytes": peak})


def _groups(prompts: PromptSet, request: InspectRequest) -> list[int] | None:
    """Return the group of every prompt, or None for a set that takes too long to compare before the job starts.

    Raises:
        SplitImpossible: there are fewer than two independent groups of a label.
    """
    if len(prompts.prompts) > GROUPED_AT_ONCE:
        return None
    groups = prompt_groups(prompts)
    labels = prompts.positive(request.threshold)
    split_groups(prompts.texts(), labels, groups, seed=request.seed, shares={"explore": 1.0})
    return groups


def _refuse_unteachable(prompts: PromptSet, request: InspectRequest, groups: list[int] | None) -> None:
    """Check that explore prompts can both teach directions and rank them.

    Raises:
        TooFewGroups: They are too few groups for that.
    """
    if groups is None or not isinstance(request.evidence, DirectionsEvidence):
        return
    from interp_lab.methods.taught_in_order import blocks_of  # lazy: numpy is not needed to list tools
    from interp_lab.statistics.sample import Sample  # lazy: numpy as well

    labels = prompts.positive(request.threshold)
    try:
        split = split_groups(prompts.texts(), labels, groups, seed=request.seed, shares=DEFAULT_SHARES)
    except SplitImpossible:
        split = split_groups(prompts.texts(), labels, groups, seed=request.seed, shares={"explore": 1.0})
    rows = split.rows("explore")
    blocks_of(Sample.of([labels[i] for i in rows], [groups[i] for i in rows]), seed=request.seed)


def _warnings(
    request: InspectRequest, prompts: PromptSet, groups: list[int] | None, facts: ModelFacts | None
) -> Iterator[str]:
    if facts is None:
        yield f"{request.model.id} is not on this machine yet: the job fetches it first."
    if groups is None:
        yield (
            f"More than {GROUPED_AT_ONCE:,} prompts are compared by the job, not here: the number of independent "
            "groups is in the report, not in this plan."
        )
        return
    sides = list(zip(groups, prompts.positive(request.threshold), strict=True))
    fewest = min(len({group for group, side in sides if side is wanted}) for wanted in (True, False))
    yield from too_few_to_confirm(fewest)
    if request.dry_run:  # the job audits the set itself
        yield from _unusable(request, prompts)


def _unusable(request: InspectRequest, prompts: PromptSet) -> Iterator[str]:
    """Yield why no claim could rest on the set, as far as that shows without a model."""
    from interp_lab.corpus.audit import Grouped  # lazy: numpy is not needed to list tools
    from interp_lab.corpus.audited import audit_set  # lazy: numpy as well

    audit = audit_set(Grouped(prompts, request.threshold, request.seed))
    if audit.usability == "unusable":
        why = " ".join(issue.message for issue in audit.issues if issue.severity == "error")
        yield f"The prompt set is unusable as it is: {why} Repair it before this runs: audit_prompts says more."


def _facts(request: InspectRequest, prompts: PromptSet, lab: Lab) -> ModelFacts | None:
    """Return the facts of a model that is on this machine, or None for one that the job will fetch."""
    if any(address.point == "attn_probs" for address in request.addresses):
        raise HookPointUnavailable("attn_probs has a row of weights per head and token, not one number per coordinate.")
    source = locate(request.model, lab.settings)
    if source is None:
        if lab.settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return None
    texts = dict(zip(prompts.ids(), prompts.texts(), strict=True))
    return preflight(
        source.directory,
        addresses=request.addresses,
        prompts=texts,
        allow_remote_code=lab.settings.trust_remote_code,
    )


def _cost(
    request: InspectRequest,
    prompts: PromptSet,
    facts: ModelFacts | None,
    dictionaries: Sequence[DictionaryConfig],
    *,
    n_groups: int | None,
) -> InspectPlan:
    default = () if dictionaries else (every_layer("resid_post", facts.n_layers) if facts else None)
    addresses = request.addresses or default
    n_latents = sum(dictionary.n_latents for dictionary in dictionaries)
    n_prompts, n_positive = len(prompts.prompts), sum(prompts.positive(request.threshold))
    n_coordinates = None if facts is None or addresses is None else _n_coordinates(facts, addresses, n_latents)
    taught = request.evidence if isinstance(request.evidence, DirectionsEvidence) else None
    weight_bytes = None if facts is None else facts.weights.n_bytes
    peak_bytes = None
    if weight_bytes is not None and n_coordinates is not None:
        peak_bytes = 2 * weight_bytes + 3 * n_prompts * n_coordinates * _BYTES_PER_VALUE
    if taught is not None and n_coordinates is not None and addresses is not None:
        n_coordinates = len(addresses) * _n_directions(taught)
    return InspectPlan(
        n_prompts=n_prompts,
        n_positive=n_positive,
        n_negative=n_prompts - n_positive,
        n_groups=n_groups,
        addresses=None if addresses is None else tuple(str(address) for address in addresses),
        dictionaries=tuple(dictionary.source or "" for dictionary in dictionaries),
        n_coordinates=n_coordinates,
        n_forward_passes=n_prompts * (1 if taught is None else 2),
        weight_bytes=weight_bytes,
        peak_bytes=peak_bytes,
    )


def _n_directions(evidence: DirectionsEvidence) -> int:
    """Directions of each address."""
    return sum(evidence.n_components if each == "principal_component" else 1 for each in set(evidence.methods))


def _n_coordinates(facts: ModelFacts, addresses: tuple[Address, ...], n_latents: int) -> int | None:
    widths = [facts.width(address) for address in addresses]
    known = [width for width in widths if width is not None]
    return sum(known) + n_latents if len(known) == len(widths) else None


def _in_words(plan: InspectPlan, model_id: str) -> str:
    where = "every layer" if plan.addresses is None else counted(len(plan.addresses), "address", "addresses")
    where += f" and {counted(len(plan.dictionaries), 'dictionary', 'dictionaries')}" if plan.dictionaries else ""
    what = "an unknown number of" if plan.n_coordinates is None else str(plan.n_coordinates)
    peak = "memory unknown" if plan.peak_bytes is None else f"about {plan.peak_bytes / 2**20:.0f} MiB at the peak"
    groups = "" if plan.n_groups is None else f", {plan.n_groups} independent groups"
    prompts = f"{plan.n_prompts} prompts ({plan.n_positive} positive{groups})"
    if plan.n_criteria > 1:
        prompts += f", {plan.n_forward_passes} distinct ones of {plan.n_criteria} criteria,"
    return f"{prompts} through {model_id}, {where}, {what} coordinates; {peak}."


def _handle(request: InspectRequest, run: Run) -> InspectResult:
    from interp_lab.workflows.inspect import inspect  # lazy: the workflow imports torch, and only the worker may

    found = inspect(request, run, settings=Settings.from_env(), suggest=_suggest(request))
    actions = by_report(request, found, run.artifact_ids[0]) if run.artifact_ids else found.agent_next_actions
    return found.model_copy(update={"agent_next_actions": actions})


def _suggest(request: InspectRequest) -> Callable[[InspectReport], tuple[NextAction, ...]]:
    return lambda report: suggest(asking(request, report.criterion), report)


INSPECT = JobCapability(
    name="inspect",
    title="Rank a model's coordinates by a criterion and grade the evidence",
    guidance=(
        "Give a model, a criterion in words and scored prompts (a dataset in the box, a file, or your own: positives "
        "and hard negatives), or values on disk as evidence: an activation store, activation records. Audits the "
        "prompts for confounds, ranks every coordinate on half of the prompt groups, measures the best again on the "
        "other half, grades each with reason codes, and says whether a set, direction or probe does better. Shows "
        "association only: "
        "that the model carries the information, never that it uses it, so no grade is above needs_causal_evidence. "
        "Use dry_run first for the cost. Not for comparing models or for causes. Runs as a job: if state is not final, "
        "call job_wait. The full report (all statistics, top contexts) is in the artifact: report.md, report.json, "
        "report.html."
    ),
    request=InspectRequest,
    result=InspectResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True, open_world=True),
    toolset="core",
    changes="Grades of coordinates, up to needs_causal_evidence; never validated.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
        "pooling": "span",
    },
)
