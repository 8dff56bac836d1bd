"""The table of datasets in `docs/datasets.md`: sizes, and what the surface alone reaches on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.criteria.registry import CRITERIA
from interp_lab.corpus.criteria.render import addresses
from interp_lab.corpus.criteria.rows import SEED, rows
from interp_lab.methods.confounds import ConfoundAudit, audit_confounds
from interp_lab.methods.surface import bag_of_words, one_hot, surface_features
from interp_lab.statistics.sample import Sample

COMMAND = "python -m interp_lab.corpus.criteria --out prompts --docs docs/datasets.md"
BEGIN, END = "<!-- represented: begin -->", "<!-- represented: end -->"
SURFACE = ("length", "punctuation", "digits", "uppercase", "surface_joint", "bag_of_words", "template")
_HEADINGS = (
    "dataset", "prompts", "positive", "groups", "pairs", "with spans", "mean length",
    "length", "punctuation", "digits", "upper case", "surface, joint", "bag of words", "template",
)  # fmt: skip
_INTRODUCTION = f"""# Labelled datasets in the box

Written by `{COMMAND}`; do not edit. Seed {SEED}, the same bytes on every machine and Python version.
How sets of your own are named and found is in [prompts](prompts.md).

Every dataset is made of contrasts: one text with the property and one without, about the same topic, in the same
template family and after the same context. Most contrasts are counterfactual pairs, which differ by a minimal edit.
The group of a prompt is its template family, as texts of one template are not independent: families are the units of
every split and statistic, and what holds of one wording alone cannot be confirmed by more of the same. No text comes
near to one of another contrast. A span marks where the property sits, on negatives where it would sit.

The columns after the mean length (in characters) are the AUROC that one property of the surface reaches without any
model: 0.5 says nothing, 0 and 1 solve the dataset. Length and shares of punctuation, digits and capitals are ranked as
they are; the joint surface, the bag of words and the template are linear models scored on groups that they were not
fitted to. A bag of words reaches high wherever the property is made of words ('not', a month, 'def'): there the words
are the property, and the section of the dataset says so. Length, punctuation, digits and template must not reach far.

A small model knows hardly more than the words and constructions of the documents that it was trained on. Families are
therefore of two kinds: wordings which those documents have too, filled anew, as no filled template is shared with them,
and wordings which they never have, so that a finding is not one about a register. When most wordings were of the second
kind, the models in the box represented six of the properties poorly; their datasets got families of the first kind,
forty or more each in all. Wordings and poolings were chosen by what half of the families showed, in texts of another
seed. The table below was then measured once: its confirm groups hold wordings that were seen, but no text that was.
"""


def audit(prompts: Sequence[ScoredPrompt]) -> ConfoundAudit:
    """What each property of the surface reaches on these prompts."""
    texts = [prompt.text for prompt in prompts]
    sample = Sample.of([prompt.score > 0.5 for prompt in prompts], [prompt.group for prompt in prompts])
    families = one_hot([str(prompt.labels["template_family"]) for prompt in prompts])
    return audit_confounds(
        sample, numeric=surface_features(texts), tables={"bag_of_words": bag_of_words(texts), "template": families}
    )


def page(measured: str = "") -> str:
    """The whole of `docs/datasets.md`; `measured` is what models make of the datasets, which others measure."""
    drawn = [(criterion.description, rows(criterion)) for criterion in CRITERIA]
    lines = [f"| {' | '.join(_HEADINGS)} |", f"|---{'|---:' * (len(_HEADINGS) - 1)}|"]
    lines.extend(f"| {' | '.join(_cells(description, prompts))} |" for description, prompts in drawn)
    sections = [line for description, _ in drawn for line in _section(description)]
    return "\n".join([_INTRODUCTION, *lines, "", BEGIN, measured, END, "", *sections])


def measured_part(text: str) -> str:
    """The part of a page that says what models make of the datasets."""
    return text.partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]


def with_measured(text: str, measured: str) -> str:
    """The page with another such part."""
    return text.replace(f"{BEGIN}\n{measured_part(text)}\n{END}", f"{BEGIN}\n{measured}\n{END}")


def _cells(description: CriterionDescription, prompts: Sequence[ScoredPrompt]) -> Iterator[str]:
    yield f"`{description.name}`"
    yield str(len(prompts))
    yield str(sum(prompt.score > 0.5 for prompt in prompts))
    yield str(len({prompt.group for prompt in prompts}))
    yield str(len({prompt.pair for prompt in prompts if prompt.pair}))
    yield str(sum(bool(prompt.spans) for prompt in prompts))
    yield f"{sum(len(prompt.text) for prompt in prompts) / len(prompts):.0f}"
    reached: Mapping[str, float] = {score.name: score.auroc for score in audit(prompts).scores}
    for name in SURFACE:
        yield f"{reached[name]:.2f}"


def _section(description: CriterionDescription) -> Iterator[str]:
    yield f"## {description.name}"
    yield ""
    yield f"**{description.criterion}** {description.description}"
    yield ""
    where = "; ".join(f"`{address}` in `{model}`" for model, address in addresses().get(description.name, {}).items())
    yield f"Suggested pooling: `{description.pooling}`." + (f" Where to begin: {where}." if where else "")
    yield from (f"- Inherent cue: {cue}." for cue in description.cues)
    yield from (f"- Caveat: {caveat}" for caveat in description.caveats)
    yield ""
