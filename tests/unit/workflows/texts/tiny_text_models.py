"""A tiny model for text, made on the spot: a word tokenizer and a small BERT, with or without a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_WORDS = """
please thanks hand me the cup key map pen jar hat bag coat now that give take it is asked politely speaker names a
person king woman animal dog river runs slow fast
"""
WORDS = _WORDS.split()
NLI_LABELS = {0: "contradiction", 1: "neutral", 2: "entailment"}
HYPOTHESIS = "it is asked politely"


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=24,
    )  # fmt: skip


def config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=4 + len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **more,
    )  # fmt: skip


def save_classifier(folder: Path, *, trained: bool = True, labels: dict[int, str] | None = None) -> Path:
    """Save a classifier that calls texts with 'please' entailed, or one that learned nothing."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    named = NLI_LABELS if labels is None else labels
    model = BertForSequenceClassification(config(id2label=named, label2id={name: i for i, name in named.items()}))
    read = tokenizer()
    things = ("cup", "key", "map", "pen", "jar", "hat")
    texts = [f"please hand me the {thing}" for thing in things] + [f"hand me that {thing} now" for thing in things]
    rows = read(texts, [HYPOTHESIS] * len(texts), padding=True, return_tensors="pt")
    wanted = torch.tensor([len(named) - 1] * len(things) + [0] * len(things))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40 if trained else 0):
        optimiser.zero_grad()
        model(**rows, labels=wanted).loss.backward()
        optimiser.step()
    model.eval().save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def save_encoder(folder: Path, seed: int = 0) -> Path:
    import torch
    from transformers import BertModel

    torch.manual_seed(seed)
    BertModel(config(), add_pooling_layer=False).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
