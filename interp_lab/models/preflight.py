"""What can be refused about a model before work starts: checks on files, torch-free, for the server process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from interp_lab.errors import InvalidModel, PromptTooLong, RemoteCodeNotAllowed
from interp_lab.models.facts import ModelFacts, read_facts
from interp_lab.models.families import FAMILIES, PairPart
from interp_lab.models.file_tokenizer import check_words, token_ids
from interp_lab.models.weights import read_json
from interp_lab.points import Address

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_NAMED = 10


def preflight(
    directory: Path,
    *,
    addresses: Sequence[Address] = (),
    prompts: Mapping[str, str] | None = None,
    allow_remote_code: bool = False,
    part: PairPart = "encoder",
    words: Sequence[str] = (),
) -> ModelFacts:
    """Return the facts of the model in `directory` after every check that needs no model in memory.

    `prompts` maps prompt ids to texts; `part` is the part of an encoder-decoder that is meant; `words` must each be one
    token.

    Raises:
        InvalidModel: Configuration, tokenizer or weights are missing.
        UnsafeWeights: The weights are only there as pickle.
        CorruptWeights: A weight file does not fit its header.
        RemoteCodeNotAllowed: The model brings its own code and needs it.
        HookPointUnavailable: The family does not offer a hook point.
        LayerOutOfRange: An address names a layer that does not exist.
        PromptTooLong: A prompt does not fit the context.
        TargetTokensUnclear: One of the words is several tokens.
    """
    check_remote_code(directory, allowed=allow_remote_code)
    facts = read_facts(directory, part=part)
    if not any((directory / name).is_file() for name in _TOKENIZER_FILES):
        raise InvalidModel(f"{directory.name} has no tokenizer files.")
    for address in addresses:
        facts.check(address)
    if prompts:
        check_prompt_lengths(directory, facts.context_length, prompts)
    if words:
        check_words(directory, words)
    return facts


def needs_remote_code(directory: Path) -> bool:
    """Return whether the model can only run with code from its own directory."""
    config = read_json(directory / "config.json")
    return "auto_map" in config and not _is_native(str(config.get("model_type") or ""))


def check_remote_code(directory: Path, *, allowed: bool) -> None:
    """Return if the model in `directory` may be loaded.

    Raises:
        RemoteCodeNotAllowed: It needs its own code to run and that is not allowed.
    """
    if needs_remote_code(directory) and not allowed:
        raise RemoteCodeNotAllowed(f"{directory.name} brings its own model code (auto_map in config.json).")


def check_prompt_lengths(directory: Path, context_length: int | None, prompts: Mapping[str, str]) -> None:
    """Return if every prompt fits the context; does nothing where files alone do not tell.

    Raises:
        PromptTooLong: Names the ids and lengths of the prompts that do not fit.
    """
    found = None if context_length is None else token_ids(directory, list(prompts.values()))
    if found is not None and context_length is not None:
        refuse_long(dict(zip(prompts, map(len, found), strict=True)), context_length)


def refuse_long(lengths: Mapping[str, int], context_length: int) -> None:
    """Return if every length, in tokens, fits.

    Raises:
        PromptTooLong: Names the ids and lengths of the prompts that do not fit.
    """
    over = {prompt_id: length for prompt_id, length in lengths.items() if length > context_length}
    if not over:
        return
    named = ", ".join(f"{prompt_id} ({length})" for prompt_id, length in list(over.items())[:_NAMED])
    more = f" and {len(over) - _NAMED} more" if len(over) > _NAMED else ""
    raise PromptTooLong(f"Longer than the context of {context_length} tokens: {named}{more}.")


def _is_native(model_type: str) -> bool:
    """Whether transformers has the architecture itself, told from its folders so that it need not be imported."""
    if any(model_type in family.model_types for family in FAMILIES):
        return True
    spec = find_spec("transformers")
    places = (spec.submodule_search_locations or []) if spec else []
    folder = model_type.replace("-", "_")
    return folder.isidentifier() and any((Path(place) / "models" / folder).is_dir() for place in places)
