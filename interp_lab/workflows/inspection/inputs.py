# pyright: standard
"""What an inspection reads: the checked prompts and the loaded model, and the prompts as that model's tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from interp_lab.artifacts.canonical import sha256_hex
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_evidence import FeaturesEvidence
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided, refuse_without_spans, relabelled
from interp_lab.corpus.sources import open_prompts
from interp_lab.engine.lens import Site, addresses_of
from interp_lab.engine.selfcheck import SelfCheck, self_check
from interp_lab.errors import InvalidRequest
from interp_lab.models.load import LoadedModel, digest_of, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import every_layer
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.lenses import dictionary_lenses
from interp_lab.workflows.inspection.listed import listed_lenses
from interp_lab.workflows.memory.contents import input_name, read_input


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that was read, before anything is computed."""

    request: InspectRequest
    prompts: PromptSet
    tokens: tuple[TokenizedPrompt, ...]
    loaded: LoadedModel
    sites: tuple[Site, ...]
    checks: SelfCheck
    dictionaries: Mapping[str, str] = field(default_factory=dict[str, str])
    """'dictionary NUMBER NAME' → artifact id, or the hash of what its folder holds."""
    notes: tuple[str, ...] = ()
    """What a careful reader must know of what is ranked."""

    @property
    def n_tokens(self) -> int:
        """Tokens that stand for text of a prompt, over all prompts."""
        return sum(not special for prompt in self.tokens for special in prompt.special)

    @property
    def lengths(self) -> list[int]:
        """Tokens of every prompt, special ones too."""
        return [len(prompt) for prompt in self.tokens]

    @property
    def facts(self) -> ModelFacts:
        """What the report says about the model."""
        return model_facts(self.loaded)

    @property
    def unverified(self) -> list[str]:
        """Points that are read and that no identity verifies on this model."""
        return sorted({a.point for a in addresses_of(self.sites)} & set(self.checks.unverified))

    @property
    def checked(self) -> dict[str, str]:
        """What the self-checks found, by point."""
        return {
            row.point: row.status if row.error is None else f"{row.status} (relative error {row.error:.1g})"
            for row in self.checks.rows
        }

    def provenance(self) -> dict[str, str]:
        """Return what the run read, by name: a hash, or a commit for a hub model."""
        source = self.loaded.source
        model = f"{source.id}{'@' if source.commit else ' sha256:'}{self.loaded.version}"
        read = {"model": model, "prompts": f"{self.prompts.name} sha256:{self.prompts.sha256}"}
        return read | dict(self.dictionaries)


def open_inputs(request: InspectRequest, settings: Settings) -> Inputs:
    """Return the inputs of an inspection; every check that needs the model is made here.

    Raises:
        RequestError: whatever is wrong with the prompts, the model or the addresses.
        HubUnreachable: the model could not be fetched.
    """
    prompts = labelled_prompts(request, settings)
    source = fetch(request.model, settings)
    loaded = load_model(
        source,
        dtype=request.model.dtype,
        device=request.model.device,
        allow_remote_code=settings.trust_remote_code,
    )
    sites, notes = _sites(request, loaded, settings)
    named = enumerate(dict.fromkeys(request.dictionaries))
    stamps = {input_name(name, i): read_input(name, settings) for i, name in named}
    tokens = tokenize(loaded, dict(zip(prompts.ids(), prompts.texts(), strict=True)))
    return Inputs(request, prompts, tokens, loaded, sites, self_check(loaded), stamps, notes)


def labelled_prompts(request: InspectRequest, settings: Settings) -> PromptSet:
    """Return the prompts of the request's dataset, positives and negatives as it says, checked for its pooling.

    Raises:
        RequestError: there are no prompts, or they are all on one side, or lack the label or the spans.
    """
    if request.dataset is None:
        raise InvalidRequest("There is no dataset for the model to read.")
    prompts = open_prompts(request.dataset, settings)
    if request.label is not None:
        prompts = relabelled(prompts, request.label)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span":
        refuse_without_spans(prompts)
    return prompts


def _sites(
    request: InspectRequest, loaded: LoadedModel, settings: Settings
) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """Return what to rank, the addresses asked for and the latents of every dictionary, or the features of a list."""
    if isinstance(request.evidence, FeaturesEvidence):
        return listed_lenses(request.evidence, loaded, settings)
    lenses = dictionary_lenses(request.dictionaries, loaded, settings)
    addresses = request.addresses or (() if lenses else every_layer("resid_post", loaded.facts.n_layers))
    for address in addresses:
        loaded.facts.check(address)
    return (*dict.fromkeys(addresses), *lenses), ()


def weights_hash(loaded: LoadedModel) -> str | None:
    """Return one hash over the names and contents of the model's files; None for a hub model, which has a commit.

    Rounded weights have a hash of their own, so that nothing that asks whose weights they are takes them for others.
    """
    return sha256_hex(str(loaded.version).encode()) if loaded.is_rounded else digest_of(loaded.files)


def model_facts(loaded: LoadedModel) -> ModelFacts:
    """Return what the report says about the model."""
    return ModelFacts(
        id=loaded.source.id,
        revision=loaded.source.commit,
        architecture=loaded.facts.architecture,
        n_layers=loaded.facts.n_layers,
        d_model=loaded.facts.d_model,
        n_parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        dtype=loaded.number_format,
        device=str(loaded.device),
        weights_sha256=weights_hash(loaded),
    )
