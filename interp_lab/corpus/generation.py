"""What an agent is asked to write, kept in the workspace so that the second call cannot lose what the first said."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.base import Contract
from interp_lab.contracts.build_prompts import Candidate, GenerationRequest
from interp_lab.contracts.inspect import Criterion
from interp_lab.contracts.presets import Slug
from interp_lab.corpus.workspace_sets import own_folder
from interp_lab.errors import MalformedFile, UnknownGenerationRequest
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS

FOLDER = "requests"
PER_GROUP = 4
"""Rows of each side that one scene or template is good for."""

NEEDED_GROUPS = 2 * LEAST_CONFIRM_GROUPS
"""Groups of each side from which on a grade is possible: half of them are kept back to confirm."""

RULES = (
    "Write what the model would really meet: complete, natural texts of the kinds it will be used on.",
    "Every negative is a hard one: same topic, same kind of text, same opening words; only the property is missing.",
    "Give each positive a negative that differs in as few words as can be; give both the same 'pair'.",
    "Lengths, punctuation, digits and capitals must be spread alike over positives and negatives.",
    "No word may occur on one side only, unless the criterion is that word.",
    "Name the scene or template in 'group'; a group has positives and negatives, and no two groups share a wording.",
    f"Nothing is confirmed on fewer than {NEEDED_GROUPS} independent groups of each label; near-duplicates count once.",
    "Mark where the property sits in 'spans' (character offsets), in negatives where it would sit, if it has a place.",
    "Name the kind of positive or of hard negative in 'subtype', at least two kinds of negative.",
)
"""What makes a set worth something; the audit measures most of it."""


class Asked(Contract):
    """The first call, as the second one needs it."""

    name: Slug
    """Name of the set."""
    criterion: Criterion
    """What the positives have."""
    n_per_side: int
    """Positives asked for, and negatives."""

    @property
    def id(self) -> str:
        """Hash of what was asked: the same question has the same id."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def request(self) -> GenerationRequest:
        """Return what the agent is to write."""
        return GenerationRequest(
            request_id=self.id,
            n_positive=self.n_per_side,
            n_negative=self.n_per_side,
            n_groups=min(self.n_per_side, max(NEEDED_GROUPS + 4, self.n_per_side // PER_GROUP)),
            rules=RULES,
            row=Candidate.model_json_schema(),
        )


def keep_asked(asked: Asked, workspace: Path) -> None:
    """Write the question to its file under the folder of prompt sets; see `own_folder` for errors."""
    write_durably(own_folder(workspace, FOLDER) / f"{asked.id}.json", asked.model_dump_json(indent=2).encode() + b"\n")


def find_asked(request_id: str, folder: Path) -> Asked:
    """Return the question of that id.

    Raises:
        UnknownGenerationRequest: It was never asked in this workspace.
        MalformedFile: Its file was changed.
    """
    try:
        data = (folder / FOLDER / f"{request_id}.json").read_bytes()
    except FileNotFoundError as error:
        raise UnknownGenerationRequest(f"No texts were asked for under {request_id!r} in this workspace.") from error
    try:
        asked = Asked.model_validate_json(data)
    except ValidationError as error:
        raise MalformedFile(f"The generation request {request_id} is not as it was written.") from error
    if asked.id != request_id:
        raise MalformedFile(f"The generation request {request_id} is not as it was written.")
    return asked
