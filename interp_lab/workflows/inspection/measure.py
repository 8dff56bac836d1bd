# pyright: standard
"""The statistics of an inspection: audit, split, ranking on explore rows, the best measured again on confirm rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.audit import audit_surface, surface_of
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups
from interp_lab.errors import SplitImpossible
from interp_lab.evidence.split import DEFAULT_SHARES, Part, Split, split_groups
from interp_lab.methods.association import Association, associate
from interp_lab.methods.confounds import ConfoundAudit, control_confounds
from interp_lab.methods.specificity import Contrast, Specificity, specificity
from interp_lab.methods.stability import Stability
from interp_lab.statistics.adjusted import Adjusted
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspection.material import Material
from interp_lab.workflows.inspection.tables import LEVEL, Table

EXPLORE_ONLY: Mapping[Part, float] = {"explore": 1.0}
LABEL_KINDS_MAX = 12
"""Values of a label that are contrasted; a label with more is an identifier."""


@dataclass(frozen=True, eq=False)
class Design:
    """Who is compared with whom: labels, groups, the split, and what the surface of the prompts shows."""

    sample: Sample
    split: Split
    surface: Mapping[str, NDArray[np.float64]]
    audit: ConfoundAudit

    def rows(self, part: Part) -> NDArray[np.intp]:
        """Return the row indices of a part."""
        return np.asarray(self.split.rows(part), dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Confirmation:
    """The chosen columns, measured again on rows that had no part in choosing them."""

    association: Association
    adjusted: Adjusted


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that was measured."""

    explore: Association
    """Over all columns."""
    columns: tuple[int, ...]
    """The columns chosen for description, strongest first, then those that were edited, then the best of each
    address."""
    n_described: int
    confirm: Confirmation | None
    """Over `columns`, in that order."""
    contrasts: tuple[Contrast, ...]
    """Other labels and sub-types, over `columns`."""
    margin: NDArray[np.float64] | None
    """How much farther from 0.5 than for any other label, over `columns`; None if there is no other label."""
    stability: Stability | None


def design(inputs: Material) -> Design:
    """Return the design of the comparison, audited before anything of the model is looked at.

    Raises:
        SplitImpossible, TooFewGroups: there are not even enough independent prompts to explore.
    """
    prompts, request = inputs.prompts, inputs.request
    labels = prompts.positive(request.threshold)
    groups = prompt_groups(prompts)
    sample = Sample.of(labels, groups)
    surface = surface_of(prompts, n_tokens=inputs.lengths)
    return Design(
        sample,
        _split(prompts, labels, groups, request.seed),
        surface,
        audit_surface(prompts, sample, surface, seed=request.seed),
    )


def measure(inputs: Material, pooled: Table, plan: Design, *, edited: Sequence[int] = ()) -> Findings:
    """Return the findings: ranked on explore rows only, the best and those that were edited confirmed on the others."""
    rows = plan.rows("explore")
    sample = plan.sample.take(rows)
    explore = pooled.associate(rows, sample)
    strongest = [int(column) for column in explore.strongest(inputs.request.top_k)]
    described = list(dict.fromkeys([*strongest, *edited]))
    best = [int(explore.strongest(1, columns)[0]) for columns in pooled.columns.values()]
    columns = tuple(dict.fromkeys([*described, *best]))
    found = _specificity(inputs.prompts, pooled, plan, columns)
    return Findings(
        explore=explore,
        columns=columns,
        n_described=len(described),
        confirm=_confirm(pooled, plan, columns),
        contrasts=(*found.labels, *found.subtypes),
        margin=found.margin if found.others else None,
        stability=pooled.stability(rows, sample, inputs.request.seed),
    )


def _split(prompts: PromptSet, labels: tuple[bool, ...], groups: list[int], seed: int) -> Split:
    """Return explore and confirm halves; with too few groups for both, everything explores and nothing confirms."""
    try:
        return split_groups(prompts.texts(), labels, groups, seed=seed, shares=DEFAULT_SHARES)
    except SplitImpossible:
        return split_groups(prompts.texts(), labels, groups, seed=seed, shares=EXPLORE_ONLY)


def _confirm(pooled: Table, plan: Design, columns: tuple[int, ...]) -> Confirmation | None:
    rows = plan.rows("confirm")
    if not rows.size:
        return None
    sample = plan.sample.take(rows)
    values = pooled.chosen(columns)[rows]
    surface = {name: feature[rows] for name, feature in plan.surface.items()}
    return Confirmation(
        associate(values, sample, level=LEVEL), control_confounds(values, sample, numeric=surface, level=LEVEL)
    )


def _specificity(prompts: PromptSet, pooled: Table, plan: Design, columns: tuple[int, ...]) -> Specificity:
    """Compare on confirm rows where there are any, so that what is said of the best is not what chose them."""
    rows = plan.rows("confirm") if plan.rows("confirm").size else plan.rows("explore")
    chosen = [prompts.prompts[i] for i in rows]
    return specificity(
        pooled.chosen(columns)[rows],
        plan.sample.take(rows),
        labels=_label_values(chosen),
        subtypes=[p.subtype or "unnamed" for p in chosen] if any(p.subtype for p in chosen) else None,
    )


def _label_values(prompts: list[ScoredPrompt]) -> dict[str, list[bool]]:
    values: dict[str, list[bool]] = {}
    for name in sorted({name for prompt in prompts for name in prompt.labels}):
        kinds = sorted({str(prompt.labels.get(name)) for prompt in prompts})
        if 2 <= len(kinds) <= LABEL_KINDS_MAX:
            values |= {f"{name}={kind}": [str(p.labels.get(name)) == kind for p in prompts] for kind in kinds}
    return values
