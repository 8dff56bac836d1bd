"""build_prompts: from texts, files, a preset or the calling agent's own writing to an audited prompt set."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.build_prompts import Ask, BuildPromptsRequest, BuildPromptsResult
from interp_lab.corpus.generation import NEEDED_GROUPS
from interp_lab_tools.audit_prompts import audit_warnings, in_words, inspect_action
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab

_SHOWN = 10
_READY = "See whether a ready set asks the same; otherwise write the texts and give them back with the request_id."


def _handle(request: BuildPromptsRequest, lab: Lab) -> BuildPromptsResult:
    if isinstance(request.source, Ask):
        return _ask(request, request.source, lab)
    from interp_lab.workflows.build_prompts import build_prompts  # lazy: numpy is not needed to list tools

    built = build_prompts(request, lab.settings)
    return BuildPromptsResult(
        summary=f"Wrote {built.path}. {in_words(request.name, built.audit)}",
        warnings=audit_warnings(built.audit),
        name=request.name,
        criterion=built.criterion,
        dataset=built.path,
        sha256=built.prompts.sha256,
        n_dropped=len(built.assembly.dropped),
        dropped=built.assembly.dropped[:_SHOWN],
        audit=built.audit,
        agent_next_actions=tuple(inspect_action(built.criterion, built.path, built.audit)),
    )


def _ask(request: BuildPromptsRequest, source: Ask, lab: Lab) -> BuildPromptsResult:
    from interp_lab.workflows.build_prompts import ask_for_texts  # lazy: numpy is not needed to list tools

    wanted = ask_for_texts(request, source, lab.settings)
    return BuildPromptsResult(
        summary=(
            f"Nothing is built yet: write {wanted.n_positive} positives and {wanted.n_negative} negatives in about "
            f"{wanted.n_groups} groups by the rules, then call build_prompts again with the same name and criterion "
            f"and source {{kind: 'answer', request_id: '{wanted.request_id}', candidates: [...]}}."
        ),
        warnings=tuple(_too_few(wanted.n_groups)),
        name=request.name,
        criterion=request.criterion,
        generation_request=wanted,
        agent_next_actions=(NextAction(tool="lab_overview", arguments={"sections": ["datasets"]}, why=_READY),),
    )


def _too_few(n_groups: int) -> Iterator[str]:
    if n_groups < NEEDED_GROUPS:
        yield (
            f"{n_groups} groups are for a first look: {NEEDED_GROUPS} independent groups of each label are needed "
            f"before anything can be confirmed. Ask with n_per_side {NEEDED_GROUPS} or more for a grade."
        )


BUILD_PROMPTS = InlineCapability(
    name="build_prompts",
    title="Build an audited prompt set for a criterion",
    guidance=(
        "Makes the labelled prompts that inspect needs. Give texts, text files, a JSON Lines or CSV table (also "
        "chats), or a preset file; or let source {kind: 'ask'} tell you what to write and give it back with {kind: "
        "'answer'}. Drops duplicates and texts with both labels, joins near-duplicates and pairs into groups, balances "
        "counts and lengths, audits, and writes prompts/NAME.jsonl. Ready sets for common criteria are in the box "
        "(lab_overview). The labels are yours: nothing here checks that a text has the property."
    ),
    request=BuildPromptsRequest,
    result=BuildPromptsResult,
    handler=_handle,
    effects=Effects(read_only=False, destructive=False, idempotent=True),
    toolset="core",
    changes="No grade; it gives inspect and intervene prompts to read.",
    example={
        "name": "polite-request",
        "criterion": "the speaker asks politely",
        "source": {"kind": "ask", "n_per_side": 60},
    },
)
