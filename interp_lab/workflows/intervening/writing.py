# pyright: standard
"""Sequence-level behaviour: what the model writes under each edit, as one score per prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.scorers import Scorer
from interp_lab.engine.edits import Variant
from interp_lab.engine.generation import Sampling
from interp_lab.engine.harvest import TOKEN_BUDGET
from interp_lab.engine.intervention.run import Outcome, Subject
from interp_lab.engine.intervention.writing import written_under
from interp_lab.methods.text_scorers import TextScorer, open_scorer
from interp_lab.models.load import LoadedModel
from interp_lab.workflows.intervening.kept import Kept

SCORE: Final = "score"
"""Score of what the model writes after the prompt."""


@dataclass(frozen=True, eq=False)
class Writer:
    """What writes and scores."""

    loaded: LoadedModel
    scorer: TextScorer
    sampling: Sampling
    check: Callable[[], None]

    @classmethod
    def of(cls, asked: Scorer, loaded: LoadedModel, seed: int, check: Callable[[], None]) -> Writer:
        """Return the writer of a request; all edits share their sampling seed.

        Raises:
            InvalidRequest: There is no such scorer.
        """
        return cls(
            loaded, open_scorer(asked), Sampling(asked.max_new_tokens, asked.temperature, (seed,), TOKEN_BUDGET), check
        )

    def scores(self, variant: Variant, subjects: Sequence[Subject]) -> NDArray[np.float64]:
        """Return the score of what is written under a variant after each prompt."""
        texts = written_under(self.loaded, variant, subjects, self.sampling, check=self.check)
        decode = self.loaded.tokenizer.decode
        return np.array([self.scorer(str(decode(list(ids), skip_special_tokens=True))) for ids in texts])

    def changes(
        self, variants: Sequence[Variant], subjects: Sequence[Subject], kept: Kept, progress: Callable[[int], None]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the unedited scores, and the change under each variant `(n_prompts, n_variants)`.

        Variants that `kept` knows are not written again.
        """
        known = {outcome.prompt: outcome.edited.numpy()[0] for outcome in kept.read()}
        every = [Variant("unedited", ()), *variants]

        def write() -> Iterator[Outcome]:
            for number, variant in enumerate(every):
                if number not in known:
                    row = torch.from_numpy(self.scores(variant, subjects))
                    yield Outcome(number, row, row[None], torch.zeros(1), torch.zeros(1))

        for outcome in kept.add_all(write()):
            progress(len(known))
            known[outcome.prompt] = outcome.edited.numpy()[0]
        base = known[0]
        return base, np.stack([known[1 + number] - base for number in range(len(variants))], axis=1)
