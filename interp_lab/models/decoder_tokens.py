# pyright: standard
"""What the decoder of an encoder-decoder reads: the token it starts with, then its text, as labels are fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from interp_lab.errors import InvalidModel
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import BosPolicy, TokenizedPrompt, continued, tokenize_documents


def start_id(loaded: LoadedModel) -> int:
    """Return the token that the decoder starts with.

    Raises:
        InvalidModel: Neither the configuration nor the generation settings name one.
    """
    given = getattr(loaded.model.config, "decoder_start_token_id", None)
    if given is None:
        given = getattr(loaded.model.generation_config, "decoder_start_token_id", None)
    if not isinstance(given, int):
        raise InvalidModel(f"{loaded.source.id} does not say which token its decoder starts with.")
    return given


def start_tokens(loaded: LoadedModel, document_id: str) -> TokenizedPrompt:
    """Return what the decoder reads before it has written anything: the special token that it starts with."""
    return _opening(loaded, document_id, start_id(loaded))


def _opening(loaded: LoadedModel, document_id: str, start: int) -> TokenizedPrompt:
    return TokenizedPrompt(
        id=document_id,
        text="",
        ids=(start,),
        special=(True,),
        pieces=(str(loaded.tokenizer.convert_ids_to_tokens(start)),),
        offsets=((0, 0),),
    )


def decoder_tokens(loaded: LoadedModel, targets: Mapping[str, str], *, bos: BosPolicy) -> tuple[TokenizedPrompt, ...]:
    """Return target texts (id → text) as the decoder reads them: the starting token, then the text.

    The token that closes a text is what the last prediction is about; no decoder reads it, so it is left out.

    Raises:
        InvalidModel: see `start_id`.
        InvalidRequest: see `tokenize`.
    """
    plain = tokenize_documents(loaded, targets, bos=bos, as_target=True)
    return tuple(
        _after(_opening(loaded, tokens.id, _first_fed(loaded, tokens)), without_closing(tokens)) for tokens in plain
    )


def written_tokens(loaded: LoadedModel, document_id: str, ids: Sequence[int]) -> TokenizedPrompt:
    """Return the starting token and what the model wrote after it, without the token that closed it."""
    ends = ids[-1:] == (loaded.tokenizer.eos_token_id,)
    return continued(loaded, start_tokens(loaded, document_id), ids[:-1] if ends else ids)


def without_closing(tokens: TokenizedPrompt) -> TokenizedPrompt:
    """Return tokens without the special token that closes the text, if there is one."""
    if not tokens.special or not tokens.special[-1]:
        return tokens
    return replace(
        tokens,
        ids=tokens.ids[:-1],
        special=tokens.special[:-1],
        pieces=tokens.pieces[:-1],
        offsets=None if tokens.offsets is None else tokens.offsets[:-1],
    )


def _first_fed(loaded: LoadedModel, labels: TokenizedPrompt) -> int:
    """The token that stands first when transformers turns labels into what the decoder reads.

    mBART takes the one that closes them, so labels that nothing closes do not say.
    """
    turn = getattr(loaded.model, "prepare_decoder_input_ids_from_labels", None)
    if turn is None or not labels.special or not labels.special[-1]:
        return start_id(loaded)
    return int(turn(labels=torch.tensor([labels.ids]))[0, 0])


def _after(start: TokenizedPrompt, tokens: TokenizedPrompt) -> TokenizedPrompt:
    offsets = None if tokens.offsets is None or start.offsets is None else (*start.offsets, *tokens.offsets)
    return replace(
        tokens,
        ids=(*start.ids, *tokens.ids),
        special=(*start.special, *tokens.special),
        pieces=(*start.pieces, *tokens.pieces),
        offsets=offsets,
    )
