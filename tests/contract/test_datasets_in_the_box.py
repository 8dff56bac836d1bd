"""What docs/datasets.md promises of every labelled dataset, checked on the files that are shipped."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.catalogue import list_builtin_datasets, load_builtin_dataset, load_preset
from interp_lab.corpus.criteria.table import COMMAND, audit
from interp_lab.corpus.prompt_set import checked
from interp_lab.evidence.groups import group_prompts
from interp_lab.evidence.split import split_groups
from interp_lab.models.resolve import builtin_models
from interp_lab.points import Address

ROOT = Path(__file__).parents[2]
NAMES = list_builtin_datasets()
WRONG = {"wrong-length": "length", "wrong-punctuation": "punctuation"}
CLEAN = tuple(name for name in NAMES if name not in WRONG)
ASKED_FOR = {
    "measurement-unit", "python-code", "docstring", "question", "negation", "date-or-month", "person-name",
    "positive-sentiment", "quoted-speech", "evaluation-talk", "refusal", "json-tool-call", *WRONG,
}  # fmt: skip
WITHOUT_PAIRS = {"python-code", "wrong-length"}
WITHOUT_SPANS = {"python-code", "wrong-length"}
FAMILIES = 24
MANY_FAMILIES = {
    "measurement-unit", "positive-sentiment", "quoted-speech", "evaluation-talk", "refusal", "json-tool-call",
}  # fmt: skip
TOKENS = re.compile(r"\w+|[^\w\s]")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"


def _groups(name: str) -> dict[str, list[ScoredPrompt]]:
    groups: dict[str, list[ScoredPrompt]] = defaultdict(list)
    for prompt in load_builtin_dataset(name):
        groups[str(prompt.group)].append(prompt)
    return groups


def _pairs(name: str) -> list[list[ScoredPrompt]]:
    pairs: dict[str, list[ScoredPrompt]] = defaultdict(list)
    for prompt in load_builtin_dataset(name):
        if prompt.pair:
            pairs[prompt.pair].append(prompt)
    return list(pairs.values())


def _span_texts(prompt: ScoredPrompt) -> list[str]:
    return [prompt.text[span.start : span.end] for span in prompt.spans]


def test_every_criterion_that_was_promised_is_in_the_box() -> None:
    assert set(NAMES) >= ASKED_FOR


def test_all_files_regenerate_to_the_same_bytes_under_another_hash_seed_and_locale() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "LC_ALL": "C", "PYTHONUTF8": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "interp_lab.corpus.criteria", "--out", "prompts", "--check"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_is_large_balanced_and_without_repeated_texts(name: str) -> None:
    prompts = checked(name, load_builtin_dataset(name)).prompts
    assert len(prompts) >= 400
    assert sum(prompt.score for prompt in prompts) == len(prompts) / 2
    assert {prompt.score for prompt in prompts} == {0.0, 1.0}
    assert len({prompt.text for prompt in prompts}) == len(prompts)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_is_a_template_family_and_families_are_of_one_size(name: str) -> None:
    groups = _groups(name)
    assert {(p.labels["template_family"], name) for name, group in groups.items() for p in group} == {
        (name, name) for name in groups
    }
    assert len({len(group) for group in groups.values()}) == 1
    for group in groups.values():
        assert sum(prompt.score for prompt in group) == len(group) / 2


@pytest.mark.parametrize("name", NAMES)
def test_near_duplicates_do_not_join_families_and_both_halves_of_a_split_have_ten_of_them(name: str) -> None:
    prompts = load_builtin_dataset(name)
    texts, holds = [p.text for p in prompts], [p.score > 0.5 for p in prompts]
    joined = group_prompts(texts, ids=[[p.group for p in prompts], [p.pair for p in prompts]])
    assert len(set(joined)) == len({p.group for p in prompts}) >= FAMILIES
    split = split_groups(texts, holds, joined, seed=0)
    for part in ("explore", "confirm"):
        for label in (True, False):
            assert len({joined[row] for row in split.rows(part) if holds[row] is label}) >= 10


@pytest.mark.parametrize("name", sorted(MANY_FAMILIES))
def test_a_criterion_whose_families_differ_much_has_forty_of_them(name: str) -> None:
    assert len({prompt.group for prompt in load_builtin_dataset(name)}) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_where_to_begin_in_every_model_in_the_box(name: str) -> None:
    addresses = load_preset(name).addresses
    assert set(addresses) == {f"builtin:{model}" for model in builtin_models()}
    assert {Address.parse(address).point for address in addresses.values()} == {"resid_post"}


@pytest.mark.parametrize("name", NAMES)
def test_the_pooling_that_a_preset_suggests_can_be_used_on_every_prompt(name: str) -> None:
    if load_preset(name).pooling == "span":
        assert all(prompt.spans for prompt in load_builtin_dataset(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_prompts_of_a_dataset_are_of_all_families(name: str) -> None:
    prompts = load_builtin_dataset(name)
    groups = {prompt.group for prompt in prompts}
    assert {prompt.group for prompt in prompts[: 2 * len(groups)]} == groups


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_one_text_with_the_property_and_one_without_in_one_family_and_topic(name: str) -> None:
    for pair in _pairs(name):
        assert sorted(prompt.score for prompt in pair) == [0.0, 1.0]
        assert len({(p.labels["template_family"], p.labels["topic"], p.group) for p in pair}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_minimal_edits(name: str) -> None:
    pairs = _pairs(name)
    assert bool(pairs) == (name not in WITHOUT_PAIRS)
    for first, second in pairs:
        one, two = TOKENS.findall(first.text), TOKENS.findall(second.text)
        matching = difflib.SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()
        kept, longest = sum(block.size for block in matching), max(len(one), len(two))
        assert longest - kept <= min(9, longest / 2), (first.text, second.text)


def _pieces(text: str) -> set[str]:
    flat = " ".join(text.lower().split())
    return {flat[place : place + 5] for place in range(len(flat) - 4)}


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_a_near_duplicate_of_a_text_of_another_contrast(name: str) -> None:
    prompts = load_builtin_dataset(name)
    pieces = [_pieces(prompt.text) for prompt in prompts]
    column = {piece: number for number, piece in enumerate(sorted(set[str]().union(*pieces)))}
    table = np.zeros((len(prompts), len(column)), dtype=np.float32)
    for row, found in enumerate(pieces):
        table[row, [column[piece] for piece in found]] = 1.0
    shared, sizes = table @ table.T, table.sum(axis=1)
    jaccard = shared / (sizes[:, None] + sizes[None, :] - shared)
    # Both sides of a contrast stand next to each other, also of one that is no minimal edit and so has no pair.
    contrast = np.arange(len(prompts)) // 2
    assert jaccard[contrast[:, None] != contrast[None, :]].max() < 0.6
    assert jaccard[contrast[:, None] == contrast[None, :]].max() == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_has_the_labels_and_a_subtype_that_its_preset_explains(name: str) -> None:
    preset, prompts = load_preset(name), load_builtin_dataset(name)
    common = {"length_class", "topic", "template_family", "context_sentences"}
    assert {frozenset(prompt.labels) for prompt in prompts} == {frozenset(common | set(preset.labels))}
    assert {prompt.subtype for prompt in prompts} == set(preset.subtypes)
    for prompt in prompts:
        sign = preset.subtypes[str(prompt.subtype)].partition(":")[0]
        assert sign == "positive" if prompt.score else sign in ("negative", "hard negative")


@pytest.mark.parametrize("name", NAMES)
def test_every_label_takes_more_than_one_value(name: str) -> None:
    prompts = load_builtin_dataset(name)
    for label in load_preset(name).labels:
        assert len(Counter(prompt.labels[label] for prompt in prompts)) > 1, label


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_states_the_facts_of_the_file_it_describes(name: str) -> None:
    preset, prompts = load_preset(name), load_builtin_dataset(name)
    recipe = preset.made_by
    data = (ROOT / "prompts" / "datasets" / f"{preset.dataset}.jsonl").read_bytes()
    assert recipe.sha256 == hashlib.sha256(data).hexdigest()
    assert recipe.n_prompts == len(prompts)
    assert recipe.n_groups == len({prompt.group for prompt in prompts})
    assert recipe.n_pairs == len({prompt.pair for prompt in prompts if prompt.pair})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_SPANS])
def test_spans_lie_inside_their_text_without_space_at_the_ends(name: str) -> None:
    for prompt in load_builtin_dataset(name):
        assert prompt.spans or (name in WRONG and prompt.score == 0)
        assert all(0 <= span.start < span.end <= len(prompt.text) for span in prompt.spans)
        assert all(text == text.strip() for text in _span_texts(prompt))


def test_spans_hold_what_the_property_is_made_of() -> None:
    shape = {
        "measurement-unit": r"\d+$",
        "negation": r"(?i)(n't|never|neither|nor|no(t|ne|body|thing)?( (one|other|longer|able|willing|likely|once did))?)$",  # noqa: E501,
        "date-or-month": rf"(\w+ of )?({MONTHS}|\d+ |\d{{4}}-\d\d-\d\d|\d\d\.\d\d\.\d{{4}})",
        "person-name": r"[A-Z][a-z]+( [A-Z][a-z]+)?$",
        "quoted-speech": r'".*"$',
        "json-tool-call": r"(?s)\{.*\}$",
        "question": r"[A-Z]",
        "wrong-punctuation": r"!$",
    }
    for name, pattern in shape.items():
        positives = [prompt for prompt in load_builtin_dataset(name) if prompt.score]
        assert all(re.match(pattern, text) for prompt in positives for text in _span_texts(prompt)), name


@pytest.mark.parametrize("name", ["measurement-unit", "question"])
def test_spans_of_texts_that_are_read_at_the_end_reach_the_end(name: str) -> None:
    assert all(prompt.spans[-1].end == len(prompt.text) for prompt in load_builtin_dataset(name))


@pytest.mark.parametrize("name", CLEAN)
def test_neither_length_nor_marks_digits_or_template_solve_a_clean_dataset(name: str) -> None:
    scores = {score.name: score for score in audit(load_builtin_dataset(name)).scores}
    for measured in ("length", "punctuation", "digits", "uppercase", "template"):
        assert abs(scores[measured].auroc - 0.5) <= 0.1, measured
    assert scores["surface_joint"].auroc <= 0.75
    assert not load_preset(name).confounds


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_dataset_that_its_words_solve_says_so(name: str) -> None:
    flagged = {score.name for score in audit(load_builtin_dataset(name)).flagged}
    assert flagged <= {"bag_of_words"}
    assert load_preset(name).cues or not flagged


@pytest.mark.parametrize(("name", "confound"), WRONG.items())
def test_the_audit_flags_a_dataset_that_is_wrong_on_purpose(name: str, confound: str) -> None:
    flagged = {score.name: score for score in audit(load_builtin_dataset(name)).flagged}
    assert flagged[confound].reach == 1.0
    preset = load_preset(name)
    assert preset.confounds == (confound,)
    assert "WRONG ON PURPOSE" in preset.description


@pytest.mark.parametrize("name", NAMES)
def test_the_table_in_the_docs_says_what_the_audit_finds(name: str) -> None:
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert COMMAND in page
    heading = next(line for line in page.splitlines() if line.startswith("| dataset"))
    line = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    cells = dict(zip(heading.strip("| ").split(" | "), line.strip("| ").split(" | "), strict=True))
    prompts = load_builtin_dataset(name)
    assert int(cells["prompts"]) == len(prompts)
    assert int(cells["pairs"]) == load_preset(name).made_by.n_pairs
    found = {score.name: score.auroc for score in audit(prompts).scores}
    columns = {"length": "length", "punctuation": "punctuation", "digits": "digits", "bag of words": "bag_of_words"}
    for column, measured in columns.items():
        assert float(cells[column]) == pytest.approx(found[measured], abs=0.02)


def test_the_datasets_stay_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "prompts").rglob("*") if path.is_file()) < 3_000_000
