"""The report of evaluate_sae: every figure with its sample and interval, beside its control where there is one."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, JsonValue, NonNegativeInt

from interp_lab.contracts.base import Contract, Probability
from interp_lab.contracts.crosscoder_figures import AddressRow, Estimate, OwnersSection, Subject
from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryKind

EVALUATION_KIND = "evaluation_report"

TrainingOverlap = Literal["excluded", "other_data", "possible", "unknown"]
"""Whether it was trained on what was measured: its training prompts were left out; it was trained on other data; it was
trained on the same data and which prompts is not known, or all were asked for; its record says nothing."""


class Spread(Contract):
    """How a quantity lies over latents."""

    mean: FiniteFloat
    """Mean."""
    quantiles: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    """Quantiles 0.05, 0.25, 0.5, 0.75 and 0.95."""


class ReconstructionSection(Contract):
    """How much of the activations comes back."""

    subject: Subject
    """Whose figures."""
    fvu: Estimate
    """Fraction of variance unexplained, around the mean of these tokens."""
    cosine: Estimate
    """Mean cosine of activation and reconstruction."""
    norm_ratio: Estimate
    """Mean length of the reconstruction over that of the activation; under 1 is shrinkage."""
    bias: FiniteFloat | None
    """Mean squared length of reconstructions over their mean inner product with activations; 1 is none."""
    squared_error: FiniteFloat
    """Per token, summed over coordinates."""


class SparsitySection(Contract):
    """How many latents fire and how often each."""

    subject: Subject
    """Whose figures."""
    l0: Estimate
    """Active latents per token."""
    l0_quantiles: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    """Active latents per token at quantiles 0.05, 0.25, 0.5, 0.75 and 0.95."""
    l1: FiniteFloat
    """Sum of codes per token."""
    window_tokens: NonNegativeInt
    """Tokens that were looked at: the window that 'dead' is meant in."""
    n_unfired: NonNegativeInt
    """Latents that fired on none of them."""
    unfired_share: Probability
    """The same as a share of all latents."""
    unfired_density_below: Probability
    """A latent that fired in no group has a rate per group under this, at 95 %."""
    n_dense: NonNegativeInt
    """Latents that fired on more than dense_above of the tokens."""
    dense_above: Probability
    """What counts as dense."""
    density_edges: tuple[FiniteFloat, ...]
    """Edges of the density histogram, shares of tokens; half a decade each."""
    density_counts: tuple[NonNegativeInt, ...]
    """Latents in each bin; those that never fired are in none."""


class GeometrySection(Contract):
    """How the latents lie."""

    decoder_neighbour: Spread
    """Cosine of a decoder row with its nearest other row."""
    encoder_neighbour: Spread
    """The same of encoder columns."""
    encoder_decoder: Spread | None
    """Cosine of a latent's encoder column with its decoder row; absent where it reads and writes different places."""
    decoder_norm: Spread
    """Length of decoder rows."""
    effective_dimensions: FiniteFloat
    """Participation ratio of the unit decoder rows: dimensions that they spread over."""
    width: NonNegativeInt
    """Dimensions that there are."""
    near_copies: NonNegativeInt
    """Latents whose decoder row has a neighbour at cosine 0.9 or more."""


ReplacementName = Literal["dictionary", "random", "zero", "mean"]


class ReplacementRow(Contract):
    """What the predictions become with something in the place of the activation."""

    replacement: ReplacementName
    """Reconstruction, that of the random dictionary, zeros, or the mean activation of these tokens."""
    loss: Estimate
    """Cross-entropy of the next token, nats."""
    change: Estimate
    """The same less that of the model as it is, paired by token."""
    divergence: Estimate
    """KL divergence from the predictions of the model as it is, nats."""


class RecoveredRow(Contract):
    """Share of what an ablation costs that a reconstruction does not cost."""

    subject: Subject
    """Whose reconstruction."""
    ablation: Literal["zero", "mean"]
    """What it is compared with."""
    loss_recovered: Estimate | None
    """In cross-entropy; absent where the ablation does no harm."""
    divergence_recovered: Estimate | None
    """In KL divergence."""


