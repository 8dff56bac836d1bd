# pyright: standard
"""What edits of units do to the words that both models know: each unit taken away, beside random edits of its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.intervene import UnitRef
from interp_lab.engine.edits import Edit, Unit, Variant, ablate, directions, steer
from interp_lab.engine.intervention.run import Runner, Subject
from interp_lab.engine.intervention.word_logits import WordLogits
from interp_lab.engine.precision import decided_matmul
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run
from interp_lab.methods.effect_match import size_along
from interp_lab.models.vocabulary import read_vocabulary
from interp_lab.points import Address
from interp_lab.workflows.comparing.sides import ReadSide
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.intervening.units import Subject as Opened
from interp_lab.workflows.intervening.units import open_subjects
from interp_lab.workflows.intervening.values import Scale, read

MAX_WORDS = 2000
_STEP = 2.0
"""How far a direction is steered, in standard deviations of the coordinate along it."""
Floats32 = NDArray[np.float32]


class Words(NamedTuple):
    """Words that both models have as one token, and the token of each on either side."""

    texts: tuple[str, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Moved:
    """What edits do: change of each word's logit on every prompt that was run."""

    rows: tuple[int, ...]
    """Prompts."""
    effects: Floats32
    """`(n_units, n_prompts, n_words)`."""
    along: Floats32
    """Part of the change along what the unit does to explore positives on average `(n_units, n_prompts)`."""
    control_along: Floats32
    """Size of the same part of random edits of the unit's size, median over them `(n_units, n_prompts)`; NaN where
    none were made: on prompts that choose, and on negatives."""
    controls: Floats32
    """Mean change over confirm positives of every random edit `(n_controls, n_words)`."""

    def of(self, words: NDArray[np.intp]) -> Moved:
        """Return the same for some of the words; sizes along what a unit does are over all of them still."""
        return replace(self, effects=self.effects[..., words], controls=self.controls[:, words])


def shared_words(left: ReadSide, right: ReadSide) -> Words:
    """Return the words that both models have as one token, spaces around them apart.

    Raises:
        InvalidRequest: A side was not run, or has no vocabulary that can be read.
    """
    one, two = (_words(side) for side in (left, right))
    texts = [text for text in one if text in two][:MAX_WORDS]
    return Words(tuple(texts), tuple(one[text] for text in texts), tuple(two[text] for text in texts))


def _words(side: ReadSide) -> dict[str, int]:
    if side.directory is None:
        raise InvalidRequest(f"{side.id} is read from disk here, and only a model that is run can be edited.")
    vocabulary = read_vocabulary(side.directory)
    found: dict[str, int] = {}
    for token in vocabulary.tokens:
        text = vocabulary.text(token)
        word = text.strip()
        if len(word) > 1 and word.isalpha() and (word not in found or text.startswith(" ")):
            found[word] = token
    return found


def ablations(side: ReadSide, columns: Sequence[int], words: Sequence[int], *, n_controls: int, run: Run) -> Moved:
    """Return what taking each unit away does: a latent to 0, a coordinate to its mean."""
    subjects = _opened(side, columns)
    scales = _scales(side, subjects, run)
    edits = [
        ablate(s.target, to=0.0 if s.is_latent else float(scale.center[0]))
        for s, scale in zip(subjects, scales, strict=True)
    ]
    return _moved(side, edits, words, n_controls=n_controls, run=run)


def steered(
    side: ReadSide, address: Address, vector: NDArray[np.generic], words: Sequence[int], *, n_controls: int, run: Run
) -> Moved:
    """Return what adding a direction does, two standard deviations of the coordinate along it."""
    (unit,) = directions(address, torch.from_numpy(np.asarray(vector, np.float32))[None], [f"{address} direction"])
    (scale,) = _scales(side, [Opened(Found(UnitRef(address=address, direction=(1.0,))), unit)], run)
    return _moved(side, [steer(unit, _STEP * scale.spread)], words, n_controls=n_controls, run=run)


def _opened(side: ReadSide, columns: Sequence[int]) -> tuple[Opened, ...]:
    found: list[Found] = []
    for column in columns:
        site, index = side.locate(column)
        name = side.dictionaries.get(str(site))
        ref = UnitRef(address=site, index=index) if isinstance(site, Address) else UnitRef(dictionary=name, index=index)
        found.append(Found(ref))
    return open_subjects(found, _loaded(side).loaded, side.settings)


def _loaded(side: ReadSide) -> Inputs:
    if not isinstance(side.inputs, Inputs):
        raise InvalidRequest(f"{side.id} is read from disk here, and only a model that is run can be edited.")
    return side.inputs


def _scales(side: ReadSide, subjects: Sequence[Opened], run: Run) -> list[Scale]:
    inputs = _loaded(side)
    targets = [subject.target for subject in subjects]
    latents = frozenset(subject.target for subject in subjects if subject.is_latent)
    explore = [int(row) for row in side.plan.rows("explore")]
    seen = read(inputs.loaded, inputs.tokens, targets, explore=explore, latents=latents, check=run.check)
    return [seen.scales[target] for target in targets]


