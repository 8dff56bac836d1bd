"""Places inside a model: the hook-point table and `Address`, the one way to name a place.

One row per hook point; resolvers, schemas and docs read the table. `Address` is closed and has one
canonical string form (`resid_post.10`, `embed`, `module:model.layers.3.mlp@in`), so equal places have
equal names. TransformerLens names are accepted on input and mapped. This module does not know any model:
whether a layer exists or a family offers a point is decided in `interp_lab.models`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from interp_lab.errors import ImpossibleEdit, InvalidAddress, LabError, UnknownHookPoint

Scope = Literal["layer", "global"]
Side = Literal["in", "out"]
Width = Literal["d_model", "n_heads*d_head", "n_kv_heads*d_head", "d_mlp", "n_heads*pos", "n_vocab"]


class HookPoint(NamedTuple):
    """One named place: its scope, the width of its tensor, its TransformerLens name and what it is."""

    name: str
    scope: Scope
    width: Width
    transformer_lens: str | None
    note: str


_POINTS: tuple[HookPoint, ...] = (
    HookPoint("resid_pre", "layer", "d_model", "blocks.{}.hook_resid_pre", "residual stream entering the block"),
    HookPoint("resid_mid", "layer", "d_model", "blocks.{}.hook_resid_mid", "residual stream between attention and MLP"),
    HookPoint("resid_post", "layer", "d_model", "blocks.{}.hook_resid_post", "residual stream leaving the block"),
    HookPoint("attn_out", "layer", "d_model", "blocks.{}.hook_attn_out", "what attention adds to the residual stream"),
    HookPoint("attn_probs", "layer", "n_heads*pos", "blocks.{}.attn.hook_pattern", "attention probabilities"),
    HookPoint("z", "layer", "n_heads*d_head", "blocks.{}.attn.hook_z", "mixed values, input of the output projection"),
    HookPoint("q", "layer", "n_heads*d_head", "blocks.{}.attn.hook_q", "queries before norm and rotation"),
    HookPoint("k", "layer", "n_kv_heads*d_head", "blocks.{}.attn.hook_k", "keys before norm and rotation"),
    HookPoint("v", "layer", "n_kv_heads*d_head", "blocks.{}.attn.hook_v", "values as projected"),
    HookPoint("mlp_in", "layer", "d_model", None, "input of the MLP, after its norm"),
    HookPoint("mlp_act", "layer", "d_mlp", "blocks.{}.mlp.hook_post", "MLP neurons, input of the down projection"),
    HookPoint("mlp_out", "layer", "d_model", "blocks.{}.hook_mlp_out", "what the MLP adds to the residual stream"),
    HookPoint("embed", "global", "d_model", "hook_embed", "output of the token embedding, without positions"),
    HookPoint("logits", "global", "n_vocab", None, "next-token or masked-token logits"),
)
"""Places of a model, in the order in which a pre-norm block meets them; heads are flattened into the width."""

DECODER = "decoder_"
"""How the names of places in the decoder of an encoder-decoder begin: a name without it means the encoder."""
_CROSS_OUT = HookPoint("cross_out", "layer", "d_model", None, "what attention to the encoder adds to the stream")
_NOT_OF_DECODERS = frozenset({"attn_probs", "logits"})

HOOK_POINTS: tuple[HookPoint, ...] = (
    *_POINTS,
    *(
        row._replace(
            name=DECODER + row.name, transformer_lens=None, note=f"in a decoder that reads an encoder: {row.note}"
        )
        for row in (*_POINTS, _CROSS_OUT)
        if row.name not in _NOT_OF_DECODERS
    ),
)
"""Every hook point; those of the decoder of an encoder-decoder last."""

_BY_NAME = {row.name: row for row in HOOK_POINTS}
_BY_ALIAS = {row.transformer_lens: row.name for row in HOOK_POINTS if row.transformer_lens}
_LAYER = r"(?:0|[1-9][0-9]{0,3})"
_MODULE = r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*"


def _names(scope: Scope) -> str:
    return "|".join(row.name for row in HOOK_POINTS if row.scope == scope)


def _aliases() -> str:
    return "|".join(re.escape(alias).replace(r"\{\}", _LAYER) for alias in _BY_ALIAS)


PATTERN = rf"^(?:(?:{_names('layer')})\.{_LAYER}|{_names('global')}|module:{_MODULE}(?:@(?:in|out))?|{_aliases()})$"
"""Regular expression that matches exactly the strings `Address.parse` accepts."""

EXAMPLES = ("resid_post.10", "z.3", "embed", "module:transformer.h.2.mlp@in")


def hook_point(name: str) -> HookPoint:
    """Return the row of the hook point `name`.

    Raises:
        UnknownHookPoint: No such row; the message has the nearest names.
    """
    row = _BY_NAME.get(name)
    if row is None:
        near = get_close_matches(name, _BY_NAME, n=3, cutoff=0.4) or list(_BY_NAME)
        raise UnknownHookPoint(f"There is no hook point {name[:80]!r}; nearest: {', '.join(near)}.")
    return row


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A place in a model: a hook point with its layer, or a module path with the side it is read on."""

    point: str
    layer: int | None = None
    path: str | None = None
    side: Side = "out"

    def __post_init__(self) -> None:
        if self.point == "module":
            self._check_module()
        elif self.path is not None or self.side != "out":
            raise InvalidAddress(f"{self.point} is a named hook point; only module: addresses have a path and a side.")
        else:
            self._check_layer(hook_point(self.point))

    def _check_module(self) -> None:
        if self.layer is not None or self.path is None or not re.fullmatch(_MODULE, self.path):
            raise InvalidAddress(f"{self.path!r} is not a dotted module path.")
        if self.side not in ("in", "out"):
            raise InvalidAddress(f"A module is read on side 'in' or 'out', not {self.side!r}.")

    def _check_layer(self, row: HookPoint) -> None:
        if row.scope == "global" and self.layer is not None:
            raise InvalidAddress(f"{row.name} exists once per model and takes no layer; write {row.name!r}.")
        if row.scope == "layer" and self.layer is None:
            raise InvalidAddress(f"{row.name} exists in every layer; write for example '{row.name}.0'.")
        if self.layer is not None and not 0 <= self.layer <= 9999:
            raise InvalidAddress(f"Layers count from 0, so {self.layer} is not one.")

    def __str__(self) -> str:
        if self.point == "module":
            return f"module:{self.path}{'@in' if self.side == 'in' else ''}"
        return self.point if self.layer is None else f"{self.point}.{self.layer}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `text` names, in canonical form or as a TransformerLens name.

        Raises:
            UnknownHookPoint: The name before the layer is not in the table.
            InvalidAddress: The text has not the form of an address.
        """
        if text.startswith("module:"):
            return _parse_module(text.removeprefix("module:"))
        if re.match(r"blocks\.|hook_", text):
            return _parse_transformer_lens(text)
        name, dot, layer = text.partition(".")
        hook_point(name)
        if not dot:
            return cls(name)
        if not re.fullmatch(_LAYER, layer):
            raise InvalidAddress(f"{layer[:40]!r} is not a layer number in {text[:80]!r}.")
        return cls(name, int(layer))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a string field that validates into an `Address` and serialises back."""
        text = core_schema.no_info_after_validator_function(_validate, core_schema.str_schema(max_length=300))
        value_or_text = core_schema.no_info_wrap_validator_function(_kept_or_read, text)
        return core_schema.json_or_python_schema(
            json_schema=text, python_schema=value_or_text, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON Schema of the string form."""
        note = "A place in the model: 'POINT.LAYER', 'embed', 'logits' or 'module:PATH[@in|@out]'."
        return {"type": "string", "pattern": PATTERN, "examples": list(EXAMPLES), "description": note}


def _kept_or_read(given: Any, read: ValidatorFunctionWrapHandler) -> Address:
    return given if isinstance(given, Address) else read(given)


def every_layer(point: str, n_layers: int) -> tuple[Address, ...]:
    """Return the addresses of one layered hook point in all of `n_layers` layers."""
    return tuple(Address(point, layer) for layer in range(n_layers))


_IN_A_BLOCK = (
    "resid_pre", "q", "k", "v", "attn_probs", "z", "attn_out", "resid_mid", "mlp_in", "mlp_act", "mlp_out", "resid_post"
)  # fmt: skip


def place_in_order(address: Address) -> tuple[int, int]:
    """Return where a pass meets an address, later ones larger; before everything what belongs to no known block."""
    if address.layer is None or address.point not in _IN_A_BLOCK:
        return (-1, 0)
    return (address.layer, _IN_A_BLOCK.index(address.point))


def first_block(address: Address) -> int:
    """Return the first block that has to run again when the address is edited."""
    if address.layer is None:
        return 0
    return address.layer + 1 if address.point == "resid_post" else address.layer


def refuse_not_later(name: str, read: Address, edited: Iterable[tuple[str, Address]]) -> None:
    """Return if every edit, named with its address, is made before the unit of that name is read.

    Raises:
        ImpossibleEdit: The unit is read where, or before, something is edited.
    """
    for unit, address in edited:
        if place_in_order(address) >= place_in_order(read):
            raise ImpossibleEdit(
                f"{name} is not read after {address}, where {unit} is edited.",
                remedy="Name a unit at a later hook point of the residual stream, attention or MLP.",
            )


def _parse_module(text: str) -> Address:
    path, at, side = text.partition("@")
    if at and side not in ("in", "out"):
        raise InvalidAddress(f"A module is read '@in' or '@out', not '@{side[:40]}'.")
    return Address("module", path=path, side="in" if side == "in" else "out")


def _parse_transformer_lens(text: str) -> Address:
    layer = re.match(rf"blocks\.({_LAYER})\.", text)
    template = text if layer is None else f"blocks.{{}}.{text[layer.end() :]}"
    name = _BY_ALIAS.get(template)
    if name is None:
        near = get_close_matches(template, _BY_ALIAS, n=3, cutoff=0.4)
        raise UnknownHookPoint(f"{text[:80]!r} maps to no hook point; known forms: {', '.join(near or _BY_ALIAS)}.")
    return Address(name, None if layer is None else int(layer[1]))


def _validate(text: str) -> Address:
    try:
        return Address.parse(text)
    except LabError as error:
        raise PydanticCustomError("address", "{problem}", {"problem": f"{error.what} {error.remedy}"}) from error
