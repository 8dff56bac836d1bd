"""A prompt set: scored prompts that were checked as a whole, from wherever a request says they come.

Every check that needs no model is made here, before any work starts. Texts are data: they are never interpreted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from interp_lab.contracts.prompts import BuiltinDataset, InlinePrompts, PromptFile, ScoredPrompt
from interp_lab.errors import (
    DuplicatePromptIds,
    EmptyPrompt,
    FieldProblem,
    InvalidPrompts,
    LabelsUnusable,
    OneSidedPrompts,
)
from interp_lab.evidence.groups import group_prompts

MAX_PROMPTS = 10_000
"""Near-duplicates are found exactly; the time grows with the square only where most prompts are near-copies."""
_NAMED = 5
"""How many wrong rows an error names."""

Rows = Iterable[tuple[int, Any]]
"""Number and parsed value of each row of a JSON Lines file, blank lines not counted."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts with unique ids, none empty, in the order given."""

    name: str
    prompts: tuple[ScoredPrompt, ...]
    sha256: str
    """Hash over every field of every prompt, in order."""

    def ids(self) -> tuple[str, ...]:
        """Return the prompt ids in order."""
        return tuple(prompt.id or "" for prompt in self.prompts)

    def texts(self) -> tuple[str, ...]:
        """Return the texts in order."""
        return tuple(prompt.text for prompt in self.prompts)

    def positive(self, threshold: float) -> tuple[bool, ...]:
        """Return for each prompt whether its score reaches the threshold."""
        return tuple(prompt.score >= threshold for prompt in self.prompts)


def load_prompt_set(
    source: InlinePrompts | PromptFile | BuiltinDataset,
    *,
    read_lines: Callable[[str], Rows],
    load_builtin: Callable[[str], tuple[ScoredPrompt, ...]],
) -> PromptSet:
    """Return the checked prompts of a source; files are read through read_lines, which confines paths to the workspace.

    Raises:
        InvalidPrompts: rows that are not prompts, ids given twice, empty texts, spans outside their text.
        UnknownDataset, InvalidPath, PathOutsideWorkspace, MalformedFile, FileTooLarge: from the readers.
    """
    match source:
        case InlinePrompts():
            return checked("inline", source.prompts)
        case PromptFile():
            return checked(source.path, _parse(source.path, read_lines(source.path)))
        case BuiltinDataset():
            return checked(f"builtin:{source.name}", load_builtin(source.name))


def checked(name: str, prompts: Iterable[ScoredPrompt]) -> PromptSet:
    """Return the prompts as a set, ids filled in.

    Raises:
        InvalidPrompts: see `load_prompt_set`.
    """
    filled = tuple(p if p.id else p.model_copy(update={"id": f"p{i:05d}"}) for i, p in enumerate(prompts))
    _refuse(EmptyPrompt, "no visible text", [p.id for p in filled if not p.text.strip()])
    _refuse(DuplicatePromptIds, "id used twice", [key for key, n in Counter(p.id for p in filled).items() if n > 1])
    _refuse(InvalidPrompts, "span past the end of the text", [p.id for p in filled if _overhang(p)])
    digest = hashlib.sha256()
    for prompt in filled:
        digest.update(json.dumps(prompt.model_dump(mode="json"), sort_keys=True).encode() + b"\n")
    return PromptSet(name, filled, digest.hexdigest())


def refuse_one_sided(prompts: PromptSet, threshold: float) -> None:
    """Check that there are positives and negatives.

    Raises:
        OneSidedPrompts: with the scores that were found.
    """
    positive = sum(prompts.positive(threshold))
    if 0 < positive < len(prompts.prompts):
        return
    scores = [prompt.score for prompt in prompts.prompts]
    side = "negatives" if positive else "positives"
    raise OneSidedPrompts(
        f"{prompts.name} has no {side} at threshold {threshold:g}: scores run from {min(scores):g} to {max(scores):g}."
    )


