# pyright: standard
"""Text as tokens: ids, which of them are special, and the piece of text that each one shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from interp_lab.errors import InvalidRequest, PromptNotPoolable
from interp_lab.models.load import LoadedModel
from interp_lab.models.preflight import refuse_long

BosPolicy = Literal["tokenizer", "always", "never"]
"""As the tokenizer does by itself; always begin with the beginning-of-text token; no special token is added at all."""

Span = tuple[int, int]
"""Character range of a text, the end not included."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """One prompt as the model reads it. All tuples have one entry per token."""

    id: str
    text: str
    ids: tuple[int, ...]
    special: tuple[bool, ...]
    """Tokens that stand for no text of the prompt (begin, end, padding, separators); pooling leaves them out."""
    pieces: tuple[str, ...]
    """Text to show for each token."""
    offsets: tuple[Span, ...] | None
    """Character range of each token, or `None` where the tokenizer does not tell."""

    def __len__(self) -> int:
        return len(self.ids)

    def covers(self, span: Span) -> tuple[bool, ...]:
        """Return which tokens share at least one character with `span`; special tokens never do."""
        if self.offsets is None:
            raise InvalidRequest("This model's tokenizer does not tell which characters a token covers.")
        begin, end = span
        return tuple(
            not special and first < end and begin < last
            for (first, last), special in zip(self.offsets, self.special, strict=True)
        )


def tokenize(
    loaded: LoadedModel, prompts: Mapping[str, str], *, bos: BosPolicy = "tokenizer"
) -> tuple[TokenizedPrompt, ...]:
    """Return the prompts (id → text) as tokens, in order; nothing is ever cut.

    Raises:
        PromptTooLong: A prompt does not fit the context.
        PromptNotPoolable: A prompt has no token at all.
        InvalidRequest: `bos="always"` and the tokenizer has no such token, or a text is not valid Unicode.
    """
    reader = _Reader(loaded.tokenizer, bos)
    result = tuple(reader.read(prompt_id, text) for prompt_id, text in prompts.items())
    bare = [prompt.id for prompt in result if len(prompt) == 0]
    if bare:
        raise PromptNotPoolable(f"No text, so no token, in: {', '.join(bare[:10])}.")
    if loaded.facts.context_length is not None:
        refuse_long({prompt.id: len(prompt) for prompt in result}, loaded.facts.context_length)
    return result


def tokenize_documents(
    loaded: LoadedModel, documents: Mapping[str, str], *, bos: BosPolicy = "tokenizer", as_target: bool = False
) -> tuple[TokenizedPrompt, ...]:
    """Return documents (id → text) of any length as tokens, in order; cutting them to the context is the caller's.

    `as_target` reads them as what a translation model writes, where its tokenizer has another way for that.

    Raises:
        InvalidRequest: see `tokenize`.
    """
    reader = _Reader(loaded.tokenizer, bos, as_target=as_target)
    return tuple(reader.read(document_id, text) for document_id, text in documents.items())


def open_ended(loaded: LoadedModel, prompt: TokenizedPrompt) -> TokenizedPrompt:
    """Return a prompt without the end-of-text token that its tokenizer may have put last, so that it can go on."""
    if len(prompt) < 2 or prompt.ids[-1] != loaded.tokenizer.eos_token_id:
        return prompt
    return TokenizedPrompt(
        id=prompt.id,
        text=prompt.text,
        ids=prompt.ids[:-1],
        special=prompt.special[:-1],
        pieces=prompt.pieces[:-1],
        offsets=None if prompt.offsets is None else prompt.offsets[:-1],
    )


def continued(loaded: LoadedModel, prompt: TokenizedPrompt, ids: Sequence[int]) -> TokenizedPrompt:
    """Return a prompt followed by the tokens that a model wrote after it; they have no place in the prompt's text."""
    marks = special_ids(loaded.tokenizer)
    end = len(prompt.text)
    return TokenizedPrompt(
        id=prompt.id,
        text=prompt.text,
        ids=(*prompt.ids, *ids),
        special=(*prompt.special, *(token in marks for token in ids)),
        pieces=(*prompt.pieces, *(str(loaded.tokenizer.decode([token])) for token in ids)),
        offsets=None if prompt.offsets is None else (*prompt.offsets, *((end, end) for _ in ids)),
    )


