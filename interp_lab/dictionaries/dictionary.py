# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A finished dictionary: encode, decode, reconstruct. Training, files and where it sits in a model are elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.architectures import ARCHITECTURES
from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.sparse.products import gathered_sum
from interp_lab.errors import InvalidDictionary

_LAYER_NORM_EPSILON = 1e-5
_TILE = 512
_PER_LATENT = ("W_dec", "threshold", "b_enc", "b_gate", "b_mag", "r_mag")
_OPTIONAL = ("threshold", "b_enc", "b_gate", "b_mag", "r_mag", "W_skip")


class Codes(NamedTuple):
    """Sparse codes, one row per token, latents ascending."""

    indptr: Int[Tensor, " rows_and_one"]
    latents: Int[Tensor, " pairs"]
    values: Float[Tensor, " pairs"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Weights with the rule of firing; tensors have the shapes and names of SAELens."""

    config: DictionaryConfig
    W_enc: Float[Tensor, "d_in n_latents"]
    W_dec: Float[Tensor, "n_latents d_out"]
    b_dec: Float[Tensor, " d_out"]
    b_enc: Float[Tensor, " n_latents"] | None = None
    threshold: Float[Tensor, " n_latents"] | None = None
    b_gate: Float[Tensor, " n_latents"] | None = None
    b_mag: Float[Tensor, " n_latents"] | None = None
    r_mag: Float[Tensor, " n_latents"] | None = None
    W_skip: Float[Tensor, "d_out d_in"] | None = None

    def __post_init__(self) -> None:
        config = self.config
        shapes = {"W_enc": (config.d_in, config.n_latents), "W_dec": (config.n_latents, config.d_out)}
        shapes |= {"b_dec": (config.d_out,), "W_skip": (config.d_out, config.d_in)}
        tensors = self.tensors()
        for name, tensor in tensors.items():
            if tuple(tensor.shape) != (wanted := shapes.get(name, (config.n_latents,))):
                raise InvalidDictionary(f"{name} has shape {tuple(tensor.shape)}, not {wanted}.")
        if missing := [name for name in self._needed() if name not in tensors]:
            raise InvalidDictionary(f"A {config.architecture} dictionary needs {', '.join(missing)}.")
        if config.architecture == "topk" and config.k is None:
            raise InvalidDictionary("A topk dictionary needs k.")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.W_dec.device

    @property
    def n_latents(self) -> int:
        """Latents."""
        return self.config.n_latents

    def tensors(self) -> Parameters:
        """Return the tensors that there are, by name."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "config"}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Dictionary:
        """Return the same dictionary elsewhere or in another type."""
        return replace(self, **{name: tensor.to(device, dtype) for name, tensor in self.tensors().items()})

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_latents"]:
        """Return the codes, zero where a latent does not fire."""
        return self.encode_with_gradients(x)

    def encode_with_gradients(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_latents"]:
        """Return the codes as `encode` does; gradients are those of the latents that fire, none of the choice."""
        return self._fire(self._normalised(x)[0])

    def encoder_of(
        self, latents: Sequence[int]
    ) -> Callable[[Float[Tensor, "batch d_in"]], Float[Tensor, "batch some"]]:
        """Return what computes the codes of these latents only, or of all where they compete; gradients pass."""
        chosen = list(latents)
        if ARCHITECTURES[self.config.architecture].choice == "per_token":
            return lambda x: self.encode_with_gradients(x)[:, chosen]
        own = {name: tensor[chosen] for name, tensor in self.tensors().items() if name in _PER_LATENT}
        config = self.config.model_copy(update={"n_latents": len(chosen)})
        return replace(self, config=config, W_enc=self.W_enc[:, chosen].contiguous(), **own).encode_with_gradients

    @torch.no_grad()
    def encode_sparse(self, x: Float[Tensor, "batch d_in"]) -> Codes:
        """Return the codes of the latents that fire; tokens are encoded a tile at a time."""
        indptr = torch.zeros(len(x) + 1, dtype=torch.int64, device=x.device)
        latents, values = [torch.zeros(0, dtype=torch.int64, device=x.device)], [x.new_zeros(0, dtype=self.W_dec.dtype)]
        for start, tile in self._tiles(x):
            codes = self._fire(self._normalised(tile)[0])
            active = codes > 0
            indptr[start + 1 : start + 1 + len(tile)] = active.sum(1)
            latents.append(active.nonzero()[:, 1])
            values.append(codes[active])
        return Codes(indptr.cumsum(0), torch.cat(latents).int(), torch.cat(values))

    @torch.no_grad()
    def decode(self, codes: Float[Tensor, "batch n_latents"]) -> Float[Tensor, "batch d_out"]:
        """Return the reconstruction from codes; without skip connection or layer norm, which need the input."""
        return (codes.to(self.W_dec.dtype) @ self.W_dec + self.b_dec) / self._factor

    @torch.no_grad()
    def decode_sparse(self, codes: Codes) -> Float[Tensor, "batch d_out"]:
        """Return the reconstruction from sparse codes, as `decode` does."""
        return (gathered_sum(self.W_dec, codes.latents, codes.indptr.int(), codes.values) + self.b_dec) / self._factor

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_out"]:
        """Return what the dictionary makes of the input, skip connection and layer norm included."""
        return self.encode_and_reconstruct(x)[1]

    @torch.no_grad()
    def encode_and_reconstruct(self, x: Float[Tensor, "batch d_in"]) -> tuple[Codes, Float[Tensor, "batch d_out"]]:
        """Return sparse codes and reconstruction, computed once."""
        codes = self.encode_sparse(x)
        return codes, self._output(x, codes)

    def _output(self, x: Tensor, codes: Codes) -> Tensor:
        normalised, shift, size = self._normalised(x)
        decoded = gathered_sum(self.W_dec, codes.latents, codes.indptr.int(), codes.values) + self.b_dec
        if self.W_skip is not None:
            decoded = decoded + normalised @ self.W_skip.T
        return decoded / self._factor if shift is None or size is None else decoded * size + shift

    @property
    def _factor(self) -> float:
        return self.config.scale if self.config.normalize == "expected_average_norm" else 1.0

    def _needed(self) -> tuple[str, ...]:
        rule = ARCHITECTURES[self.config.architecture]
        needed = ("threshold",) if rule.choice == "per_batch" else ()
        return (*rule.vectors, *needed, *(("W_skip",) if self.config.skip else ()))

    def _tiles(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(x), _TILE):
            yield start, x[start : start + _TILE]

    def _normalised(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x = x.to(self.W_enc.dtype)
        if self.config.normalize != "layer_norm":
            return x * self._factor, None, None
        shift = x.mean(-1, keepdim=True)
        size = (x - shift).std(-1, keepdim=True)
        return (x - shift) / (size + _LAYER_NORM_EPSILON), shift, size

    def _fire(self, x: Tensor) -> Tensor:
        rule = ARCHITECTURES[self.config.architecture]
        own = {name: tensor for name in _OPTIONAL if (tensor := getattr(self, name)) is not None}
        centred = x - self.b_dec if self.config.apply_b_dec_to_input else x
        return rule.infer(torch.addmm(own[rule.bias], centred, self.W_enc), own, self.config.k)
