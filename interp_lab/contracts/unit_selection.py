"""How a request has its units found for it: by a search among latents, or by a screen of everything at one place."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from interp_lab.contracts.base import Contract, Interval, Probability
from interp_lab.contracts.encode_store import DictionaryRef
from interp_lab.contracts.features import Search
from interp_lab.contracts.query_conditions import StoreName
from interp_lab.points import Address

MAX_FOUND = 32


class UnitSearch(Contract):
    """The best latents of a search, as search_features finds them."""

    by: Search = Field(examples=[{"kind": "tokens", "one_of": [" kg"]}])
    """What to look for; not by explanation."""
    dictionary: DictionaryRef
    """Whose latents."""
    store: StoreName | None = None
    """Encoded store, for tokens, text, label and density."""
    n: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 4
    """How many."""


class UnitScreen(Contract):
    """The units whose linear estimate is largest, among all of a dictionary or address: attribution, no effect."""

    dictionary: DictionaryRef | None = None
    """All latents of this dictionary."""
    address: Address | None = None
    """All coordinates of this address."""
    n: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 4
    """How many to edit."""
    n_sample: Annotated[int, Field(ge=2, le=256)] = 16
    """Further units drawn at random whose exact effect is measured beside the estimate, to tell how far that is off."""

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.dictionary is None) == (self.address is None):
            raise ValueError("screen a dictionary or an address")
        return self


class EstimateErrorFigures(Contract):
    """Estimates beside exact effects of the same ablations on the same prompts."""

    n_units: NonNegativeInt
    """Units compared."""
    correlation: FiniteFloat | None
    """Pearson correlation over units; absent where either does not vary."""
    relative_error: FiniteFloat | None
    """Length of the difference over the length of the exact effects; absent where those are nothing."""
    mean_estimate: FiniteFloat
    """Mean size of the estimates, in logits."""
    mean_exact: FiniteFloat
    """Mean size of the exact effects, in logits."""


class UnitScreenFacts(Contract):
    """What a screen looked at, and how far its estimates are off."""

    of: str
    """Dictionary or address."""
    n_units: NonNegativeInt
    """Units screened."""
    n_prompts: NonNegativeInt
    """Explore positives, one backward pass each."""
    n_chosen: NonNegativeInt
    """Units that were edited for it."""
    estimates: tuple[FiniteFloat, ...]
    """Of the chosen units as the report orders them: mean change of the logit difference that ablation to zero is
    estimated to make. An attribution, never an effect."""
    chosen: EstimateErrorFigures
    """On the chosen units, which were chosen for their estimate."""
    sample: EstimateErrorFigures
    """On units drawn at random."""
    recall: Probability | None = None
    """Expected share of the units with the largest exact effects that is among the chosen, told by those drawn at
    random; absent where nothing tells it."""
    recall_interval: Interval | None = None
    """Of the recall; absent where it is known."""


class SmallestFacts(Contract):
    """What was left of units edited together once those that the joint effect does not need were left out."""

    asked: tuple[str, ...]
    """All units that were asked about."""
    kept: tuple[str, ...]
    """Those without any of which half of the joint effect is gone; all of them where all together do nothing."""
    moves: bool
    """Whether all together have an effect on explore prompts; if not, nothing was left out."""
    all_together: FiniteFloat
    """Effect of all of them together, on explore prompts, without controls."""
    kept_together: FiniteFloat
    """Effect of those that were kept, likewise; more than all where others work against it, less than half of all where
    effects of many units add up."""
    n_sets: NonNegativeInt
    """Sets that were edited to find that."""
