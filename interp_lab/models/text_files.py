"""What can be refused about a text encoder or a classifier of text pairs before it is loaded. Torch-free."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from interp_lab.contracts.models import ModelRef
from interp_lab.errors import EncoderUnfit, NoEntailmentLabel, NotOnThisMachine
from interp_lab.models.preflight import check_remote_code
from interp_lab.models.reference import locate
from interp_lab.models.resolve import ModelSource
from interp_lab.models.weights import read_json, read_weights
from interp_lab.settings import Settings

_POOLING = ("1_Pooling", "config.json")
_SENTENCES = "sentence_bert_config.json"
_LEAST_TOKENS = 3
"""One of a text between two special ones."""
_DENIED = re.compile(r"\b(?:not|non|no)[ _-]?entail|contra", re.IGNORECASE)
_ENTAILED = re.compile(r"entail", re.IGNORECASE)
_SHOWN = 200


def local_source(ref: ModelRef, settings: Settings) -> ModelSource:
    """Return where a text model is; one that is not on this machine is never fetched.

    Raises:
        NotOnThisMachine: It is a hub id that was not downloaded before.
        UnknownModel, PathOutsideWorkspace, InvalidPath, InvalidRequest: see `locate`.
        InvalidModel, UnsafeWeights, CorruptWeights, RemoteCodeNotAllowed: Its files cannot be used.
    """
    source = locate(ref, settings)
    if source is None:
        raise NotOnThisMachine(f"{ref.id[:120]} is not on this machine.")
    check_remote_code(source.directory, allowed=False)
    read_weights(source.directory)
    return source


def refuse_other_pooling(directory: Path) -> None:
    """Return if the encoder does not say that it was made for something else than the mean over tokens.

    Raises:
        EncoderUnfit: It says so; its vectors pooled by the mean would not be what it was trained for.
    """
    said = directory.joinpath(*_POOLING)
    if said.is_file() and read_json(said).get("pooling_mode_mean_tokens") is not True:
        raise EncoderUnfit(f"{directory.name} was made for another pooling than the mean over tokens.")


def sentence_limit(directory: Path) -> int | None:
    """Return the tokens of a text, special ones among them, that the encoder was made to read; None if it says nothing.

    Source: `max_seq_length` of sentence-transformers, beyond which that library cuts texts too.

    Raises:
        EncoderUnfit: It says something that is no number of tokens.
    """
    said = directory / _SENTENCES
    limit = read_json(said).get("max_seq_length") if said.is_file() else None
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < _LEAST_TOKENS:
        raise EncoderUnfit(f"{_SENTENCES} of {directory.name} says max_seq_length {str(limit)[:40]!r}.")
    return limit


def entailment_label(directory: Path, wanted: str | None = None) -> tuple[int, str]:
    """Return the index and the name of the label that says entailment, as config.json has it; or the one `wanted`.

    Raises:
        NoEntailmentLabel: There is none, or several could be; the labels are named.
    """
    labels = _labels(directory)
    if wanted is not None:
        found = [index for index, name in labels.items() if name.casefold() == wanted.casefold()]
    else:
        found = [index for index, name in labels.items() if _ENTAILED.search(name) and not _DENIED.search(name)]
    if len(found) == 1 and len(labels) > 1:
        return found[0], labels[found[0]]
    named = ", ".join(repr(name[:40]) for name in labels.values())[:_SHOWN] or "none"
    what = "no label" if not found else f"{len(found)} labels" if len(found) > 1 else "a single label"
    raise NoEntailmentLabel(f"{directory.name} has {what} for entailment; its labels are {named}.")


def _labels(directory: Path) -> dict[int, str]:
    named = read_json(directory / "config.json").get("id2label")
    pairs = cast("dict[str, object]", named) if isinstance(named, dict) else {}
    return {int(key): str(name) for key, name in pairs.items() if key.isascii() and key.isdigit()}
