"""Per-family facts as data: where in a block each hook point sits. Torch-free.

One row per family. Paths are relative to the block; a path is read on the side that the hook point means
(`z` is what enters the output projection). The block list itself is found by one rule for all
(`interp_lab.models.blocks`). Rows are checked against running models by the engine's self-check and by truth tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from interp_lab.points import DECODER, Side

Take = Literal["whole", "probs", "q", "k", "v"]
Part = Literal["whole", "encoder", "decoder"]
"""Of an encoder-decoder one part is read at a time; every other model is read whole."""
PairPart = Literal["encoder", "decoder"]
QkvLayout = Literal["separate", "concatenated", "per_head"]
"""Three projections; one projection holding all q, then all k, then all v; or q, k, v of each head in turn."""


class Site(NamedTuple):
    """Where a hook point is read: module path inside the block, side, and which part of the tensor."""

    path: str
    side: Side
    take: Take = "whole"


class Condition(NamedTuple):
    """A configuration entry that must have a value; `default` is what an absent entry means."""

    key: str
    value: object
    default: object


@dataclass(frozen=True, kw_only=True)
class Family:
    """The row of one family: what its blocks call their parts. `None` means the part does not exist or is not known."""

    name: str
    model_types: tuple[str, ...]
    kind: Literal["decoder", "encoder"] = "decoder"
    only_if: Condition | None = None
    attention: str | None = None
    """Module that returns the attention probabilities second."""
    attn_out: str | None = None
    """Module whose output is added to the residual stream: the norm after attention in sandwich-norm blocks."""
    out_proj: str | None = None
    qkv: tuple[str, ...] = ()
    qkv_layout: QkvLayout = "separate"
    resid_mid: tuple[str, Side] | None = None
    """Absent in parallel blocks, where attention and MLP read the same stream."""
    norms_after: tuple[str, str] | None = None
    """In post-norm blocks, the norms that the two residual sums pass through."""
    mlp_in: str | None = None
    down_proj: str | None = None
    mlp_out: str | None = None
    """Module whose output is added to the residual stream: the norm after the MLP in sandwich-norm blocks."""
    mlp_ratio: int | None = None
    """Width of the MLP over the width of the model, where the configuration may leave it out."""
    cross_out: str | None = None
    """In the decoder of an encoder-decoder, the module whose output attention to the encoder adds to the stream."""
    part: Part = "whole"
    """`encoder`: the decoder is not loaded, so there are no logits. `decoder`: it reads beside its encoder."""
    positions_follow_padding: bool = False
    """The model derives positions itself, counting from one past its padding id, so the first rows are never used."""

    @property
    def sites(self) -> Mapping[str, Site]:
        """The sites of the layered hook points that this family offers, by name."""
        prefix = DECODER if self.part == "decoder" else ""
        return MappingProxyType({prefix + name: site for name, site in self._rows() if site is not None})

    def _rows(self) -> tuple[tuple[str, Site | None], ...]:
        q, k, v = self.qkv * 3 if len(self.qkv) == 1 else self.qkv or (None, None, None)
        return (
            ("resid_pre", Site("", "in")),
            ("resid_mid", Site(*self.resid_mid) if self.resid_mid else None),
            ("resid_post", Site("", "out")),
            ("attn_out", _site(self.attn_out, "out")),
            ("attn_probs", _site(self.attention, "out", "probs")),
            ("z", _site(self.out_proj, "in")),
            ("q", _site(q, "out", "q")),
            ("k", _site(k, "out", "k")),
            ("v", _site(v, "out", "v")),
            ("cross_out", _site(self.cross_out, "out")),
            ("mlp_in", _site(self.mlp_in, "in")),
            ("mlp_act", _site(self.down_proj, "in")),
            ("mlp_out", _site(self.mlp_out, "out")),
        )

    @property
    def points(self) -> tuple[str, ...]:
        """Names of all hook points that this family offers."""
        ends = {"whole": ("embed", "logits"), "encoder": ("embed",), "decoder": (f"{DECODER}embed", "logits")}
        return (*self.sites, *ends[self.part])


def _site(path: str | None, side: Side, take: Take = "whole") -> Site | None:
    return None if path is None else Site(path, side, take)


_SELF_ATTN_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")

_GPT2 = Family(
    name="gpt2",
    model_types=("gpt2",),
    attention="attn",
    attn_out="attn",
    out_proj="attn.c_proj",
    qkv=("attn.c_attn",),
    qkv_layout="concatenated",
    resid_mid=("ln_2", "in"),
    mlp_in="mlp",
    down_proj="mlp.c_proj",
    mlp_out="mlp",
    mlp_ratio=4,
)
_GPT_NEOX = Family(
    name="gpt_neox",
    model_types=("gpt_neox",),
    only_if=Condition("use_parallel_residual", value=True, default=True),
    attention="attention",
    attn_out="attention",
    out_proj="attention.dense",
    qkv=("attention.query_key_value",),
    qkv_layout="per_head",
    mlp_in="mlp",
    down_proj="mlp.dense_4h_to_h",
    mlp_out="mlp",
)
_LLAMA = Family(
    name="llama",
    model_types=("llama",),
    attention="self_attn",
    attn_out="self_attn",
    out_proj="self_attn.o_proj",
    qkv=_SELF_ATTN_QKV,
    resid_mid=("post_attention_layernorm", "in"),
    mlp_in="mlp",
    down_proj="mlp.down_proj",
    mlp_out="mlp",
)
_GEMMA2 = replace(
    _LLAMA,
    name="gemma2",
    model_types=("gemma2",),
    attn_out="post_attention_layernorm",
    resid_mid=("pre_feedforward_layernorm", "in"),
    mlp_out="post_feedforward_layernorm",
)
_PHI = replace(
    _LLAMA,
    name="phi",
    model_types=("phi",),
    out_proj="self_attn.dense",
    resid_mid=None,
    down_proj="mlp.fc2",
)
_PHI3 = replace(_LLAMA, name="phi3", model_types=("phi3",), qkv=("self_attn.qkv_proj",), qkv_layout="concatenated")
_OPT = Family(
    name="opt",
    model_types=("opt",),
    only_if=Condition("do_layer_norm_before", value=True, default=True),
    attention="self_attn",
    attn_out="self_attn",
    out_proj="self_attn.out_proj",
    qkv=_SELF_ATTN_QKV,
    resid_mid=("final_layer_norm", "in"),
    mlp_in="fc1",
    down_proj="fc2",
    mlp_out="fc2",
)
_BERT = Family(
    name="bert",
    model_types=("bert",),
    kind="encoder",
    attention="attention.self",
    attn_out="attention.output.dense",
    out_proj="attention.output.dense",
    qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
    resid_mid=("attention", "out"),
    norms_after=("attention.output.LayerNorm", "output.LayerNorm"),
    mlp_in="intermediate",
    down_proj="output.dense",
    mlp_out="output.dense",
)
_ROBERTA = replace(
    _BERT,
    name="roberta",
    model_types=("roberta", "xlm-roberta", "camembert"),
    positions_follow_padding=True,
)

FAMILIES: tuple[Family, ...] = (
    _GPT2,
    _GPT_NEOX,
    replace(_GPT_NEOX, name="gpt_neox_sequential", only_if=None, resid_mid=("post_attention_layernorm", "in")),
    _LLAMA,
    replace(_LLAMA, name="mistral", model_types=("mistral",)),
    replace(_LLAMA, name="qwen2", model_types=("qwen2",)),
    replace(_LLAMA, name="qwen3", model_types=("qwen3",)),
    _GEMMA2,
    replace(_GEMMA2, name="gemma3", model_types=("gemma3_text", "gemma3")),
    _PHI,
    _PHI3,
    _OPT,
    replace(
        _OPT,
        name="opt_post_norm",
        only_if=None,
        resid_mid=("self_attn_layer_norm", "out"),
        norms_after=("self_attn_layer_norm", "final_layer_norm"),
    ),
    _BERT,
    _ROBERTA,
)
"""Every family whose parts are known by name; the first row that fits wins."""

_T5 = Family(
    name="t5",
    model_types=("t5", "mt5"),
    kind="encoder",
    part="encoder",
    attn_out="layer.0.SelfAttention",
    out_proj="layer.0.SelfAttention.o",
    qkv=("layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
    resid_mid=("layer.1", "in"),
    mlp_in="layer.1.DenseReluDense",
    down_proj="layer.1.DenseReluDense.wo",
    mlp_out="layer.1.DenseReluDense",
)
_BART = replace(
    _OPT,
    name="bart",
    model_types=("bart",),
    only_if=None,
    kind="encoder",
    part="encoder",
    resid_mid=("self_attn_layer_norm", "out"),
    norms_after=("self_attn_layer_norm", "final_layer_norm"),
)

PAIRS: tuple[Family, ...] = (
    _T5,
    _BART,
    replace(
        _BART,
        name="mbart",
        model_types=("mbart", "pegasus"),
        resid_mid=("final_layer_norm", "in"),
        norms_after=None,
    ),
)
"""Encoder-decoder models whose encoder blocks are known by name."""

GENERIC_ENCODER = Family(name="generic_encoder", model_types=(), kind="encoder", part="encoder")
"""What is known of the encoder of any encoder-decoder model."""

_T5_DECODER = replace(
    _T5,
    name="t5_decoder",
    kind="decoder",
    part="decoder",
    resid_mid=("layer.2", "in"),
    cross_out="layer.1.EncDecAttention",
    mlp_in="layer.2.DenseReluDense",
    down_proj="layer.2.DenseReluDense.wo",
    mlp_out="layer.2.DenseReluDense",
)
_BART_DECODER = replace(
    _BART,
    name="bart_decoder",
    kind="decoder",
    part="decoder",
    resid_mid=("encoder_attn_layer_norm", "out"),
    norms_after=None,
    attention=None,
    cross_out="encoder_attn",
)

PAIR_DECODERS: tuple[Family, ...] = (
    _T5_DECODER,
    _BART_DECODER,
    replace(
        _BART_DECODER,
        name="mbart_decoder",
        model_types=("mbart", "pegasus"),
        resid_mid=("final_layer_norm", "in"),
    ),
)
"""Encoder-decoder models whose decoder blocks are known by name."""

GENERIC_DECODER = Family(name="generic_decoder", model_types=(), part="decoder")
"""What is known of the decoder of any encoder-decoder model."""

GENERIC = Family(name="generic", model_types=())
"""What is known of any decoder with a block list: the residual stream, the embedding and the logits."""


def family_of(model_type: str, config: Mapping[str, object], *, part: PairPart = "encoder") -> Family:
    """Return the row for a model of `model_type` with this configuration, or a generic one.

    `part` says which part of an encoder-decoder is meant; other models have only one.
    """
    rows, generic = FAMILIES, GENERIC
    if config.get("is_encoder_decoder") is True:
        rows, generic = (PAIRS, GENERIC_ENCODER) if part == "encoder" else (PAIR_DECODERS, GENERIC_DECODER)
    return next((f for f in rows if model_type in f.model_types and _holds(f.only_if, config)), generic)


def _holds(condition: Condition | None, config: Mapping[str, object]) -> bool:
    return condition is None or config.get(condition.key, condition.default) == condition.value
