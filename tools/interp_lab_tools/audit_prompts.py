"""audit_prompts: what a prompt set is worth before any model reads it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.prompt_audit import AuditPromptsRequest, AuditPromptsResult, PromptAudit
from interp_lab.corpus.prompt_registry import SetEntry, list_registry
from interp_lab.corpus.workspace_sets import FOLDER
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab


def _handle(request: AuditPromptsRequest, lab: Lab) -> AuditPromptsResult:
    from interp_lab.workflows.audit_prompts import audit_prompts  # lazy: numpy is not needed to list tools

    prompts, audit = audit_prompts(request, lab.settings)
    return AuditPromptsResult(
        summary=in_words(prompts.name, audit),
        warnings=audit_warnings(audit),
        dataset=prompts.name,
        sha256=prompts.sha256,
        audit=audit,
        agent_next_actions=tuple(_next(prompts.name, audit, lab)),
    )


def _next(dataset: str, audit: PromptAudit, lab: Lab) -> Iterator[NextAction]:
    """Yield the inspection of a set whose criterion is known, or the list of sets where no claim could rest on it."""
    known = next((entry for entry in list_registry(lab.settings) if dataset in _names(entry)), None)
    if known is not None and known.criterion:
        yield from inspect_action(known.criterion, dataset, audit, pooling=known.pooling)
    if audit.usability != "usable":
        why = "Choose a set that no shortcut solves, or add the rows in rows_to_add."
        yield NextAction(tool="lab_overview", arguments={"sections": ["datasets"]}, why=why)


def _names(entry: SetEntry) -> tuple[str, ...]:
    """Return what a set may be called: as it is listed, and by the path that build_prompts gives."""
    own = (f"{FOLDER}/{entry.name}.jsonl",) if entry.origin == "workspace" else ()
    return entry.argument, *own


def in_words(name: str, audit: PromptAudit) -> str:
    """Return the audit in a sentence or two."""
    power = audit.power
    sees = (
        "nothing can be confirmed on it"
        if power.detectable_auroc is None
        else f"one chosen latent is confirmed from AUROC {power.detectable_auroc:.2f} on (80 % power)"
    )
    first = (
        f"{name} is {audit.usability}: {audit.n_positive} positives and {audit.n_negative} negatives in "
        f"{power.n_groups} independent groups; {sees}."
    )
    worst = next(iter(audit.surface), None)
    if worst is None:
        return first
    return f"{first} Strongest shortcut without a model: {worst.name}, AUROC {worst.auroc:.2f} ({worst.verdict})."


def audit_warnings(audit: PromptAudit) -> tuple[str, ...]:
    """Return what must be known before the set is used."""
    return tuple(issue.message for issue in audit.issues if issue.severity != "info")


def inspect_action(
    criterion: str, dataset: str, audit: PromptAudit, *, pooling: str | None = None
) -> Iterator[NextAction]:
    """Yield the inspection that the set was built for, unless no claim could rest on it."""
    if audit.usability == "unusable":
        return
    arguments: dict[str, JsonValue] = {
        "model": "builtin:pocket-llama",
        "criterion": criterion,
        "dataset": dataset,
        "dry_run": True,
    }
    if pooling is not None:
        arguments["pooling"] = pooling
    elif audit.n_spans == audit.n_prompts:
        arguments["pooling"] = "span"  # the set says where the property sits; every prompt has to, for this pooling
    why = "See what an inspection with this set would cost; put your own model in."
    yield NextAction(tool="inspect", arguments=arguments, why=why)


AUDIT_PROMPTS = InlineCapability(
    name="audit_prompts",
    title="Audit a prompt set before any model reads it",
    guidance=(
        "Tells what a labelled prompt set is worth: how far length, punctuation, digits, capitals, template or words "
        "alone get at the label; duplicates, conflicts and imbalance; the smallest effect that the set could confirm; "
        "which rows to add and to drop. Call it before inspect on a set of your own. No model is read, so a clean "
        "audit says nothing about what a model represents."
    ),
    request=AuditPromptsRequest,
    result=AuditPromptsResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="core",
    changes="No grade; it says which confounds a claim on these prompts would rest on.",
    example={"dataset": "builtin:question"},
)
