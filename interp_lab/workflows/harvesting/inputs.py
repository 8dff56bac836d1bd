# pyright: standard
"""What a harvest reads: the loaded model, and the documents as that model's text; nothing is computed yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from interp_lab.contracts.harvest import LOGIT_METRICS, TARGET_METRICS, HarvestRequest
from interp_lab.contracts.store import LabelField
from interp_lab.corpus.corpora import Corpus, open_corpus
from interp_lab.corpus.document import Document
from interp_lab.corpus.each_of import EachOf
from interp_lab.corpus.grouping import Grouping, group_documents
from interp_lab.corpus.labels import label_fields, refuse_without_target
from interp_lab.engine.pieces import CutRule
from interp_lab.engine.token_metrics import BUILT_IN, TokenMetric, target_metrics
from interp_lab.errors import InvalidRequest
from interp_lab.models.decoder_tokens import decoder_tokens, start_tokens
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import BosPolicy, TokenizedPrompt, WrittenChat, tokenize_documents, write_chat
from interp_lab.points import Address
from interp_lab.settings import Settings

DEFAULT_CONTEXT = 2048
"""Window of a model that states no limit."""
_COUNTED_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that was read, before anything is computed."""

    request: HarvestRequest
    corpus: Corpus
    loaded: LoadedModel
    addresses: tuple[Address, ...]
    metrics: tuple[TokenMetric, ...]
    rule: CutRule

    @property
    def documents(self) -> Sequence[Document]:
        """The documents, in order; go through them once, as they may lie on disk."""
        return self.corpus.documents

    @cached_property
    def chats(self) -> Sequence[WrittenChat]:
        """Every document as the model reads it; turns are known of conversations only."""
        closing = getattr(self.request.dataset, "add_generation_prompt", False)

        def written(document: Document) -> WrittenChat:
            if not document.messages:
                return WrittenChat(document.text, ())
            return write_chat(self.loaded, document.messages, add_generation_prompt=closing)

        return EachOf(self.documents, written)

    @cached_property
    def texts(self) -> Sequence[str]:
        """The text of every document."""
        return EachOf(self.chats, lambda chat: chat.text)

    @cached_property
    def grouping(self) -> Grouping:
        """Which documents are one unit of evidence."""
        return group_documents(self.documents, self.texts)

    @cached_property
    def labels(self) -> tuple[LabelField, ...]:
        """Labels of the documents."""
        return label_fields(self.documents)

    @cached_property
    def has_spans(self) -> bool:
        """Whether a document has labelled ranges."""
        return any(document.spans for document in self.documents)

    @property
    def wants_logits(self) -> bool:
        """Whether a metric needs the whole model."""
        return any(metric.needs_logits for metric in self.metrics)

    @property
    def captured(self) -> tuple[Address, ...]:
        """The addresses that passes read: those asked for, and the logits if a metric needs them."""
        logits = (Address("logits"),) if self.wants_logits else ()
        return tuple(dict.fromkeys((*self.addresses, *logits)))

    @cached_property
    def targets(self) -> Sequence[str]:
        """The text that the decoder of an encoder-decoder reads, of every document; none where it writes it itself.

        Raises:
            InvalidDocuments: A document lacks the label, or it is not text.
        """
        decoder = self.request.decoder
        if decoder is None or decoder.target is None:
            return ()
        refuse_without_target(self.documents, name := decoder.target)
        return EachOf(self.documents, lambda document: str(document.labels[name]))

    def tokens(self, start: int, stop: int) -> tuple[TokenizedPrompt, ...]:
        """Return documents `start:stop` as tokens; an encoder-decoder reads them with its encoder."""
        bos: BosPolicy = "never" if self.is_chat else self.request.bos
        numbered = {str(i): text for i, text in enumerate(self.texts[start:stop], start)}
        return tokenize_documents(self.loaded, numbered, bos=bos)

    def decoder_tokens(self, start: int, stop: int) -> tuple[TokenizedPrompt, ...]:
        """Return what the decoder reads of documents `start:stop`, as far as it is known before it writes."""
        numbers = range(start, min(stop, len(self.documents)))
        if not self.targets:
            return tuple(start_tokens(self.loaded, str(i)) for i in numbers)
        return decoder_tokens(self.loaded, {str(i): self.targets[i] for i in numbers}, bos=self.request.bos)

    def fed_in_words(self) -> str | None:
        """Return what the decoder of an encoder-decoder is fed, as a record says it."""
        if self.request.decoder is None:
            return None
        target = self.request.decoder.target
        text = "what the model wrote" if target is None else f"the label {target!r} of the document"
        return f"rows are what the decoder read: its starting token, then {text} without the token that closes it"

    @property
    def is_chat(self) -> bool:
        """Whether the template writes the special tokens."""
        return self.request.dataset.kind == "chat"

    def count_tokens(self) -> int:
        """Return the tokens of all documents, without keeping any."""
        return sum(map(len, self._counts()))

    def _counts(self) -> Iterator[Sequence[int]]:
        if self.request.decoder is not None:
            for start in range(0, len(self.documents), _COUNTED_AT_ONCE):
                yield from (tokens.ids for tokens in self.decoder_tokens(start, start + _COUNTED_AT_ONCE))
            return
        add_special = not self.is_chat and self.request.bos != "never"
        for start in range(0, len(self.texts), _COUNTED_AT_ONCE):
            part = list(self.texts[start : start + _COUNTED_AT_ONCE])
            encoded = self.loaded.tokenizer(part, add_special_tokens=add_special, verbose=False)
            yield from encoded["input_ids"]  # pyright: ignore[reportReturnType]