def _moved(side: ReadSide, edits: Sequence[Edit], words: Sequence[int], *, n_controls: int, run: Run) -> Moved:
    inputs, n = _loaded(side), len(edits)
    variants = [Variant(f"unit {place}", (edit,)) for place, edit in enumerate(edits)]
    variants += [
        Variant(f"control {place} {number}", (_turned(edit, place, number),))
        for place, edit in enumerate(edits)
        for number in range(n_controls)
    ]
    tally = Tally.of(side, n, n_controls, len(words))
    n_done = 0
    with decided_matmul(run.checkpoint_dir):
        for rows, is_beside_controls in tally.parts():
            runner = Runner(inputs.loaded, variants if is_beside_controls else variants[:n], WordLogits(tuple(words)))
            for outcome in runner.many([Subject(inputs.tokens[row], row) for row in rows]):
                run.progress(n_done, len(tally.rows), f"editing {side.id}", "prompts")
                tally.take(outcome.prompt, (outcome.edited - outcome.base).numpy())
                n_done += 1
    return Moved(tally.rows, tally.effects, tally.along, tally.control_along, tally.controls)


@dataclass(eq=False)
class Tally:
    """Changes as they come in: explore prompts first, which say along what the effect of each unit is measured."""

    explore: tuple[int, ...]
    confirm: tuple[int, ...]
    positive: NDArray[np.bool_]
    """Of explore prompts, then of confirm prompts."""
    effects: Floats32
    along: Floats32
    control_along: Floats32
    controls: Floats32
    goal: Floats32
    """What each unit does to explore positives on average, length 1 `(n_units, n_words)`."""

    @classmethod
    def of(cls, side: ReadSide, n: int, n_controls: int, n_words: int) -> Tally:
        """Return an empty one for the prompts of a side."""
        explore, confirm = (tuple(int(row) for row in side.plan.rows(part)) for part in ("explore", "confirm"))
        positive = np.asarray(side.plan.sample.labels)[[*explore, *confirm]].astype(bool)
        return cls.empty(explore, confirm, positive, (n, n_controls, n_words))

    @classmethod
    def empty(
        cls,
        explore: tuple[int, ...],
        confirm: tuple[int, ...],
        positive: NDArray[np.bool_],
        sizes: tuple[int, int, int],
    ) -> Tally:
        """Return one without changes, for so many units, random edits of each, and words."""
        n, n_controls, n_words = sizes
        rows = len(explore) + len(confirm)
        return cls(
            explore,
            confirm,
            positive,
            np.zeros((n, rows, n_words), np.float32),
            np.zeros((n, rows), np.float32),
            np.full((n, rows), np.nan, np.float32),
            np.zeros((n * n_controls, n_words), np.float32),
            np.zeros((n, n_words), np.float32),
        )

    @property
    def rows(self) -> tuple[int, ...]:
        """All prompts, in the order of what is kept of them."""
        return (*self.explore, *self.confirm)

    def parts(self) -> Iterator[tuple[tuple[int, ...], bool]]:
        """Yield prompts in the order in which they have to run, and whether random edits are made on them.

        Random edits choose nothing and bound no side effect: prompts that choose, and negatives, are spared them.
        """
        yield self.explore, False
        self._aim()
        positive = self.positive[len(self.explore) :]
        for wanted in (True, False):
            yield (
                tuple(row for row, is_one in zip(self.confirm, positive, strict=True) if bool(is_one) is wanted),
                wanted,
            )

    def take(self, prompt: int, change: NDArray[np.float64]) -> None:
        """Add the changes of one prompt `(n_edits, n_words)`: of every unit, then of the random edits of each."""
        n, place = len(self.effects), self.rows.index(prompt)
        self.effects[:, place] = change[:n]
        self.along[:, place] = (change[:n] * self.goal).sum(1)
        if len(change) > n:
            others = change[n:].reshape(n, -1, change.shape[1])
            self.control_along[:, place] = size_along(others, self.goal)
            self.controls += change[n:] / self.positive[len(self.explore) :].sum()

    def _aim(self) -> None:
        """Set what the effect of each unit is measured along, from explore positives."""
        n_explore = len(self.explore)
        mean = self.effects[:, :n_explore][:, self.positive[:n_explore]].mean(1)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        self.goal = np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)
        self.along[:, :n_explore] = (self.effects[:, :n_explore] * self.goal[:, None]).sum(2)


def _turned(edit: Edit, place: int, number: int) -> Edit:
    """The same change of the same values along a random direction of the same length.

    Every second one is the opposite of the one before: together they show what any edit of this size does.
    """
    unit = edit.target
    if not isinstance(unit, Unit):
        raise InvalidRequest("Only units with a direction can be compared by what they do.")
    generator = torch.Generator().manual_seed(1009 * place + number // 2)
    random = torch.randn(unit.direction.shape, generator=generator)
    turned = random / random.norm() * unit.direction.norm().cpu() * (1 if number % 2 else -1)
    return replace(edit, target=replace(unit, key=f"{unit.key} turned {number}", direction=turned))
