# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""How much one thing a latent fires on, without any explanation of it: token identity, and likeness of contexts.

A proxy is not meaning: a latent of one word is monosemantic here whatever the model does with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

LEAST_TOKENS, LEAST_GROUPS = 20, 5
"""Tokens and groups that a latent must have fired on: with fewer, every latent looks like one thing."""
LEAST_OCCURRENCES = 5
"""Occurrences from which a token is a class of its own."""
MOST_TOKENS = 2**15
"""Tokens that are looked at, at most."""
WINDOW = 16
"""Tokens of a context, the last of which the latent fired on."""
_PAIRS = 2**18

Wholes = NDArray[np.int64]
Floats = NDArray[np.float64]


class Monosemanticity(NamedTuple):
    """One number per measured latent `(n_measured,)`, and what any tokens have in common."""

    latents: Wholes
    selectivity: Floats
    """Class selectivity over tokens, 0 to 1."""
    tokens: Floats
    """Different tokens that the latent's activation is spread over: the exponential of its entropy."""
    similarity: Floats
    """Mean cosine of the contexts of two firings in different groups, each weighted by its code."""
    similarity_of_all: float
    """The same of any two tokens in different groups, whatever fires."""
    n_tokens: int
    n_groups: int


class _Seen(NamedTuple):
    """All pairs of a token and a latent that fired on it, sorted by latent, and all tokens."""

    latents: Wholes
    rows: Wholes
    values: Floats
    tokens: Wholes
    """Number of each token's identity, from 0."""
    prompts: Wholes
    groups: Wholes


class MonosemanticitySum:
    """Takes blocks of sparse codes with the identity of every token, until it has enough of them."""

    def __init__(self, n_latents: int) -> None:
        self._n_latents, self._n_tokens = n_latents, 0
        self._pairs: list[tuple[Wholes, Wholes, Floats]] = []
        self._tokens: list[tuple[Wholes, Wholes, Wholes]] = []

    def add(
        self,
        indptr: Int[Tensor, " token_and_one"],
        latents: Int[Tensor, " pair"],
        values: Float[Tensor, " pair"],
        *,
        tokens: Wholes,
        prompts: Wholes,
        groups: Wholes,
    ) -> None:
        """Take the codes of some tokens, in the order of the text, with identity, prompt and group of each."""
        if self._n_tokens >= MOST_TOKENS:
            return
        rows = np.repeat(np.arange(len(tokens)), indptr.diff().cpu().numpy()) + self._n_tokens
        self._pairs.append((latents.long().cpu().numpy(), rows, values.double().cpu().numpy()))
        self._tokens.append((tokens, prompts, groups))
        self._n_tokens += len(tokens)

    def figures(self) -> Monosemanticity | None:
        """Return the proxies of the latents that fired often enough; none where no latent did.

        Source: class selectivity, Morcos et al. 2018 (arXiv 1803.06959), here over tokens; entropy over classes,
        Lim et al. 2024 (arXiv 2412.05276), here over tokens; the monosemanticity score, Pach et al. 2025
        (arXiv 2504.02821), here with tf-idf vectors of contexts for embeddings and without pairs of one group.
        """
        if not self._tokens:
            return None
        seen = self._seen()
        measured = _often(seen, self._n_latents)
        if not measured.size:
            return None
        sums = _by_token(seen, self._n_latents)[measured]
        contexts = _contexts(seen)
        everywhere = _Seen(np.zeros_like(seen.tokens), np.arange(self._n_tokens), np.ones(self._n_tokens), *seen[3:])
        return Monosemanticity(
            latents=measured,
            selectivity=_selectivity(sums, np.bincount(seen.tokens)),
            tokens=_effective(sums),
            similarity=_similarity(seen, contexts, self._n_latents)[measured],
            similarity_of_all=float(_similarity(everywhere, contexts, 1)[0]),
            n_tokens=self._n_tokens,
            n_groups=int(np.unique(seen.groups).size),
        )

    def _seen(self) -> _Seen:
        latents, rows, values = (np.concatenate(column) for column in zip(*self._pairs, strict=True))
        tokens, prompts, groups = (np.concatenate(column) for column in zip(*self._tokens, strict=True))
        fired = np.flatnonzero(values > 0)
        order = fired[np.argsort(latents[fired], kind="stable")]
        identity = np.unique(tokens, return_inverse=True)[1].ravel()
        return _Seen(latents[order], rows[order], values[order], identity, prompts, groups)


