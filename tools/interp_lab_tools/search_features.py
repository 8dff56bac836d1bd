"""search_features: which latents follow a token, a phrase, a label or a direction, answered at once."""

from __future__ import annotations

from interp_lab.contracts.features import SearchFeaturesRequest, SearchFeaturesResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.explanations import known_explanations
from interp_lab_tools.lab import Lab


def _handle(request: SearchFeaturesRequest, lab: Lab) -> SearchFeaturesResult:
    from interp_lab.workflows.search_features import search_features  # lazy: numpy and pyarrow, only when asked

    known = known_explanations(lab) if request.by.kind == "explanation" else ()
    return search_features(request, settings=lab.settings, known=known)


SEARCH_FEATURES = InlineCapability(
    name="search_features",
    title="Find latents",
    guidance=(
        "Ranks latents of encoded stores (by tokens, text, label, density), of dictionaries (by direction, latent), or "
        "by explanation. tokens, text, label: active there and not elsewhere, by phi, with lift, rates and counts; the "
        "best are tested too (AUROC, interval over independent groups, q over all latents searched). direction, "
        "latent: cosine of decoder rows. The best of many looks better than it is, and none of it is cause: read the "
        "card (show_feature), test on other prompts (inspect), intervene."
    ),
    request=SearchFeaturesRequest,
    result=SearchFeaturesResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="core",
    changes="No grade; it finds units worth a test.",
    example={"stores": ["0" * 64], "by": {"kind": "tokens", "one_of": [" kg", " km"]}},
)