def open_inputs(request: HarvestRequest, settings: Settings, extra: Sequence[TokenMetric]) -> Inputs:
    """Return the inputs of a harvest; every check that needs the model is made here.

    Raises:
        RequestError: whatever is wrong with the corpus, the model, the addresses or the metrics.
        HubUnreachable: the model could not be fetched.
    """
    corpus = open_corpus(request.dataset, settings, max_documents=request.max_documents)
    loaded = load_model(
        fetch(request.model, settings),
        dtype=request.model.dtype,
        device=request.model.device,
        allow_remote_code=settings.trust_remote_code,
        part="encoder" if request.decoder is None else "decoder",
    )
    for address in request.addresses:
        loaded.facts.check(address)
    metrics = (*named_metrics(request, loaded), *extra)
    twice = {metric.name for metric in metrics if [m.name for m in metrics].count(metric.name) > 1}
    if twice:
        raise InvalidRequest(f"Two metrics have the name {sorted(twice)[0]!r}.")
    rule = cut_rule(request, loaded)
    return Inputs(request, corpus, loaded, tuple(dict.fromkeys(request.addresses)), metrics, rule)


def cut_rule(request: HarvestRequest, loaded: LoadedModel) -> CutRule:
    """Return how long documents are cut for this model.

    Raises:
        InvalidRequest: The window is larger than the model's, or smaller than the overlap.
    """
    limit = loaded.facts.context_length
    context = request.context or limit or DEFAULT_CONTEXT
    if limit is not None and context > limit:
        raise InvalidRequest(f"context is {context} tokens; {loaded.source.id} reads at most {limit}.")
    return CutRule(context, request.overlap)


def named_metrics(request: HarvestRequest, loaded: LoadedModel) -> tuple[TokenMetric, ...]:
    """Return the metrics that a request names; `token_class` is a label and not among them.

    Raises:
        InvalidRequest: A metric of predictions is asked of a model that predicts no next token, or a target is more
            than one token.
    """
    asked = [name for name in dict.fromkeys(request.metrics) if name != "token_class"]
    if loaded.family.kind == "encoder" and LOGIT_METRICS & set(asked):
        raise InvalidRequest(
            f"{loaded.source.id} reads in both directions and predicts no next token.",
            remedy=f"Leave out {', '.join(sorted(LOGIT_METRICS & set(asked)))}.",
        )
    targets = [(number, text, _target_id(loaded, text)) for number, text in enumerate(request.targets)]
    return tuple(
        metric
        for name in asked
        for metric in (
            [target_metrics(name, token, number, text) for number, text, token in targets]
            if name in TARGET_METRICS
            else [BUILT_IN[name]]
        )
    )


def _target_id(loaded: LoadedModel, text: str) -> int:
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not isinstance(ids, list) or len(ids) != 1:
        pieces = [str(loaded.tokenizer.decode([token])) for token in ids]  # pyright: ignore[reportGeneralTypeIssues]
        raise InvalidRequest(
            f"The target {text!r} is {len(pieces)} tokens for this model: {pieces[:8]}.",
            remedy="Name targets that are one token, with the space before them if they stand inside a text.",
        )
    return int(ids[0])
