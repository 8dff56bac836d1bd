"""embed_explanations: explanations as vectors of a local sentence encoder, for search by sense."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.embed_explanations import (
    EmbedExplanationsPlan,
    EmbedExplanationsRequest,
    EmbedExplanationsResult,
)
from interp_lab.models.reference import fingerprint
from interp_lab.models.text_files import local_source, refuse_other_pooling
from interp_lab.settings import Settings
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.explanations import known_explanations
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: EmbedExplanationsRequest, lab: Lab) -> Plan:
    refuse_other_pooling(local_source(request.encoder, lab.settings).directory)
    said = sorted({record.text for record in known_explanations(lab)}) if request.explanations else []
    plan = EmbedExplanationsPlan(n_explanations=len(said), n_words=len(request.words))
    return Plan(
        summary=f"{plan.n_explanations} explanations and {plan.n_words} queries through {request.encoder.id}.",
        details=plan.model_dump(mode="json"),
        label=f"vectors by {request.encoder.id}"[:200],
        slot=slot_for(request.encoder.device, lab.settings),
        inputs={
            "encoder": fingerprint(request.encoder, lab.settings),
            "explanations": hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest(),
        },
    )


def _handle(request: EmbedExplanationsRequest, run: Run) -> EmbedExplanationsResult:
    from interp_lab.workflows.embed_explanations import embed_explanations  # lazy: imports torch, only the worker may

    result, vectors = embed_explanations(request, run, settings=Settings.from_env())
    words = next(iter(request.words), None)
    if words is None or not result.n_explanations:
        return result
    by: dict[str, JsonValue] = {"kind": "explanation", "words": words, "vectors": [vectors]}
    action = NextAction(tool="search_features", arguments={"by": by}, why="See which explanations are nearest.")
    return result.model_copy(update={"agent_next_actions": (action,)})


EMBED_EXPLANATIONS = JobCapability(
    name="embed_explanations",
    title="Embed explanations with a local sentence encoder",
    guidance=(
        "Optional, where the operator has a sentence encoder on this machine. Turns every explanation of the "
        "workspace and the words that you will look for into vectors; search_features by explanation with these "
        "vectors then finds paraphrases, where the default finds shared words. Vectors of two encoders are never "
        "compared. Run it again after new explanations, or with explanations false for new words alone. Likeness of "
        "two explanations says nothing of the latents. The encoder is never fetched."
    ),
    request=EmbedExplanationsRequest,
    result=EmbedExplanationsResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="explain",
    changes="No grade; explanations can be searched by meaning.",
    example={"encoder": "models/sentence-encoder", "words": ["names of people"]},
)
