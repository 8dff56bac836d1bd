"""Audit a prompt set: what solves it without a model, what it could show, which rows to add and to drop. No torch."""

from __future__ import annotations

from interp_lab.contracts.prompt_audit import AuditPromptsRequest, PromptAudit
from interp_lab.corpus.audit import Grouped
from interp_lab.corpus.audited import audit_set
from interp_lab.corpus.candidates import MAX_CANDIDATES
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import InvalidPrompts
from interp_lab.settings import Settings


def audit_prompts(request: AuditPromptsRequest, settings: Settings) -> tuple[PromptSet, PromptAudit]:
    """Return the set that was opened and its audit.

    Raises:
        InvalidPrompts: the set cannot be read, has one label only, or is too large to be compared at once.
    """
    prompts = open_prompts(request.dataset, settings)
    if len(prompts.prompts) > MAX_CANDIDATES:
        raise InvalidPrompts(
            f"{prompts.name} has {len(prompts.prompts):,} prompts; {MAX_CANDIDATES:,} are audited at once.",
            remedy="Audit a sample of it, or call inspect, which audits as a job.",
        )
    refuse_one_sided(prompts, request.threshold)
    return prompts, audit_set(Grouped(prompts, request.threshold, request.seed))