def relabelled(prompts: PromptSet, label: str) -> PromptSet:
    """Return the set with score 1 where a label, NAME or NAME=VALUE, holds and 0 elsewhere; it is another set.

    Raises:
        LabelsUnusable: no prompt has the label, or no prompt that value.
    """
    name, _, value = label.partition("=")
    own = [prompt.labels.get(name) for prompt in prompts.prompts]
    holds = [given is not None and _is_so(given, value) for given in own]
    if all(given is None for given in own):
        there = sorted({key for prompt in prompts.prompts for key in prompt.labels})
        raise LabelsUnusable(f"No prompt has a label {name[:80]!r}; there are {', '.join(there)[:300] or 'none'}.")
    if not any(holds):
        seen = sorted({str(given) for given in own})
        raise LabelsUnusable(f"No prompt has {label[:80]!r}; its values are {', '.join(seen)[:300]}.")
    chosen = tuple(p.model_copy(update={"score": float(so)}) for p, so in zip(prompts.prompts, holds, strict=True))
    digest = hashlib.sha256(f"{prompts.sha256}:{label}".encode()).hexdigest()
    return PromptSet(f"{prompts.name} by {label}", chosen, digest)


def _is_so(given: object, value: str) -> bool:
    return str(given) == value if value else given not in (False, 0, "", "false", "False", "no")


def prompt_groups(prompts: PromptSet) -> list[int]:
    """Return the group of every prompt: near-duplicates, counterfactual pairs and named groups belong together."""
    named = [[p.group for p in prompts.prompts], [p.pair for p in prompts.prompts]]
    return group_prompts(prompts.texts(), ids=named)


def refuse_without_spans(prompts: PromptSet) -> None:
    """Check that every prompt has a labelled span: a negative's says where the property would sit.

    Raises:
        InvalidPrompts: naming prompts without one.
    """
    _refuse(InvalidPrompts, "no span, which pooling 'span' needs", [p.id for p in prompts.prompts if not p.spans])


def _parse(path: str, rows: Rows) -> tuple[ScoredPrompt, ...]:
    prompts: list[ScoredPrompt] = []
    problems: list[FieldProblem] = []
    for row, value in rows:
        try:
            prompts.append(ScoredPrompt.model_validate(_renamed(value)))
        except ValidationError as error:
            problems.append(FieldProblem(f"{path} row {row}", _first(error)))
        if len(problems) >= _NAMED or len(prompts) > MAX_PROMPTS:
            break
    if problems:
        listed = "; ".join(f"{p.field}: {p.problem}" for p in problems)
        raise InvalidPrompts(f"Not a scored prompt: {listed}.", fields=tuple(problems))
    if not 2 <= len(prompts) <= MAX_PROMPTS:
        raise InvalidPrompts(f"{path} has {len(prompts)} prompts; there must be 2 to {MAX_PROMPTS:,}.")
    return tuple(prompts)


def _renamed(row: Any) -> Any:
    """Return a row in our words: the interp-lab package of PyPI calls id and score otherwise, and says who scored."""
    if not isinstance(row, dict) or "criterion_score" not in row or "score" in row:
        return cast(Any, row)
    given = cast("dict[str, Any]", row)
    kept = {name: value for name, value in given.items() if not name.startswith("criterion_score")}
    found = {"id": kept.pop("prompt_id", None) or None, **kept, "score": given["criterion_score"]}
    return {name: value for name, value in found.items() if name != "id" or value is not None}


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}"[:200]


def _overhang(prompt: ScoredPrompt) -> bool:
    return any(span.end > len(prompt.text) for span in prompt.spans)


def _refuse(kind: type[InvalidPrompts], what: str, ids: list[str | None]) -> None:
    if ids:
        named = ", ".join(repr(str(key)[:60]) for key in ids[:_NAMED])
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        raise kind(f"{what[0].upper()}{what[1:]}: {named}{more}.")
