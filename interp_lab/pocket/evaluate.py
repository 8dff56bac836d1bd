"""The measurement of a pocket model: held-out surprise against n-gram models of the same tokens, induction, tasks."""
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from interp_lab.corpus import mixture
from interp_lab.corpus.splits import Split
from interp_lab.pocket.ngram import KneserNey, Probabilities, unigram
from interp_lab.pocket.recipe import CONTEXT, EOS_ID, TEXT, VOCABULARY
from interp_lab.pocket.record import Evaluation, HeadScore, InductionRecord, Sample, SectionRecord, TaskRecord
from interp_lab.pocket.scoring import correct, induction, option_ids, random_repeats, surprise
from interp_lab.pocket.tasks import TASKS, Item, Task, items
from interp_lab.pocket.text import SECTIONS, Corpus, Tokens, tokenizer_of
from interp_lab.pocket.tokenizer import encode
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.wilson import wilson_interval

_ITEMS = 500
_SEED = 77
_SAMPLE = 12
_REPEATS, _LENGTH = 64, 64


@dataclass(frozen=True)
class Baselines:
    """N-gram models of the training tokens, every document counted once."""

    train: NDArray[np.int64]
    bigram: KneserNey
    fivegram: KneserNey


def baselines(corpus: Corpus) -> Baselines:
    """Count the training tokens."""
    train = once(np.concatenate(corpus.train)).astype(np.int64)
    return Baselines(train, KneserNey(train, 2, VOCABULARY), KneserNey(train, 5, VOCABULARY))


def once(tokens: Tokens) -> Tokens:
    """The stream with every repeated document left out, so that repetition does not mislead the discounts."""
    ends = np.flatnonzero(tokens == EOS_ID) + 1
    seen: set[bytes] = set()
    kept: list[Tokens] = []
    for document in np.split(np.asarray(tokens), ends[:-1]):
        mark = document.tobytes()
        if mark not in seen:
            seen.add(mark)
            kept.append(document)
    return np.concatenate(kept)


def evaluate(model: PreTrainedModel, corpus: Corpus, against: Baselines) -> Evaluation:
    """Every measurement of the model."""
    tokenizer = tokenizer_of(corpus)
    return Evaluation(
        python=corpus.python,
        corpus=corpus.digest,
        train_tokens_once=len(against.train),
        sections={name: _section(model, corpus, name, against) for name in SECTIONS},
        induction=_induction(model),
        tasks=tuple(_task(model, tokenizer, against, task) for task in TASKS),
        sample=_sample(model, tokenizer),
    )


def windows_of(tokens: Tokens) -> NDArray[np.int64]:
    """Windows in which each token but the first is predicted, (windows, context + 1); neighbours share one token."""
    count = (len(tokens) - 1) // CONTEXT
    return np.stack([tokens[i * CONTEXT : i * CONTEXT + CONTEXT + 1] for i in range(count)]).astype(np.int64)


def _section(model: PreTrainedModel, corpus: Corpus, name: str, against: Baselines) -> SectionRecord:
    tokens = corpus.heldout[name].astype(np.int64)
    nats = surprise(model, windows_of(corpus.heldout[name]))
    predicted = slice(1, nats.size + 1)
    rivals: dict[str, Probabilities] = {
        "unigram": unigram(against.train, tokens, VOCABULARY),
        "bigram": against.bigram.probabilities(tokens),
        "five-gram": against.fivegram.probabilities(tokens),
    }
    scores = {rival: -np.log(probability[predicted]) for rival, probability in rivals.items()}
    gain = scores["five-gram"] - nats.ravel()
    estimate = clustered_mean(gain, np.repeat(np.arange(len(nats)), CONTEXT))
    nats_per_byte = nats.mean() * len(tokens) / corpus.heldout_bytes[name]
    return SectionRecord(
        tokens=nats.size,
        model=float(nats.mean()),
        bits_per_byte=float(nats_per_byte / math.log(2)),
        **{rival.replace("-", ""): float(score.mean()) for rival, score in scores.items()},
        gain=estimate.mean,
        gain_low=estimate.low,
        gain_high=estimate.high,
        windows=len(nats),
    )


def _induction(model: PreTrainedModel) -> InductionRecord:
    found = induction(model, random_repeats(VOCABULARY, _REPEATS, _LENGTH, _SEED))
    heads = tuple(HeadScore(layer=layer, head=head, score=score) for layer, head, score in found.heads)
    return InductionRecord(
        sequences=found.sequences,
        length=found.length,
        first_half=found.first_half,
        second_half=found.second_half,
        heads=heads,
    )


def _task(model: PreTrainedModel, tokenizer: Tokenizer, against: Baselines, task: Task) -> TaskRecord:
    asked = items(task, _ITEMS, _SEED)
    hits = correct(model, tokenizer, asked)
    low, high = wilson_interval(hits.mean(), len(asked))
    rival = np.mean([_fivegram_right(against.fivegram, tokenizer, item) for item in asked])
    return TaskRecord(
        name=task.name,
        title=task.title,
        chance=task.chance,
        items=len(asked),
        accuracy=float(hits.mean()),
        low=float(low),
        high=float(high),
        fivegram=float(rival),
    )


def _fivegram_right(model: KneserNey, tokenizer: Tokenizer, item: Item) -> float:
    """1 for right, 0 for wrong, and the share that guessing gets where options tie."""
    prompt, options = option_ids(tokenizer, item)
    scores = np.array([np.log(model.probabilities(np.array(prompt + ids))[len(prompt) :]).sum() for ids in options])
    best = np.isclose(scores, scores.max(), rtol=0, atol=1e-12)
    return float(best[0] / best.sum())


def sample_windows(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Held-out documents that every machine can write again, as windows."""
    texts = [mixture.document(Split.HELDOUT, TEXT.seed, index).text for index in range(_SAMPLE)]
    return windows_of(encode(tokenizer, texts))


def _sample(model: PreTrainedModel, tokenizer: Tokenizer) -> Sample:
    windows = sample_windows(tokenizer)
    return Sample(documents=_SAMPLE, tokens=int(windows[:, 1:].size), loss=float(surprise(model, windows).mean()))
