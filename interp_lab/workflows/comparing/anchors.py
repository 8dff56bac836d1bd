"""The anchor prompts: what both sides read, and in which order. Torch-free, so plans use it too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interp_lab.contracts.compare import CompareRequest, Side
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.corpus.prompt_set import PromptSet, refuse_one_sided, refuse_without_spans
from interp_lab.corpus.sources import open_prompts
from interp_lab.errors import DifferentAnchors
from interp_lab.settings import Settings

SAME_PLACE = (
    "Both sides look at the same place of the same model in one number format, where every unit is its own counterpart."
)
OTHER_PLACE = "Compare another model, addresses that differ, or another dtype of the model."


def named_anchors(request: CompareRequest, settings: Settings) -> PromptSet | None:
    """Return the prompts of the dataset; None for a request whose prompts come with values on disk.

    Raises:
        RequestError: The prompts cannot be used.
    """
    if request.dataset is None:
        return None
    prompts = open_prompts(request.dataset, settings)
    refuse_one_sided(prompts, request.threshold)
    if request.pooling == "span" and None in (request.left.evidence, request.right.evidence):
        refuse_without_spans(prompts)
    return prompts


def asked_of(side: Side, request: CompareRequest, prompts: PromptSet | None) -> InspectRequest:
    """Return the request of an inspection that reads this side on these prompts."""
    live = side.evidence is None
    dataset = request.dataset or (InlinePrompts(prompts=prompts.prompts) if prompts else None)
    return InspectRequest(
        model=side.model,
        criterion=request.criterion,
        dataset=dataset if live else None,
        evidence=side.evidence,
        addresses=side.addresses,
        dictionaries=side.dictionaries,
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )


def order_of(anchors: PromptSet, texts: Sequence[str], *, source: str) -> list[int]:
    """Return for every anchor prompt where its text stands among those of a source; repeated texts go in order.

    Raises:
        DifferentAnchors: The source lacks some of them.
    """
    places = {key: place for place, key in enumerate(_numbered(texts))}
    wanted = _numbered(anchors.texts())
    if lacking := [key for key in wanted if key not in places]:
        raise DifferentAnchors(
            f"{source} has values for {len(wanted) - len(lacking)} of the {len(wanted)} prompts of {anchors.name}; it "
            f"lacks {lacking[0][0][:60]!r}, among others."
        )
    return [places[key] for key in wanted]


def _numbered(texts: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys: list[tuple[str, int]] = []
    for text in texts:
        keys.append((text, seen[text]))
        seen[text] += 1
    return keys
