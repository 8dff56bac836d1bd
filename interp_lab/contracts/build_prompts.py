"""Requests and answers of build_prompts: from words, files, presets or an agent's candidates to an audited set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, NonNegativeInt, StringConstraints

from interp_lab.contracts.base import Contract, Seed
from interp_lab.contracts.inspect import Criterion
from interp_lab.contracts.presets import Slug
from interp_lab.contracts.prompt_audit import PromptAudit, Side
from interp_lab.contracts.prompts import Label, LabelName, Span
from interp_lab.contracts.results import Result

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RequestId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class Candidate(Contract):
    """One prompt as somebody wrote it."""

    text: Text
    """What the model will read."""
    label: Side
    """Whether the criterion holds of it."""
    pair: Key | None = None
    """Same name on a positive and its minimal edit without the property."""
    group: Key | None = None
    """Template, scene or source: rows that share it count as one unit of evidence."""
    subtype: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Kind of positive or of hard negative."""
    spans: Annotated[tuple[Span, ...], Field(max_length=50)] = ()
    """Where the property sits, in characters; for a negative where it would sit."""
    labels: Annotated[dict[LabelName, Label], Field(max_length=20)] = Field(default_factory=dict[LabelName, Label])
    """Other known properties, such as topic."""


class WrittenTexts(Contract):
    """Texts written into the request."""

    kind: Literal["texts"] = "texts"
    """Says that the texts are here."""
    positives: Annotated[tuple[Text, ...], Field(min_length=1, max_length=2000)]
    """Texts of which the criterion holds."""
    negatives: Annotated[tuple[Text, ...], Field(min_length=1, max_length=2000)]
    """Texts of which it does not, as like the positives as can be."""


class TextFiles(Contract):
    """One file of positives and one of negatives, cut into texts."""

    kind: Literal["files"] = "files"
    """Says that the texts are in two files."""
    positives: Path
    """Path in the workspace."""
    negatives: Path
    """Path in the workspace."""
    cut: Literal["paragraphs", "lines", "delimiter"] = "paragraphs"
    """Where one text ends: at an empty line, at every line, or at a line that is the delimiter."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "---"
    """The line between two texts, for cut 'delimiter'."""


class TableFile(Contract):
    """A JSON Lines or CSV file, one labelled text or chat a row."""

    kind: Literal["table"] = "table"
    """Says that the texts are in a table."""
    path: Path
    """Path in the workspace; '.csv' is read as CSV with a header, everything else as JSON Lines."""
    text_field: Key = "text"
    """Field with the text, or with a chat: a list of {role, content}."""
    label_field: Key = "label"
    """Field with the label."""
    positive_values: Annotated[tuple[Label, ...], Field(min_length=1, max_length=50)] = ("positive", True, 1, "1")
    """Values of the label field that mean that the criterion holds; all others mean that it does not."""
    group_field: Key | None = None
    """Field with the template, scene or source that rows share."""
    pair_field: Key | None = None
    """Field with the name of the counterfactual pair."""


class PresetTexts(Contract):
    """A preset file with positive_prompts and negative_prompts, as other interp-lab tools write them."""

    kind: Literal["preset"] = "preset"
    """Says that the texts are in a preset file."""
    path: Path
    """Path of the preset's JSON file in the workspace, or a set by name: 'set:NAME'."""


class Ask(Contract):
    """Ask for what to write: the first of two calls. Nothing is built yet."""

    kind: Literal["ask"] = "ask"
    """Says that the calling agent will write the texts."""
    n_per_side: Annotated[int, Field(ge=8, le=500)] = 60
    """Positives to write, and as many negatives."""


class Answer(Contract):
    """The agent's texts: the second call."""

    kind: Literal["answer"] = "answer"
    """Says that these are the texts that a request asked for."""
    request_id: RequestId
    """As the first call gave it; criterion and name are those of the first call."""
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=2, max_length=2000)]
    """The texts."""


PromptMaterial = Annotated[
    WrittenTexts | TextFiles | TableFile | PresetTexts | Ask | Answer, Field(discriminator="kind")
]
"""What a prompt set is built from."""


class BuildPromptsRequest(Contract):
    """Build an audited prompt set for a criterion."""

    name: Slug = Field(examples=["polite-request"])
    """Name of the set; it is written to prompts/NAME.jsonl in the workspace."""
    criterion: Criterion = Field(examples=["the speaker asks politely"])
    """What the positives have and the negatives lack, in plain words."""
    source: PromptMaterial
    """Where the texts come from."""
    balance: bool = True
    """Drop rows of the larger side until both have as many and lengths agree; what is dropped is listed."""
    replace: bool = False
    """Take the place of a set of this name that has other prompts; the old one is kept under prompts/replaced/."""
    seed: Seed = 0
    """Seed of the split that the audit looks at."""


class GenerationRequest(Contract):
    """What to write, and how the texts will be judged."""

    request_id: RequestId
    """Give it back with the candidates."""
    n_positive: NonNegativeInt
    """Positives to write."""
    n_negative: NonNegativeInt
    """Negatives to write."""
    n_groups: NonNegativeInt
    """Different scenes or templates to spread them over; each should have positives and negatives."""
    rules: tuple[str, ...]
    """What makes the set worth something."""
    row: dict[str, JsonValue]
    """JSON Schema of one candidate."""


class DroppedRow(Contract):
    """A text that is not in the set."""

    text: str
    """Its beginning (untrusted text)."""
    side: Side
    """Its label."""
    reason: Literal["duplicate", "label_conflict", "balance"]
    """Same text twice, same text with both labels, or one too many for the balance."""


class BuildPromptsResult(Result):
    """The set that was written, or what to write for it."""

    name: Slug
    """Name of the set."""
    criterion: str
    """As asked first."""
    generation_request: GenerationRequest | None = None
    """What to write; present after a source of kind 'ask'."""
    dataset: str | None = None
    """Path of the set in the workspace, as the field 'dataset' of other calls takes it."""
    sha256: str | None = None
    """Hash over every field of every prompt."""
    n_dropped: NonNegativeInt = 0
    """Texts given that are not in the set."""
    dropped: tuple[DroppedRow, ...] = ()
    """The first of them."""
    audit: PromptAudit | None = None
    """What the set looks like."""