class Turn(NamedTuple):
    """One message of a written-out conversation."""

    role: str
    span: Span


class WrittenChat(NamedTuple):
    """A conversation as the text that the model was trained to read, and where each message stands in it."""

    text: str
    turns: tuple[Turn, ...]
    """Messages whose content the template left as it was, in order."""


def write_chat(
    loaded: LoadedModel, messages: Sequence[tuple[str, str]], *, add_generation_prompt: bool = False
) -> WrittenChat:
    """Return (role, content) messages as text, by the chat template of the model's tokenizer.

    The text has the template's special tokens in it, so it is to be tokenised with `bos="never"`.

    Raises:
        InvalidRequest: The tokenizer has no template, or the template refuses these messages.
    """
    if not getattr(loaded.tokenizer, "chat_template", None):
        raise InvalidRequest(f"The tokenizer of {loaded.source.id} has no chat template.", remedy="Give plain text.")
    given = [{"role": role, "content": content} for role, content in messages]
    try:
        text = loaded.tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=add_generation_prompt)
    except (TemplateError, ValueError, TypeError) as error:
        raise InvalidRequest(f"The chat template refuses a conversation: {str(error)[:200]}") from error
    turns: list[Turn] = []
    begin = 0
    for role, content in messages:
        shown = content.strip()
        found = str(text).find(shown, begin) if shown else -1
        if found >= 0:
            begin = found + len(shown)
            turns.append(Turn(role, (found, begin)))
    return WrittenChat(str(text), tuple(turns))


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids that stand for no text; an unknown-word token stands for text, unless it has a second role."""
    roles = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return frozenset(i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id or i in roles)


class _Token(NamedTuple):
    id: int
    special: bool
    span: Span


class _Reader:
    """A tokenizer together with what one call of `tokenize` decided once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, bos: BosPolicy, *, as_target: bool = False) -> None:
        self._tokenizer = tokenizer
        self._argument = "text_target" if as_target else "text"
        self._has_offsets = bool(tokenizer.is_fast)
        self._add_special = bos != "never"
        self._marks = special_ids(tokenizer)
        self._begin = _bos_id(tokenizer) if bos == "always" else None

    def read(self, prompt_id: str, text: str) -> TokenizedPrompt:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidRequest(f"Prompt {prompt_id} holds half a surrogate pair, which is not text.")
        tokens = self._tokens(text)
        return TokenizedPrompt(
            id=prompt_id,
            text=text,
            ids=tuple(token.id for token in tokens),
            special=tuple(token.special for token in tokens),
            pieces=self._pieces(text, tokens),
            offsets=tuple(token.span for token in tokens) if self._has_offsets else None,
        )

    def _tokens(self, text: str) -> list[_Token]:
        options = {"add_special_tokens": self._add_special, "return_offsets_mapping": self._has_offsets}
        encoded = self._tokenizer(**{self._argument: text}, **options, verbose=False)  # pyright: ignore
        ids = cast("list[int]", encoded["input_ids"])
        spans = cast("list[Span]", encoded["offset_mapping"]) if self._has_offsets else [(0, 0)] * len(ids)
        tokens = [_Token(i, i in self._marks, (span[0], span[1])) for i, span in zip(ids, spans, strict=True)]
        if self._begin is not None and ids[:1] != [self._begin]:
            tokens.insert(0, _Token(self._begin, special=True, span=(0, 0)))
        return tokens

    def _pieces(self, text: str, tokens: list[_Token]) -> tuple[str, ...]:
        """Cut the text after each token, so that the pieces of ordinary tokens join to the text up to the last one.

        A later token of a character that several tokens share shows the replacement character.
        """
        if not self._has_offsets:
            return tuple(str(self._tokenizer.decode([token.id])) for token in tokens)
        pieces: list[str] = []
        shown = 0
        for token in tokens:
            first, last = token.span
            if token.special:
                pieces.append(str(self._tokenizer.convert_ids_to_tokens(token.id)))
            elif last > shown:
                pieces.append(text[shown:last])
            else:
                pieces.append(REPLACEMENT if last > first else "")
            shown = max(shown, last)
        return tuple(pieces)


def _bos_id(tokenizer: PreTrainedTokenizerBase) -> int:
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    if begin is None:
        raise InvalidRequest("This tokenizer has no beginning-of-text token.", remedy="Use another bos policy.")
    return cast("int", begin)
