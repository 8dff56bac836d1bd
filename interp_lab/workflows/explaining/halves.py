"""The latent that is explained, and the halves of the store: one to explain it from, one to grade the words on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interp_lab.contracts.explain import LatentRef
from interp_lab.contracts.features import ShowFeatureRequest
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.workflows.explaining.identity import identities_of
from interp_lab.workflows.features.signal import Signal, read_signal
from interp_lab.workflows.features.subject import Subject, find_subject
from interp_lab.workflows.querying.view import StoreView
from interp_lab.workflows.training.columns import store_hash


@dataclass(frozen=True, eq=False)
class Explained:
    """A latent with its activity, and which rows may suggest and which may grade."""

    subject: Subject
    view: StoreView
    signal: Signal

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """Names under which its dictionary is known; without any, its store and column."""
        return identities_of(self.subject)

    @cached_property
    def digest(self) -> str:
        """The same for the same latent on the same bytes, whatever the store is called; 16 hexadecimal digits."""
        known = f"{store_hash(self.view.store)}\n{self.subject.feature}"
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:16]

    @cached_property
    def explores(self) -> Bools:
        """Which rows are of the explore half `(n_rows,)`.

        Half of the groups in which it is active and half of the others, by the latent alone: no seed of a request
        can bring a held-out context to the side of the evidence.
        """
        groups = self.view.prompt_group
        active = np.unique(groups[np.unique(self.view.row_prompt[self.signal.active])])
        rng = np.random.default_rng(int(self.digest, 16))
        chosen = np.zeros(int(groups.max(initial=0)) + 1, np.bool_)
        for some in (active, np.setdiff1d(groups, active)):
            chosen[rng.permutation(some)[: (some.size + 1) // 2]] = True
        return chosen[groups][self.view.row_prompt]

    @cached_property
    def explore_signal(self) -> Signal:
        """Its activity within the explore half."""
        kept = self.explores[self.signal.rows]
        return Signal(self.view, self.signal.unit, self.signal.rows[kept], self.signal.values[kept])

    @cached_property
    def bounds(self) -> Ints:
        """First row of every run of rows of one prompt, and the end `(n_runs + 1,)`."""
        changes = np.flatnonzero(np.diff(self.view.row_prompt)) + 1
        return np.concatenate([[0], changes, [self.view.n_rows]]).astype(np.intp)

    def run_of(self, row: int) -> tuple[int, int]:
        """Return the first row of the prompt that a row is in, and the row after its last."""
        place = int(np.searchsorted(self.bounds, row, side="right")) - 1
        return int(self.bounds[place]), int(self.bounds[place + 1])


def open_explained(latent: LatentRef, settings: Settings) -> Explained:
    """Return the latent of a request.

    Raises:
        InvalidRequest: The column holds coordinates, not latents.
        LabError: whatever is wrong with the store, the dictionary or the unit.
    """
    request = ShowFeatureRequest(
        unit=latent.unit, store=latent.store, dictionary=latent.dictionary, column=latent.column
    )
    subject = find_subject(request, settings)
    if subject.view is None or subject.view.column(subject.column).kind != "codes":
        raise InvalidRequest(
            f"{subject.feature} is a coordinate, not a latent of an encoded store.",
            remedy="Encode the store with a dictionary (encode_store) and name its column.",
        )
    return Explained(subject, subject.view, read_signal(subject.view, subject.ref))
