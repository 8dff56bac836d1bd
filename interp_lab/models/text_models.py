# pyright: standard
"""Small models that read text for us: encoders and classifiers of text pairs. They say nothing of a studied model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from interp_lab.errors import IncompleteWeights, InvalidModel
from interp_lab.models.load import digest_of, hash_files, load_tokenizer, loading_quietly, pick_device
from interp_lab.models.resolve import ModelSource
from interp_lab.models.text_files import sentence_limit
from interp_lab.models.weights import read_weights

_MOST_TOKENS = 512
"""Where neither tokenizer nor configuration says how much the model reads."""
_NO_LIMIT = 10**9
_UNUSED = ("pooler.", "position_ids", "cls.", "lm_head.")
"""Weights that pooling over tokens never reads."""


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model in memory with its tokenizer, and what results must say about it."""

    model: PreTrainedModel = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    source: ModelSource
    weights_sha256: str | None
    """Hash over its files; None for a hub model, whose commit says the same."""
    device: torch.device
    max_tokens: int

    @property
    def identity(self) -> str:
        """What tells it apart: its name with the commit or the hash of its files."""
        return f"{self.source.id}@{self.source.commit or self.weights_sha256}"


def load_text_model(source: ModelSource, head: Literal["encoder", "classifier"], *, device: str = "auto") -> TextModel:
    """Return the model in evaluation mode in float32.

    Raises:
        InvalidModel: transformers cannot build it.
        EncoderUnfit: An encoder says a length of texts that is none.
        IncompleteWeights: Weights are missing, such as the head of a classifier that is a plain encoder.
        DeviceUnavailable: There is no such device here.
    """
    place = pick_device(device)
    limit = sentence_limit(source.directory) if head == "encoder" else None
    kind: Any = AutoModel if head == "encoder" else AutoModelForSequenceClassification
    with loading_quietly():
        tokenizer = load_tokenizer(source.directory, trusted=False)
        try:
            model, info = kind.from_pretrained(
                source.directory,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0][:200]
            raise InvalidModel(f"transformers cannot build a {head} from {source.directory.name}: {first}") from error
    unused = _UNUSED if head == "encoder" else ("position_ids",)
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in unused))
    if missing:
        raise IncompleteWeights(
            f"{source.directory.name} lacks {len(missing)} weights of a {head}, among them {', '.join(missing[:3])}."
        )
    files = () if source.kind == "hub" else hash_files(source.directory, read_weights(source.directory).files)
    return TextModel(
        model=model.eval().requires_grad_(requires_grad=False).to(place),
        tokenizer=tokenizer,
        source=source,
        weights_sha256=digest_of(files),
        device=place,
        max_tokens=min(_most_tokens(tokenizer, model), limit or _NO_LIMIT),
    )


def _most_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    config = model.config
    said = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    limits = [int(value) for value in said if isinstance(value, int) and 0 < value < _NO_LIMIT]
    if getattr(config, "model_type", "") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        limits = [limit - 2 if limit == config.max_position_embeddings else limit for limit in limits]
    return min(limits, default=_MOST_TOKENS)
