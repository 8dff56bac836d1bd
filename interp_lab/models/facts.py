"""What a model directory says about its model: `config.json` and weight headers. Torch-free; nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from interp_lab.errors import HookPointUnavailable, InvalidModel, LayerOutOfRange
from interp_lab.models.families import Family, PairPart, family_of
from interp_lab.models.weights import Weights, read_json, read_weights
from interp_lab.points import DECODER, Address, Width, hook_point

_KEYS = {
    "n_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "d_model": ("hidden_size", "n_embd", "d_model", "dim"),
    "n_heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "n_kv_heads": ("num_key_value_heads",),
    "d_head": ("head_dim", "d_kv"),
    "d_mlp": ("intermediate_size", "n_inner", "ffn_dim", "d_ff"),
    "n_vocab": ("vocab_size",),
    "n_positions": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
}

_PART_KEYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "encoder": {
        "n_layers": ("encoder_layers",),
        "n_heads": ("encoder_attention_heads",),
        "d_mlp": ("encoder_ffn_dim",),
    },
    "decoder": {
        "n_layers": ("decoder_layers", "num_decoder_layers"),
        "n_heads": ("decoder_attention_heads",),
        "d_mlp": ("decoder_ffn_dim",),
    },
}
"""What encoder-decoder models call the sizes of their parts, where the other may have another."""


@dataclass(frozen=True)
class ModelFacts:
    """Shape and size of a model, of one part of an encoder-decoder.

    `None` where the configuration leaves an entry to a default.
    """

    model_type: str
    architecture: str
    family: Family
    n_layers: int
    d_model: int
    n_heads: int | None
    n_kv_heads: int | None
    d_head: int | None
    d_mlp: int | None
    n_vocab: int | None
    context_length: int | None
    dtype: str | None
    weights: Weights

    def check(self, address: Address) -> None:
        """Return if the model has the place `address`.

        Raises:
            HookPointUnavailable: The family does not offer the hook point.
            LayerOutOfRange: There is no such layer.
        """
        if address.point == "module":
            return
        if address.point not in self.family.points:
            raise self._unavailable(address)
        if address.layer is not None and address.layer >= self.n_layers:
            raise LayerOutOfRange(
                f"{address} names layer {address.layer}; this model has layers 0 to {self.n_layers - 1}."
            )

    def _unavailable(self, address: Address) -> HookPointUnavailable:
        offered = ", ".join(self.family.points)
        what = f"{address.point} is not available in {self.family.name} models; {offered} are."
        if self.family.part == "encoder" and address.point.startswith(DECODER):
            return HookPointUnavailable(
                what, remedy="Say what the decoder reads: harvest with decoder {target: LABEL}."
            )
        if self.family.part == "decoder":
            return HookPointUnavailable(what, remedy="One run reads one part; leave decoder out to read the encoder.")
        return HookPointUnavailable(what)

    def width(self, address: Address) -> int | None:
        """Return the number of coordinates at `address`, or `None` where the configuration does not tell."""
        if address.point == "module":
            return None
        heads, kv_heads, d_head = self.n_heads, self.n_kv_heads, self.d_head
        widths: dict[Width, int | None] = {
            "d_model": self.d_model,
            "n_heads*d_head": heads * d_head if heads and d_head else None,
            "n_kv_heads*d_head": kv_heads * d_head if kv_heads and d_head else None,
            "d_mlp": self.d_mlp,
            "n_vocab": self.n_vocab,
        }
        return widths.get(hook_point(address.point).width)


def read_facts(directory: Path, *, part: PairPart = "encoder") -> ModelFacts:
    """Return the facts of the model in `directory`, of one part if it is an encoder-decoder.

    Raises:
        HookPointUnavailable: The decoder is meant of a model that has no encoder beside it.
        InvalidModel: There is no usable `config.json`, or there are no weights.
        UnsafeWeights: The weights are only there as pickle.
        CorruptWeights: A weight file does not fit its header.
    """
    if not (directory / "config.json").is_file():
        raise InvalidModel(f"{directory.name} has no config.json.")
    return facts_of(read_json(directory / "config.json"), read_weights(directory), part=part)


def facts_of(config: Mapping[str, Any], weights: Weights, *, part: PairPart = "encoder") -> ModelFacts:
    """Return the facts that the configuration `config` states, with `weights` as given; see `read_facts`."""
    nested = config.get("text_config")
    text = cast("Mapping[str, Any]", nested) if isinstance(nested, dict) else config
    model_type = str(text.get("model_type") or config.get("model_type") or "")
    family = family_of(model_type, text, part=part)
    if part == "decoder" and family.part == "whole":
        raise HookPointUnavailable(
            f"{model_type or 'This'} models are no encoder-decoders, so there is no decoder apart from the model.",
            remedy="Leave decoder out; generate and the addresses without 'decoder_' are for such models.",
        )
    part_keys = _PART_KEYS.get(family.part, {})
    numbers = {name: _number(text, part_keys.get(name, ()) + keys) for name, keys in _KEYS.items()}
    n_layers, d_model = numbers["n_layers"], numbers["d_model"]
    if not model_type or n_layers is None or d_model is None:
        raise InvalidModel("config.json does not state model_type, the number of layers and the width.")
    n_heads = numbers["n_heads"]
    return ModelFacts(
        model_type=model_type,
        architecture=_architecture(config),
        family=family,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=numbers["n_kv_heads"] or n_heads,
        d_head=numbers["d_head"] or (d_model // n_heads if n_heads else None),
        d_mlp=numbers["d_mlp"] or (d_model * family.mlp_ratio if family.mlp_ratio else None),
        n_vocab=numbers["n_vocab"],
        context_length=_context_length(numbers["n_positions"], family, text),
        dtype=_dtype(config, text),
        weights=weights,
    )


def _context_length(n_positions: int | None, family: Family, config: Mapping[str, Any]) -> int | None:
    if n_positions is None or not family.positions_follow_padding:
        return n_positions
    padding = config.get("pad_token_id")
    return n_positions - (padding if isinstance(padding, int) else 1) - 1


def _number(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if type(value) is not int or not 0 < value < 2**40:
            raise InvalidModel(f"config.json states {key} = {str(value)[:40]!r}, which is not a positive number.")
        return value
    return None


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(cast("list[object]", names)[0]) if isinstance(names, list) and names else ""


def _dtype(*configs: Mapping[str, Any]) -> str | None:
    for config in configs:
        name = config.get("dtype") or config.get("torch_dtype")
        if name is not None:
            return str(name).removeprefix("torch.")
    return None
