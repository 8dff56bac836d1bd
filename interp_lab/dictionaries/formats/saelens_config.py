"""cfg.json of the SAELens layout, both ways: what it says as a `DictionaryConfig`, and the other way round.

Our own record of a dictionary travels in its metadata, where other readers leave it alone; what stands at the top
level of the file always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from pydantic import JsonValue, ValidationError

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, DictionaryKind, Normalization
from interp_lab.dictionaries.formats.names import address_of, hook_name
from interp_lab.errors import InvalidDictionary, UnsupportedDictionary

LAYOUT_VERSION: Final = "6.0.0"
"""The version of SAELens whose layout this is; readers treat files without one as older."""
OWN: Final = "interp_lab"
"""Where our own record stands in the metadata."""

_SAE_NAMES: Final[Mapping[ArchitectureName, str]] = {
    "relu": "standard",
    "gated": "gated",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",
    "matryoshka": "jumprelu",
}
_TRANSCODER_NAMES: Final[Mapping[str, str]] = {
    "standard": "transcoder",
    "jumprelu": "jumprelu_transcoder",
    "topk": "topk_transcoder",
    "gated": "gated_transcoder",
}
"""The last two are names of our own: SAELens has no such class, and so refuses the file instead of misreading it."""
_OF_SAE: Final[Mapping[str, ArchitectureName]] = {
    "standard": "relu",
    "gated": "gated",
    "topk": "topk",
    "jumprelu": "jumprelu",
}
_OF_TRANSCODER: Final[Mapping[str, ArchitectureName]] = {
    theirs: _OF_SAE[ours] for ours, theirs in _TRANSCODER_NAMES.items()
}
_NORMALIZE: Final[Mapping[str, Normalization]] = {
    "none": "none",
    "expected_average_only_in": "none",  # the factor is in the weights of every finished file
    "layer_norm": "layer_norm",
}
_Dtype = Literal["float32", "bfloat16", "float16"]
_DTYPES: Final[Mapping[str, _Dtype]] = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}
_CROSSCODER = "crosscoder_"


class Read(NamedTuple):
    """What a cfg.json says."""

    config: DictionaryConfig
    rescaled: bool
    """Whether latents are chosen and scaled by the length of their decoder rows."""


class _Form(NamedTuple):
    kind: DictionaryKind
    architecture: ArchitectureName
    skip: bool


def architecture_name(config: DictionaryConfig) -> str:
    """Return the name under which the layout knows a dictionary of this kind."""
    name = _SAE_NAMES[config.architecture]
    if config.kind == "crosscoder":
        return f"{_CROSSCODER}{name}"
    if config.kind == "sae":
        return name
    name = _TRANSCODER_NAMES[name]
    return name.replace("transcoder", "skip_transcoder") if config.skip else name


def write_cfg(config: DictionaryConfig) -> dict[str, JsonValue]:
    """Return the contents of cfg.json for a dictionary."""
    name = architecture_name(config)
    cfg: dict[str, JsonValue] = {
        "architecture": name,
        "d_in": config.d_in,
        "d_sae": config.n_latents,
        "dtype": config.dtype,
        "device": "cpu",
        "apply_b_dec_to_input": config.apply_b_dec_to_input,
        "normalize_activations": "layer_norm" if config.normalize == "layer_norm" else "none",
        "reshape_activations": "hook_z" if (config.address_in or "").startswith("z.") else "none",
    }
    if config.kind == "transcoder":
        cfg["d_out"] = config.d_out
    if _SAE_NAMES[config.architecture] == "topk":
        if config.k is None:
            raise InvalidDictionary("A TopK dictionary without k cannot be stored.")
        cfg |= {"k": int(config.k), "rescale_acts_by_decoder_norm": False}
    cfg["metadata"] = _metadata(config)
    return cfg


def _metadata(config: DictionaryConfig) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
        "sae_lens_version": LAYOUT_VERSION,
        "training_architecture": "matryoshka_batchtopk" if config.architecture == "matryoshka" else config.architecture,
        OWN: config.model_dump(mode="json", exclude_defaults=True),
    }
    if config.models:
        found["model_name"] = config.models[0]
    if config.address_in is not None:
        found["hook_name"] = hook_name(config.address_in)
    if config.kind == "transcoder" and config.address_out is not None:
        found["hook_name_out"] = hook_name(config.address_out)
    return found


def read_cfg(cfg: Mapping[str, JsonValue], *, source: str | None = None) -> Read:
    """Return what the contents of a cfg.json say; files of SAELens before version 6 are understood too.

    Raises:
        InvalidDictionary: Something is missing or has an impossible value.
        UnsupportedDictionary: It is a dictionary of a kind that cannot be computed here.
    """
    form = _form(cfg)
    fields = _fields(cfg, form) | {"provenance": "imported", "source": source}
    try:
        config = DictionaryConfig.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "cfg.json"
        raise InvalidDictionary(f"cfg.json does not describe a dictionary: {where}: {problem['msg']}.") from None
    return Read(_own_record(cfg, config) or config, bool(cfg.get("rescale_acts_by_decoder_norm", False)))


def _form(cfg: Mapping[str, JsonValue]) -> _Form:
    name = str(cfg.get("architecture", "standard"))
    if name == "standard" and _activation(cfg) == "topk":
        name = "topk"
    if name.startswith(_CROSSCODER):
        return _Form("crosscoder", _known(_OF_SAE, name.removeprefix(_CROSSCODER)), skip=False)
    if name.endswith("transcoder"):
        return _Form("transcoder", _known(_OF_TRANSCODER, name.replace("skip_", "")), skip="skip_" in name)
    return _Form("sae", _known(_OF_SAE, name), skip=False)


def _known(names: Mapping[str, ArchitectureName], name: str) -> ArchitectureName:
    found = names.get(name)
    if found is None:
        raise UnsupportedDictionary(f"cfg.json names the architecture {name[:60]!r}.")
    return found


def _activation(cfg: Mapping[str, JsonValue]) -> str:
    return str(cfg.get("activation_fn", cfg.get("activation_fn_str", "relu")))


def _fields(cfg: Mapping[str, JsonValue], form: _Form) -> dict[str, Any]:
    told = cfg.get("metadata")
    about = cast("Mapping[str, JsonValue]", told if isinstance(told, dict) else cfg)
    here = address_of(about.get("hook_name", about.get("hook_point")))
    there = address_of(about.get("hook_name_out"))
    model = about.get("model_name")
    d_in = cfg.get("d_in")
    older = cfg.get("activation_fn_kwargs")
    k = cfg.get("k") or (older.get("k") if isinstance(older, dict) else None)
    return {
        "kind": form.kind,
        "architecture": form.architecture,
        "skip": form.skip,
        "d_in": d_in,
        "d_out": cfg.get("d_out", d_in) if form.kind == "transcoder" else d_in,
        "n_latents": cfg.get("d_sae"),
        "k": k if form.architecture == "topk" else None,
        "sections": _sections(cfg) if form.kind == "crosscoder" else (),
        "apply_b_dec_to_input": form.kind != "transcoder" and bool(cfg.get("apply_b_dec_to_input", True)),
        "addresses_in": () if here is None else (here,),
        "addresses_out": () if there is None else (there,),
        "models": (model,) if isinstance(model, str) and model.strip() else (),
        "normalize": _normalize(cfg.get("normalize_activations")),
        "dtype": _dtype(cfg.get("dtype")),
    }


def _sections(cfg: Mapping[str, JsonValue]) -> Any:
    told = _own(cfg)
    return told.get("sections", ())


def _normalize(value: JsonValue) -> Normalization:
    if value is None or isinstance(value, bool):  # before version 6: whether the factor was used
        return "none"
    name = _NORMALIZE.get(str(value))
    if name is None:
        raise UnsupportedDictionary(f"Its activations are normalised by {str(value)[:60]!r}.")
    return name


def _dtype(value: JsonValue) -> _Dtype:
    return _DTYPES.get(str(value).removeprefix("torch."), "float32")


def _own(cfg: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    told = cfg.get("metadata")
    record = told.get(OWN) if isinstance(told, dict) else None
    return record if isinstance(record, dict) else {}


def _own_record(cfg: Mapping[str, JsonValue], plain: DictionaryConfig) -> DictionaryConfig | None:
    """Return our own fuller record of the dictionary if there is one and the rest of the file still agrees with it."""
    if not _own(cfg):
        return None
    try:
        own = DictionaryConfig.model_validate(dict(_own(cfg)))
    except ValidationError:
        return None
    same = architecture_name(own) == architecture_name(plain) and all(
        getattr(own, name) == getattr(plain, name) for name in ("kind", "d_in", "d_out", "n_latents", "skip", "dtype")
    )
    same_k = _SAE_NAMES[own.architecture] != "topk" or own.k == plain.k
    return own if same and same_k and own.apply_b_dec_to_input == plain.apply_b_dec_to_input else None
