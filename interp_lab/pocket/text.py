"""The text that the pocket models learn from and are measured on, tokenised and kept on disk.

Training and held-out text share no document and no filled template (`corpus.splits`); a file of the standard library is
in one of them. The folder is written once, under a temporary name, and carries the hash of everything in it.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from interp_lab.corpus import mixture, stdlib
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.splits import Split
from interp_lab.pocket.recipe import LaterText, TextRecipe
from interp_lab.pocket.tokenizer import encode, save, train

Tokens = NDArray[np.uint16]
SECTIONS = ("generated", "library")


@dataclass(frozen=True)
class Corpus:
    """Tokenised text: one training stream per cycle, and held-out streams by section with their size in bytes."""

    folder: Path
    train: tuple[Tokens, ...]
    """The text of every cycle."""
    heldout: dict[str, Tokens]
    heldout_bytes: dict[str, int]
    digest: str
    python: str


def prepare(folder: Path, recipe: TextRecipe) -> Corpus:
    """The corpus of that recipe, written to the folder unless a finished one is there."""
    if not (folder / "corpus.json").is_file():
        _write(folder, recipe)
    return load(folder)


def load(folder: Path) -> Corpus:
    """The corpus in that folder."""
    record = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    heldout = {name: np.load(folder / f"heldout_{name}.npy") for name in SECTIONS}
    train = tuple(np.load(path, mmap_mode="r") for path in sorted(folder.glob("train_*.npy")))
    return Corpus(folder, train, heldout, record["heldout_bytes"], record["digest"], record["python"])


def _write(folder: Path, recipe: TextRecipe) -> None:
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    texts = [first_texts(recipe), *(later_texts(recipe, place) for place in range(len(recipe.later)))]
    heldout = {"generated": generated(Split.HELDOUT, recipe), "library": [t.text for t in stdlib.texts(Split.HELDOUT)]}
    tokenizer = train(_sample(texts[0], recipe.tokenizer_sample))
    save(tokenizer, temporary / "tokenizer")
    for cycle, written in enumerate(texts, start=1):
        np.save(temporary / f"train_{cycle}.npy", encode(tokenizer, written))
    for name in SECTIONS:
        np.save(temporary / f"heldout_{name}.npy", encode(tokenizer, heldout[name]))
    record = {
        "recipe": asdict(recipe),
        "python": platform.python_version(),
        "digest": stdlib.digest([*chain(*texts), *heldout["generated"], *heldout["library"]]),
        "train_bytes": sum(len(text.encode()) for text in chain(*texts)),
        "heldout_bytes": {name: sum(len(text.encode()) for text in heldout[name]) for name in SECTIONS},
    }
    (temporary / "corpus.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder)


def generated(split: Split, recipe: TextRecipe) -> list[str]:
    """Generated documents of that split, as many as the recipe asks characters of."""
    wanted = recipe.generated_train if split is Split.TRAIN else recipe.generated_heldout
    return _taken(mixture.documents(split, recipe.seed), wanted)


def first_texts(recipe: TextRecipe) -> list[str]:
    """The text of the first cycle: generated text and the standard library, shuffled into one order."""
    texts = generated(Split.TRAIN, recipe) + _library() * recipe.library_repeats
    return Dice(recipe.seed, "order").sample(texts, len(texts))


def later_texts(recipe: TextRecipe, place: int) -> list[str]:
    """The text of a later cycle, shuffled into one order."""
    wanted: LaterText = recipe.later[place]
    dice = Dice(recipe.seed + place + 1, "order")
    library = _library()
    if wanted.library_share < 1:
        library = dice.fork("library").sample(library, round(wanted.library_share * len(library)))
    stream = mixture.documents(Split.TRAIN, dice.seed, dict(wanted.weights))
    texts = _taken(stream, wanted.generated) + library
    return dice.sample(texts, len(texts))


def _library() -> list[str]:
    return [piece.text for piece in stdlib.texts(Split.TRAIN)]


def _taken(stream: Iterator[mixture.Document], characters: int) -> list[str]:
    texts: list[str] = []
    while characters > 0:
        texts.append(next(stream).text)
        characters -= len(texts[-1])
    return texts


def _sample(texts: list[str], characters: int) -> Iterator[str]:
    for text in texts:
        if characters <= 0:
            return
        characters -= len(text)
        yield text


def tokenizer_of(corpus: Corpus) -> Tokenizer:
    """The tokenizer that the corpus was encoded with."""
    return Tokenizer.from_file(str(corpus.folder / "tokenizer" / "tokenizer.json"))
