"""The measurements as prose and tables: each model's card, and the table of docs/models.md. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interp_lab.pocket.record import Evaluation, Record, TaskRecord

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

_CARD = """---
license: mit
language: en
library_name: transformers
tags: [interpretability, tiny]
---
# {name}

A small causal language model for learning, testing and demonstrating interpretability tools: {parameters:,} parameters,
trained for {steps:,} steps ({tokens:,} tokens) in {cycles} cycles on generated English and Python and on the standard
library of Python {python}. It continues text of these kinds; it knows nothing about the world and is not for any other
use.

Load it with `AutoModelForCausalLM.from_pretrained(folder)`, or by the name `builtin:{name}` in interp-lab. The file
holds float16 numbers and `config.json` asks for float32, so loaders compute in float32. The tokenizer puts `<|bos|>`
first.

Made by `python -m interp_lab.pocket {name}` with torch {torch} and transformers {transformers}.

{table}
"""


def card(record: Record) -> str:
    """The README.md of a model folder."""
    training = record.training.model_dump(exclude={"recipe"}) | {"cycles": len(record.training.cycles)}
    return _CARD.format(name=record.name, python=record.evaluation.python, table=table([record]), **training)


def table(records: Sequence[Record]) -> str:
    """Markdown tables of every measurement, one column per model."""
    evaluations = [record.evaluation for record in records]
    parts = [
        _markdown(["held-out text", *(record.name for record in records)], _loss_rows(evaluations)),
        _markdown(["induction", *(record.name for record in records)], _induction_rows(evaluations)),
        _markdown(["question (chance, five-gram)", *(record.name for record in records)], _task_rows(evaluations)),
    ]
    return "\n\n".join(parts)


def put_into(page: Path, records: Sequence[Record]) -> None:
    """Replace what stands between the marks of a page by the tables."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{table(records)}\n{END}{after}", encoding="utf-8")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _loss_rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    rows: list[list[str]] = []
    for section in evaluations[0].sections:
        found = [evaluation.sections[section] for evaluation in evaluations]
        rows += [
            [f"{section}: nats/token (n tokens)", *(f"**{x.model:.3f}** ({x.tokens:,})" for x in found)],
            [f"{section}: bits/byte", *(f"{x.bits_per_byte:.3f}" for x in found)],
            [f"{section}: unigram, bigram", *(f"{x.unigram:.3f}, {x.bigram:.3f}" for x in found)],
            [f"{section}: Kneser-Ney five-gram", *(f"{x.fivegram:.3f}" for x in found)],
            [
                f"{section}: gain over the five-gram [95 %, n windows]",
                *(f"{x.gain:.3f} [{x.gain_low:.3f}, {x.gain_high:.3f}, {x.windows}]" for x in found),
            ],
        ]
    return rows


def _induction_rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    found = [evaluation.induction for evaluation in evaluations]
    return [
        ["random tokens: nats/token", *(f"{x.first_half:.2f}" for x in found)],
        ["their repetition: nats/token", *(f"{x.second_half:.2f}" for x in found)],
        [
            "best prefix-matching heads (layer.head: attention share)",
            *(", ".join(f"{head.layer}.{head.head}: {head.score:.2f}" for head in x.heads) for x in found),
        ],
    ]


def _task_rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    return [
        [f"{tasks[0].title} ({tasks[0].chance:.2f}, {tasks[0].fivegram:.2f})", *(map(_accuracy, tasks))]
        for tasks in zip(*(evaluation.tasks for evaluation in evaluations), strict=True)
    ]


def _accuracy(task: TaskRecord) -> str:
    return f"**{task.accuracy:.3f}** [{task.low:.3f}, {task.high:.3f}], n {task.items}"
