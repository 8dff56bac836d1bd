"""What is refused about a vector, its model and its prompts before work starts, from files alone. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.steer import SteerRequest
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import DiscoveryRowsReused, HubUnreachable, ShapeMismatch
from interp_lab.models.facts import ModelFacts
from interp_lab.models.file_tokenizer import token_counts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import locate
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.steering.files import Saved


class CheckedModel(NamedTuple):
    """What files say of the model."""

    facts: ModelFacts
    lengths: tuple[int, ...]
    """Tokens of each prompt."""


def checked_model(
    model: ModelRef,
    prompts: PromptSet,
    settings: Settings,
    *,
    addresses: Sequence[Address] = (),
    words: Sequence[str] = (),
) -> CheckedModel | None:
    """Return what files say of the model, None where it is not on this machine yet.

    Raises:
        HubUnreachable: It is not on this machine, which is kept offline.
        LabError: see `preflight`.
    """
    found = locate(model, settings)
    if found is None:
        if settings.offline:
            raise HubUnreachable(f"{model.id} is not on this machine and the operator keeps it offline.")
        return None
    facts = preflight(
        found.directory,
        addresses=addresses,
        prompts=dict(zip(prompts.ids(), prompts.texts(), strict=True)),
        allow_remote_code=settings.trust_remote_code,
        words=words,
    )
    return CheckedModel(facts, token_counts(found.directory, prompts.texts()))


def refuse_unfit(request: SteerRequest, saved: Saved, prompts: PromptSet, facts: ModelFacts) -> None:
    """Check that a saved direction can be steered with and graded as a request asks.

    Raises:
        ShapeMismatch: It has another width than the model.
        DiscoveryRowsReused: It was made on rows that would grade it here.
    """
    width = facts.width(saved.address)
    if width is not None and width != saved.unit.size:
        raise ShapeMismatch(f"The direction has {saved.unit.size} numbers; {saved.address} has {width}.")
    record = saved.record
    if record is None or record.dataset.rsplit(":", 1)[-1] != prompts.sha256:
        return
    if record.seed != request.seed or record.n_positive != sum(prompts.positive(request.threshold)):
        raise DiscoveryRowsReused(
            f"The direction was made from these prompts, split with seed {record.seed} and {record.n_positive} "
            "positives; any other split would grade it on prompts that made it.",
            remedy=f"Use seed {record.seed} and the same threshold.",
        )