def _often(seen: _Seen, n_latents: int) -> Wholes:
    """Return the latents that fired on enough tokens of enough groups."""
    own = np.unique(seen.groups, return_inverse=True)[1].ravel()[seen.rows]
    n_groups = int(own.max(initial=0)) + 1
    groups = np.bincount(np.unique(seen.latents * n_groups + own) // n_groups, minlength=n_latents)
    fired = np.bincount(seen.latents, minlength=n_latents)
    return np.flatnonzero((fired >= LEAST_TOKENS) & (groups >= LEAST_GROUPS))


def _by_token(seen: _Seen, n_latents: int) -> Any:
    """Return the sum of codes `(n_latents, n_identities)`, sparse."""
    from scipy import sparse  # lazy: a quarter of a second that most processes need not spend

    shape = (n_latents, int(seen.tokens.max()) + 1)
    return sparse.csr_array((seen.values, (seen.latents, seen.tokens[seen.rows])), shape=shape)


def _selectivity(sums: Any, occurrences: Wholes) -> Floats:
    """Return (largest - mean of the others) / (largest + mean of the others) of the mean code per token."""
    common = np.flatnonzero(occurrences >= LEAST_OCCURRENCES)
    if common.size < 2:
        return np.full(sums.shape[0], np.nan)
    means = sums[:, common].multiply(1 / occurrences[common]).tocsr()
    largest = means.max(axis=1).toarray().ravel()
    others = (np.asarray(means.sum(axis=1)).ravel() - largest) / (common.size - 1)
    total = largest + others
    return np.divide(largest - others, total, out=np.full_like(total, np.nan), where=total > 0)


def _effective(sums: Any) -> Floats:
    """Return the exponential of the entropy of every row taken as shares."""
    totals = np.asarray(sums.sum(axis=1)).ravel()
    shares = sums.data / np.repeat(totals, np.diff(sums.indptr))
    rows = np.repeat(np.arange(sums.shape[0]), np.diff(sums.indptr))
    return np.exp(-np.bincount(rows, weights=shares * np.log(shares), minlength=sums.shape[0]))


def _contexts(seen: _Seen) -> Any:
    """Return a unit tf-idf vector of the tokens up to and with each `(n_tokens, n_identities)`, sparse."""
    from scipy import sparse  # lazy: see above

    n, n_identities = seen.tokens.size, int(seen.tokens.max()) + 1
    place = np.arange(n)
    begins = np.maximum.accumulate(np.where(np.diff(seen.prompts, prepend=seen.prompts[0] - 1) != 0, place, 0))
    rows = np.concatenate([place[place - back >= begins] for back in range(WINDOW)])
    columns = np.concatenate([seen.tokens[place[place - back >= begins] - back] for back in range(WINDOW)])
    prompts = np.unique(seen.prompts, return_inverse=True)[1].ravel().astype(np.int64)
    in_prompts = np.bincount(np.unique(prompts * n_identities + seen.tokens) % n_identities, minlength=n_identities)
    rarity = np.log((1 + prompts.max() + 1) / (1 + in_prompts))
    found = sparse.csr_array((rarity[columns], (rows, columns)), shape=(n, n_identities))
    lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    return sparse.diags_array(np.divide(1, lengths, out=np.zeros(n), where=lengths > 0)) @ found


def _similarity(seen: _Seen, contexts: Any, n_latents: int) -> Floats:
    """Return the weighted mean cosine of contexts in different groups; NaN where a latent fires in one group only.

    Sums over pairs come from squared lengths: those of a latent's whole sum less those of its sums per group.
    """
    from scipy import sparse  # lazy: see above

    groups = np.unique(seen.groups, return_inverse=True)[1].ravel().astype(np.int64)
    found = np.full(n_latents, np.nan)
    for part in _runs(seen.latents):
        latents, rows, values = seen.latents[part], seen.rows[part], seen.values[part]
        keys, place = np.unique(latents * (groups.max() + 1) + groups[rows], return_inverse=True)
        owners, owner = np.unique(keys // (groups.max() + 1), return_inverse=True)
        spread = sparse.csr_array((values, (place.ravel(), rows)), shape=(keys.size, seen.tokens.size))
        whole = sparse.csr_array((np.ones(keys.size), (owner.ravel(), np.arange(keys.size))))
        sums, weights = spread @ contexts, np.bincount(place.ravel(), weights=values)
        alike = _squares(whole @ sums) - whole @ _squares(sums)
        pairs = (whole @ weights) ** 2 - whole @ weights**2
        found[owners] = np.divide(alike, pairs, out=np.full(owners.size, np.nan), where=pairs > 0)
    return found


def _squares(matrix: Any) -> Floats:
    return np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()


def _runs(latents: Wholes) -> Iterator[slice]:
    """Yield runs of whole latents, so many pairs at a time as fit into memory."""
    ends = np.append(np.flatnonzero(np.diff(latents)) + 1, latents.size)
    start = 0
    while start < latents.size:
        reach = int(np.searchsorted(ends, start + _PAIRS, side="right")) - 1
        stop = int(max(ends[max(reach, 0)], ends[np.searchsorted(ends, start, side="right")]))
        yield slice(start, stop)
        start = stop
