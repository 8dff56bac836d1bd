# pyright: standard
"""What the store says about itself: the header before the first row, and the table of documents after the last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from interp_lab.contracts.store import DenseColumn, LabelField, MetricField, StoredDataset, StoredModel, StoreHeader
from interp_lab.corpus.labels import label_values
from interp_lab.errors import InvalidDocuments
from interp_lab.workflows.harvesting.decisions import Decisions
from interp_lab.workflows.harvesting.inputs import Inputs
from interp_lab.workflows.harvesting.rows import ROLE, TOKEN_CLASS, RowLabel
from interp_lab.workflows.inspection.inputs import weights_hash

GENERATED = LabelField(name="generated_text", type="string", description="what the model wrote after the document")
SPANS = LabelField(name="spans", type="span", description="labelled character ranges of the text")
_PRECISION = {"matmul", "matmul_error", "attention", "attention_error", "fused_activations"}
SHARD_BYTES = 64 * 2**20
MAX_SHARDS = 256
PROMPTS_AT_ONCE = 65_536


def row_labels(inputs: Inputs) -> tuple[RowLabel, ...]:
    """Return the labels of tokens that this harvest writes."""
    classes = (TOKEN_CLASS,) if "token_class" in inputs.request.metrics else ()
    return (*classes, ROLE) if inputs.is_chat else classes


def prompt_labels(inputs: Inputs) -> tuple[LabelField, ...]:
    """Return the labels of documents, those of the lab after those of the corpus.

    Raises:
        InvalidDocuments: A label of the corpus has the name of one of the lab's.
    """
    own = (GENERATED,) if inputs.request.generate else ()
    own += (SPANS,) if inputs.has_spans else ()
    taken = {label.name for label in own} & {label.name for label in inputs.labels}
    if taken:
        raise InvalidDocuments(f"The label {sorted(taken)[0]!r} is one that the lab writes itself.")
    return (*inputs.labels, *own)


def store_header(inputs: Inputs, decided: Decisions) -> StoreHeader:
    """Return the header; nothing in it depends on when or how fast the harvest runs."""
    request, loaded = inputs.request, inputs.loaded
    columns = [DenseColumn(address=a, width=decided.widths[str(a)], dtype=request.dtype) for a in inputs.addresses]
    rows = [
        LabelField(name=label.name, type="category", scope="row", description=label.description)
        for label in row_labels(inputs)
    ]
    return StoreHeader(
        title=f"{inputs.corpus.name} through {loaded.source.id}"[:200],
        model=StoredModel(
            id=loaded.source.id,
            revision=loaded.source.commit,
            weights_hash=weights_hash(loaded),
            architecture=loaded.facts.architecture,
            dtype=loaded.number_format,
            device=str(loaded.device),
        ),
        tokenizer_hash=_tokenizer_hash(inputs),
        dataset=StoredDataset(name=inputs.corpus.name, sha256=inputs.corpus.sha256),
        columns=tuple(columns),
        labels=(*rows, *prompt_labels(inputs)),
        metrics=tuple(MetricField(name=m.name, unit=m.unit, description=m.description) for m in inputs.metrics),
        precision=decided.model_dump(mode="json", include=_PRECISION),
        seed=request.seed,
        settings={
            "grouping": inputs.grouping.rule,
            "cutting": inputs.rule.in_words(),
            "layout": decided.packing,
            "bos": "chat template" if inputs.is_chat else request.bos,
            "generate": request.generate.model_dump(mode="json") if request.generate else None,
            "n_blank_rows_left_out": inputs.corpus.n_blank,
        }
        | decided.model_dump(mode="json", include={"row", "token_budget"})
        | ({"decoder": inputs.fed_in_words()} if request.decoder else {}),
    )


def shard_rows(header: StoreHeader, n_rows: int) -> int:
    """Return how many rows a shard has: small enough to lose little work, large enough to keep files few."""
    row_bytes = sum(c.width * (4 if c.dtype == "float32" else 2) for c in header.columns)
    return max(1, SHARD_BYTES // row_bytes, -(-n_rows // MAX_SHARDS))


def prompt_parts(inputs: Inputs, written: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """Yield the columns of the prompt table for some documents at a time, in order.

    `written` are the continuations as text, if there are any.
    """
    groups = inputs.grouping.groups
    for first in range(0, len(inputs.documents), PROMPTS_AT_ONCE):
        part = slice(first, first + PROMPTS_AT_ONCE)
        documents = inputs.documents[part]
        columns: dict[str, Any] = {
            "id": [document.id for document in documents],
            "text": inputs.texts[part],
            "group": groups[part],
            "score": [document.score for document in documents],
            "pair": [document.pair for document in documents],
            "subtype": [document.subtype for document in documents],
            "split": [document.split for document in documents],
        }
        columns |= {f"label:{label.name}": label_values(label, documents) for label in inputs.labels}
        for label in prompt_labels(inputs)[len(inputs.labels) :]:
            spans = [[list(span) for span in document.spans] for document in documents]
            columns[f"label:{label.name}"] = list((written or ())[part]) if label is GENERATED else spans
        yield columns


def read_written(inputs: Inputs, files: Sequence[Path]) -> list[str]:
    """Return the continuation of every document as text."""
    decode = inputs.loaded.tokenizer.decode
    return [str(decode(ids)) for file in files for ids in json.loads(file.read_text())]


def _tokenizer_hash(inputs: Inputs) -> str | None:
    """One hash over the tokenizer's files; None for a hub model, whose commit says the same."""
    files = [file for file in inputs.loaded.files if file.name != "config.json" and "safetensors" not in file.name]
    if not files:
        return None
    return hashlib.sha256("".join(f"{file.name}\0{file.sha256}\n" for file in files).encode()).hexdigest()
