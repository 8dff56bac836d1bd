"""What a dictionary is and how one is trained. Weights, file formats and the request of the job are elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract, Name, Probability, Provenance, Seed

DictionaryRef = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""Artifact id of a dictionary (64 hexadecimal digits), or the path of its folder in the workspace."""

DictionaryKind = Literal["sae", "transcoder", "crosscoder"]
"""What it reads and writes: one address, from one address to another, or several addresses at once."""

ArchitectureName = Literal["relu", "gated", "topk", "batchtopk", "jumprelu", "matryoshka"]
"""Which latents fire and what is paid for it; `matryoshka` is Matryoshka BatchTopK."""

Normalization = Literal["none", "expected_average_norm", "layer_norm"]
"""What happens to activations on the way in, and is undone on the way out."""

Positive = Annotated[FiniteFloat, Field(gt=0)]
NonNegative = Annotated[FiniteFloat, Field(ge=0)]

BY_COUNT: frozenset[ArchitectureName] = frozenset({"topk", "batchtopk", "matryoshka"})
"""Architectures whose sparsity is a number of latents, not a penalty."""


class DictionaryConfig(Contract):
    """One dictionary: what it reads, what it writes and which latents fire."""

    kind: DictionaryKind = "sae"
    """What it reads and writes."""
    architecture: ArchitectureName = "topk"
    """Which latents fire."""
    d_in: PositiveInt
    """Width of what it reads; of a crosscoder, the sum over its addresses."""
    d_out: PositiveInt
    """Width of what it writes; of an SAE and a crosscoder, the same as d_in."""
    n_latents: PositiveInt
    """Latents."""
    k: Positive | None = None
    """Active latents per token: exactly (topk) or on average over a batch (batchtopk, matryoshka)."""
    group_sizes: tuple[PositiveInt, ...] = ()
    """Matryoshka: sizes of the nested groups, first to last; their sum is n_latents."""
    sections: tuple[PositiveInt, ...] = ()
    """Crosscoder: width of every address, in the order of the addresses; their sum is d_in."""
    skip: bool = False
    """Transcoder: whether a linear map from input to output is added."""
    apply_b_dec_to_input: bool = True
    """Whether b_dec is taken off the input before encoding; never for a transcoder."""
    addresses_in: tuple[str, ...] = ()
    """Where it reads, in canonical form; several for a crosscoder."""
    addresses_out: tuple[str, ...] = ()
    """Where it writes; empty means where it reads."""
    models: tuple[Name, ...] = ()
    """Model of the activations; one per address for a crosscoder of several models."""
    owners: tuple[NonNegativeInt, ...] = ()
    """Crosscoder of several models: which of them, counted from 0, every address is of; empty for one model."""
    section_norms: tuple[Positive, ...] = ()
    """Crosscoder: mean length of the activations at every address, the unit in which decoder lengths compare."""
    normalize: Normalization = "none"
    """What happens to activations on the way in."""
    scale: Positive = 1.0
    """expected_average_norm: factor on the way in; trained dictionaries have it in their weights and say 'none'."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the stored weights."""
    provenance: Provenance = "measured"
    """Trained here, imported from a file, or asserted."""
    source: str | None = None
    """Where it comes from: the file, release or job."""
    dataset: str | None = None
    """What it was trained on."""
    trained_tokens: NonNegativeInt | None = None
    """Tokens it was trained on."""
    seed: Seed | None = None
    """Seed of its training."""

    @property
    def address_in(self) -> str | None:
        """The first address that it reads."""
        return self.addresses_in[0] if self.addresses_in else None

    @property
    def address_out(self) -> str | None:
        """The first address that it writes."""
        return self.addresses_out[0] if self.addresses_out else self.address_in

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of every address that it writes."""
        return self.sections or (self.d_out,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for broken, problem in (
            (self.kind != "transcoder" and self.d_in != self.d_out, "only a transcoder has a d_out other than d_in"),
            (self.kind != "transcoder" and self.skip, "only a transcoder has a skip connection"),
            (self.kind == "transcoder" and self.apply_b_dec_to_input, "a transcoder takes no b_dec off its input"),
            (bool(self.sections) != (self.kind == "crosscoder"), "sections belong to a crosscoder, and it needs them"),
            (bool(self.sections) and sum(self.sections) != self.d_in, "sections do not sum to d_in"),
            (bool(self.owners) and len(self.owners) != len(self.sections), "owners are not one per section"),
            (
                bool(self.section_norms) and len(self.section_norms) != len(self.sections),
                "section_norms are not one per section",
            ),
            (self.k is not None and self.k > self.n_latents, "k is larger than n_latents"),
            (self.architecture == "topk" and self.k is not None and self.k != int(self.k), "topk needs a whole k"),
            (bool(self.group_sizes) and self.architecture != "matryoshka", "group_sizes belong to matryoshka"),
            (bool(self.group_sizes) and sum(self.group_sizes) != self.n_latents, "group_sizes do not sum to n_latents"),
            (self.kind != "sae" and self.normalize == "layer_norm", "layer_norm is for SAEs only"),
        ):
            if broken:
                raise ValueError(problem)
        return self


class TrainingConfig(Contract):
    """How a dictionary is trained; every default is what the trainer does when nothing is said."""

    total_tokens: PositiveInt = 10_000_000
    """Tokens of the whole run: schedules end there."""
    batch_tokens: PositiveInt = 4096
    """Tokens of one step."""
    optimiser: Literal["adam", "signum"] = "adam"
    """Adam, or the sign of the momentum."""
    learning_rate: Positive = 1e-3
    """Step size after the warm-up."""
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay of the two moments; signum uses the first."""
    epsilon: Positive = 1e-8
    """Adam's denominator."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly from nothing."""
    decay_steps: NonNegativeInt = 0
    """Steps at the end over which it falls linearly to nothing."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Between the two: constant, or half a cosine down to a tenth."""
    clip_norm: Positive | None = 1.0
    """Largest norm of all gradients together; absent for no clipping."""
    decoder_norm: Literal["unit", "free"] = "unit"
    """unit: decoder rows are kept at length 1; free: they drift, and selection weighs latents by their length."""
    initial_decoder_norm: Positive = 1.0
    """Length of decoder and encoder rows at the start, where decoder rows are free."""
    normalize: Normalization = "expected_average_norm"
    """What is done to activations before training; undone in the finished dictionary's weights."""
    pre_bias: Literal["mean", "geometric_median", "zero"] = "mean"
    """What b_dec starts as, from the first batch."""
    calibrate: bool | None = None
    """Whether the encoder is scaled on the first batch, so that codes start at the size of the data; absent, it is,
    except where latents compete within a batch: there it makes different latents learn the same feature."""
    sparsity_coefficient: NonNegative = 1.0
    """Weight of the L1 (relu, gated) or L0 (jumprelu) penalty; without meaning for a fixed k."""
    sparsity_warmup_steps: NonNegativeInt = 0
    """Steps over which that weight rises linearly from nothing."""
    aux_coefficient: NonNegative = 1 / 32
    """Weight of the loss that revives dead latents; 0 for none."""
    aux_k: PositiveInt | None = None
    """Dead latents per token in that loss; absent for half of d_out."""
    dead_window_tokens: PositiveInt = 1_000_000
    """A latent that did not fire for so many tokens is dead."""
    bandwidth: Positive = 0.05
    """jumprelu: width of the kernel that the threshold's gradient is estimated with."""
    initial_threshold: NonNegative = 0.01
    """jumprelu: threshold at the start."""
    threshold_rate: Probability = 0.01
    """batchtopk, matryoshka: rate of the running mean that becomes the finished dictionary's threshold."""
    select: Literal["auto", "int8", "bf16", "fp32"] = "auto"
    """Precision in which candidates are chosen; values and gradients are float32 always."""
    tile_rows: PositiveInt = 512
    """Tokens whose pre-activations exist at one time."""
    dense_above: Probability = 0.06
    """relu, gated, jumprelu: share of active latents above which the dense path is faster and taken."""
    seed: Seed = 0
    """Seed of the first weights."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return -(-self.total_tokens // self.batch_tokens)


def needs_k(config: DictionaryConfig) -> bool:
    """Return whether the configuration lacks the k that its architecture is trained with."""
    return config.architecture in BY_COUNT and config.k is None
