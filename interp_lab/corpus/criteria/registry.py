"""Every criterion with a dataset in the box, in the order in which lists show them."""

from __future__ import annotations

from interp_lab.corpus.criteria import (
    date,
    docstring,
    evaluation,
    negation,
    person,
    python_code,
    question,
    quotation,
    refusal,
    sentiment,
    tool_call,
    units,
    wrong,
)
from interp_lab.corpus.criteria.contrast import Criterion

CRITERIA: tuple[Criterion, ...] = (
    units.CRITERION,
    python_code.CRITERION,
    docstring.CRITERION,
    question.CRITERION,
    negation.CRITERION,
    date.CRITERION,
    person.CRITERION,
    sentiment.CRITERION,
    quotation.CRITERION,
    evaluation.CRITERION,
    refusal.CRITERION,
    tool_call.CRITERION,
    *wrong.CRITERIA,
)
