"""What is refused about the model of an intervention before work starts, from files alone. Torch-free, for plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import HubUnreachable
from interp_lab.models.facts import ModelFacts
from interp_lab.models.file_tokenizer import token_counts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import locate
from interp_lab.points import Address, refuse_not_later
from interp_lab.settings import Settings
from interp_lab.workflows.dictionary_facts import addresses_read, dictionary_configs
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.memory.units import called


class CheckedModel(NamedTuple):
    """What files say of the model."""

    facts: ModelFacts
    writes: dict[str, Address]
    """Where an edit of each dictionary's latents acts."""
    lengths: tuple[int, ...]
    """Tokens of each prompt."""


def checked_model(
    request: InterveneRequest, prompts: PromptSet, found: Sequence[Found], settings: Settings
) -> CheckedModel | None:
    """Return what files say of the model, None where it is not on this machine yet.

    Raises:
        HubUnreachable: It is not on this machine, which is kept offline.
        TargetTokensUnclear: A word is not one token.
        ImpossibleEdit: The later unit is read before an edit.
        LabError: see `preflight`, `dictionary_configs` and `addresses_read`.
    """
    units = read_units(request, found)
    dictionaries = dictionary_configs([ref.dictionary for ref in units if ref.dictionary is not None], settings)
    source = locate(request.model, settings)
    if source is None:
        if settings.offline:
            raise HubUnreachable(f"{request.model.id} is not on this machine and the operator keeps it offline.")
        return None
    facts = preflight(
        source.directory,
        addresses=tuple(dict.fromkeys(ref.address for ref in units if ref.address is not None)),
        prompts=dict(zip(prompts.ids(), prompts.texts(), strict=True)),
        allow_remote_code=settings.trust_remote_code,
        words=(*request.targets, *request.alternatives),
    )
    reads: dict[str, Address] = {}
    writes: dict[str, Address] = {}
    for dictionary in dictionaries:
        name, out = dictionary.source or "", dictionary.addresses_out
        reads[name] = addresses_read(dictionary, facts)[0]
        writes[name] = Address.parse(out[0]) if out else reads[name]
    _check_order(request, found, reads=reads, writes=writes)
    return CheckedModel(facts, writes, token_counts(source.directory, prompts.texts()))


def _check_order(
    request: InterveneRequest, found: Sequence[Found], *, reads: Mapping[str, Address], writes: Mapping[str, Address]
) -> None:
    """Return if everything is edited before the later unit, if there is one, is read; places are by dictionary."""
    later, screen = request.downstream, request.screen
    if later is None:
        return
    edited = [(each.key, each.ref.address or writes[each.ref.dictionary or ""]) for each in found]
    if screen is not None:
        edited = [("a unit of the screen", screen.address or writes[screen.dictionary or ""])]
    refuse_not_later(called(later), later.address or reads[later.dictionary or ""], edited)


def read_units(request: InterveneRequest, found: Sequence[Found]) -> list[UnitRef]:
    """What is edited, and what is read of it later."""
    refs = [each.ref for each in found]
    if request.screen is not None:
        refs.append(UnitRef(dictionary=request.screen.dictionary, address=request.screen.address, index=0))
    return [*refs, *([request.downstream] if request.downstream is not None else [])]