class SplicedSection(Contract):
    """What becomes of the model's predictions."""

    address: str
    """Where the reconstruction was put."""
    clean_loss: Estimate
    """Cross-entropy of the model as it is, nats."""
    rows: tuple[ReplacementRow, ...]
    """Every replacement."""
    recovered: tuple[RecoveredRow, ...]
    """Shares recovered."""
    error_term_exact: bool
    """Whether the logits were bit-identical when the error of the reconstruction was kept in place."""
    n_tokens: NonNegativeInt
    """Tokens at which the activation was replaced."""


class RecoverySection(Contract):
    """Whether the latents are the true features of a world."""

    subject: Subject
    """Whose figures."""
    mcc: FiniteFloat
    """Mean |cosine| of the best one-to-one matching of latents and features."""
    uniqueness: FiniteFloat
    """Different features that latents are nearest to, over latents."""
    recovered: FiniteFloat
    """Share of the features that fire on 0.1 % of rows or more with a latent at cosine 0.9 or more."""
    n_features: NonNegativeInt
    """Features that fire that often."""
    precision: FiniteFloat
    """Latents as detectors of their nearest feature, mean over latents."""
    recall: FiniteFloat
    """The same."""
    f1: FiniteFloat
    """The same."""
    split: FiniteFloat
    """Share of recovered features with more than one latent at cosine 0.71 or more."""
    latents_per_feature: FiniteFloat
    """Latents at that cosine per recovered feature."""
    absorption: Estimate | None
    """Mean share of a child's rows on which its parent's latent is silent and another carries the parent; absent where
    no feature has a parent or no latent stands for one."""
    parent_missed: FiniteFloat | None
    """Mean share on which it is silent and nothing carries the parent."""
    n_children: NonNegativeInt
    """Children that this could be measured on."""


class ProbeRow(Contract):
    """A probe on few columns, trained and chosen on explore prompts, scored on confirm prompts."""

    k: NonNegativeInt
    """Columns that the probe sees; 0 for all coordinates of the activation."""
    of: Literal["latents", "coordinates", "random_latents"]
    """What the columns are."""
    columns: tuple[NonNegativeInt, ...]
    """Which they are; empty for all, and for random ones."""
    auroc: Estimate
    """On confirm prompts; for random latents the mean over draws, with the middle 95 % of them."""
    accuracy: Estimate
    """Balanced accuracy on confirm prompts; for random latents as auroc."""


class ProbingSection(Contract):
    """Sparse probing of one criterion; activations and codes are means over the tokens of a prompt."""

    criterion: str
    """Dataset of scored prompts."""
    n_prompts: NonNegativeInt
    """Prompts."""
    n_groups: NonNegativeInt
    """Independent groups."""
    dense: ProbeRow
    """The probe that sees all coordinates."""
    rows: tuple[ProbeRow, ...]
    """Probes on few columns."""


class PerturbationRow(Contract):
    """Targeted probe perturbation with so many latents taken away for each criterion."""

    k: NonNegativeInt
    """Most latents that are taken away for one criterion."""
    of: Literal["chosen", "random"]
    """Chosen for the criterion, or drawn among those that vary."""
    total: Estimate
    """Fall of the criterion's own probe less the mean fall of the others, mean over criteria."""
    intended: FiniteFloat
    """Fall of balanced accuracy of the criterion's own probe."""
    unintended: FiniteFloat
    """Mean fall of the others."""


Attribute = Literal["criterion", "label"]
"""The criterion, or the label that went together with it."""


class SpuriousRow(Contract):
    """The biased probe with so many latents taken away, on prompts where criterion and label are independent."""

    removes: Attribute
    """Whose latents were taken away; the probe is scored on the other."""
    k: NonNegativeInt
    """Most latents that are taken away."""
    of: Literal["chosen", "random"]
    """Chosen for the attribute, or drawn among those that vary."""
    score: Estimate | None
    """Share of the accuracy lost to the bias that comes back; 1 is all, under 0 is more bias. Absent where the bias
    cost nothing; for random latents the mean over draws, with the middle 95 % of them."""
    accuracy: FiniteFloat
    """Accuracy of the biased probe afterwards."""


