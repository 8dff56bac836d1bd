# pyright: standard
"""Values that were recorded, pooled to one number per prompt and coordinate, and how each prompt is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from interp_lab.contracts.inspect_report import Context, ContextToken, ModelFacts
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.workflows.inspection.tables import Pooled, Sparse

WINDOW = 40
TEXT = 240
DIGITS = 4


class TokenRow(NamedTuple):
    """The tokens of one prompt with a coordinate's values."""

    texts: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True, eq=False)
class Values:
    """What a source holds of one model."""

    name: str
    prompts: Sequence[Mapping[str, Any]]
    """id, text, score, group and labels of every prompt, in the order of the table's rows."""
    table: Pooled | Sparse
    lengths: Sequence[int] | None
    """Tokens pooled of every prompt; None if the rows are whole prompts."""
    facts: ModelFacts
    sources: Mapping[str, str]
    """What was read, by name: hash or artifact id."""
    tokens: Callable[[int, Sequence[int]], Mapping[int, TokenRow]] | None = None
    """From a column and prompts to their tokens; None if the rows are whole prompts."""
    notes: tuple[str, ...] = ()
    """What a careful reader must know."""
    names: Sequence[str] | None = None
    """What the source calls each column, if it names them."""

    def contexts(
        self, column: int, *, sign: int, n: int, prompts: Sequence[ScoredPrompt], positive: Sequence[bool]
    ) -> tuple[Context, ...]:
        """Return the strongest prompts of a column in the direction of sign."""
        pooled = self.table.chosen([column])[:, 0]
        top = [int(i) for i in np.argsort(-sign * pooled, kind="stable")[:n]]
        shown = self.tokens(column, top) if self.tokens else {}
        return tuple(_context(prompts[i], shown.get(i), float(pooled[i]), positive=positive[i], sign=sign) for i in top)


def unloaded(model: str, source: str, **known: Any) -> ModelFacts:
    """Return what is known of a model that was not loaded."""
    given = {"architecture": None, "revision": None, "dtype": "float32", "weights_sha256": None, **known}
    return ModelFacts(
        id=model, n_layers=None, d_model=None, n_parameters=None, device="not loaded", source=source, **given
    )


def _context(prompt: ScoredPrompt, row: TokenRow | None, pooled: float, *, positive: bool, sign: int) -> Context:
    if row is None or not row.texts:
        row = TokenRow((prompt.text[:TEXT],), (pooled,))
    values = np.asarray(row.values, dtype=np.float64)
    peak = int(np.argmin(np.abs(values - pooled))) if pooled in values else int(np.argmax(sign * values))
    start = max(0, min(peak - WINDOW // 2, len(values) - WINDOW))
    stop = min(len(values), start + WINDOW)
    return Context(
        prompt_id=prompt.id or "",
        positive=positive,
        pooled=round(pooled, DIGITS),
        truncated_before=start,
        truncated_after=len(values) - stop,
        tokens=tuple(
            ContextToken(text=row.texts[i], value=round(float(values[i]), DIGITS)) for i in range(start, stop)
        ),
        peak=peak - start,
    )