class SpuriousSection(Contract):
    """Spurious-correlation removal for one criterion and one label of its prompts."""

    criterion: str
    """Dataset of scored prompts."""
    label: str
    """Label, NAME or NAME=VALUE, that holds exactly where the criterion does on the prompts of the biased probe."""
    n_prompts: NonNegativeInt
    """Confirm prompts scored on: as many of each of the four kinds."""
    n_groups: NonNegativeInt
    """Independent groups of these."""
    own_on_criterion: FiniteFloat
    """Accuracy of the criterion's unbiased probe."""
    own_on_label: FiniteFloat
    """Accuracy of the label's unbiased probe."""
    biased_on_criterion: FiniteFloat
    """Accuracy of the biased probe as a probe of the criterion."""
    biased_on_label: FiniteFloat
    """The same as a probe of the label."""
    stronger: Attribute
    """What the biased probe tells better; removing it is what counts."""
    rows: tuple[SpuriousRow, ...]
    """Every number of latents, either way."""


class MonosemanticitySection(Contract):
    """Proxies that need no explanation, over latents that fired often enough; see docs/dictionaries.md."""

    subject: Subject
    """Whose figures."""
    n_latents: NonNegativeInt
    """Latents that were measured."""
    least_tokens: NonNegativeInt
    """Tokens that a latent must have fired on."""
    n_tokens: NonNegativeInt
    """Tokens looked at."""
    n_groups: NonNegativeInt
    """Independent groups of these."""
    selectivity: Spread | None
    """Class selectivity over token identities, 0 to 1; absent where fewer than two tokens are common."""
    tokens: Spread
    """Different tokens that a latent's activation is spread over: the exponential of its entropy."""
    similarity: Spread | None
    """Monosemanticity score: weighted mean cosine of the contexts of two firings in different groups."""
    similarity_of_all: FiniteFloat
    """The same of any two tokens: what a latent that fires anywhere has."""


class EvaluationReport(Contract):
    """The full record of an evaluation; a section that does not apply is absent or empty."""

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    headline: str
    """One sentence that is true when quoted alone."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    request: dict[str, JsonValue]
    """What was asked."""
    dictionary: str
    """Artifact or folder."""
    kind: DictionaryKind
    """What it reads and writes."""
    architecture: ArchitectureName
    """Which latents fire."""
    n_latents: NonNegativeInt
    """Latents."""
    place: str
    """Where it reads and, if elsewhere, writes."""
    data: str
    """What it was measured on."""
    n_tokens: NonNegativeInt
    """Tokens measured."""
    n_prompts: NonNegativeInt
    """Prompts that they are of."""
    n_groups: NonNegativeInt
    """Independent groups of prompts."""
    training_overlap: TrainingOverlap
    """Whether it was trained on what was measured."""
    reconstruction: tuple[ReconstructionSection, ...]
    """Of the dictionary and its control."""
    addresses: tuple[AddressRow, ...] = ()
    """Of a crosscoder: every address, dictionary and control."""
    owners: OwnersSection | None = None
    """Of a crosscoder of two models: whose its latents look."""
    sparsity: tuple[SparsitySection, ...]
    """Of the dictionary and its control."""
    geometry: GeometrySection
    """Of the weights."""
    spliced: SplicedSection | None = None
    """With the reconstruction in the model."""
    recovery: tuple[RecoverySection, ...] = ()
    """On a world."""
    probing: tuple[ProbingSection, ...] = ()
    """One per criterion."""
    perturbation: tuple[PerturbationRow, ...] = ()
    """Over all criteria."""
    spurious: tuple[SpuriousSection, ...] = ()
    """One per criterion and label."""
    monosemanticity: tuple[MonosemanticitySection, ...] = ()
    """Of the dictionary and its control; on tokens of text."""
