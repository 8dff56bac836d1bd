from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import pytest

from interp_lab.corpus import splits
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.families.assistant import tool_call
from interp_lab.corpus.families.technical import program
from interp_lab.corpus.lexicon import lexicon
from interp_lab.corpus.mixture import FAMILIES, Family, document, documents
from interp_lab.corpus.splits import Split, owner
from interp_lab.corpus.stdlib import digest
from interp_lab.corpus.writer import Writer
from interp_lab.errors import OperationError

FROZEN = {
    Split.TRAIN: "1561405608b4b8efbbb4664e979acc9c6b6ae21a66b698ba981e65f6d8ebefab",
    Split.HELDOUT: "f892478bf1b5b52dbed6cb5d8fd4d4098dae450a217e6f5ab3a27a8e6a12e092",
    Split.CRITERIA: "188760b2eb46c2e564227998788f9c689f8006ccc4aaab911b387524efff0237",
}


@pytest.mark.parametrize("split", list(Split))
def test_documents_are_the_same_on_every_machine(split: Split) -> None:
    assert digest(document(split, 20, index).text for index in range(40)) == FROZEN[split]


def test_another_seed_writes_other_documents() -> None:
    first = {document(Split.TRAIN, 0, index).text for index in range(40)}
    second = {document(Split.TRAIN, 1, index).text for index in range(40)}
    assert not first & second


@pytest.fixture
def fillings(monkeypatch: pytest.MonkeyPatch) -> dict[Split, set[str]]:
    """Every filled template that is written in a test, by the split it was written for."""
    found: dict[Split, set[str]] = {split: set() for split in Split}
    write = Writer.sentence

    def recording(self: Writer, fill: object) -> str:
        text = write(self, fill)  # pyright: ignore[reportArgumentType]
        found[self.split].add(splits.fingerprint(text))
        return text

    monkeypatch.setattr(Writer, "sentence", recording)
    return found


def test_splits_share_no_filled_template_and_no_document(fillings: dict[Split, set[str]]) -> None:
    texts = {split: {document(split, 20, index).text for index in range(150)} for split in Split}
    for left, right in ((Split.TRAIN, Split.HELDOUT), (Split.TRAIN, Split.CRITERIA), (Split.HELDOUT, Split.CRITERIA)):
        assert not texts[left] & texts[right]
        assert not fillings[left] & fillings[right]
    assert all(len(found) > 500 for found in fillings.values())


def test_seeds_alone_would_not_keep_filled_templates_apart() -> None:
    def short_sentences(seed: int) -> set[str]:
        writer = Writer(Dice(seed, "free"), Split.TRAIN)
        return {writer.grammar.clause(tense="past", depth=0, bare=True).statement() for _ in range(6000)}

    shared = short_sentences(1) & short_sentences(2)
    assert shared
    assert {owner(text) for text in shared} > {Split.TRAIN}


def test_a_template_that_no_split_member_fills_is_refused() -> None:
    foreign = next(f"line {n}" for n in range(100) if owner(f"line {n}") is Split.TRAIN)
    with pytest.raises(OperationError, match="No filling"):
        Writer(Dice(0), Split.HELDOUT).sentence(lambda: foreign)


def test_case_and_white_space_do_not_make_another_filling() -> None:
    assert splits.fingerprint("The  cat\nsat.") == splits.fingerprint("the cat sat.")
    assert splits.fingerprint("The cat sat.") != splits.fingerprint("The cat sits.")


def test_owners_have_their_shares() -> None:
    counts = Counter(owner(f"sentence {n}") for n in range(5000))
    assert 0.77 < counts[Split.TRAIN] / 5000 < 0.83
    assert 0.08 < counts[Split.HELDOUT] / 5000 < 0.12


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_varies(family: Family) -> None:
    texts = [family.write(Writer(Dice(seed, family.name), Split.TRAIN)) for seed in range(25)]
    assert len(set(texts)) == len(texts)
    assert all(text.strip() and "None," not in text for text in texts)


def test_tool_calls_are_json_with_every_argument() -> None:
    writer = Writer(Dice(4), Split.TRAIN)
    for tool in lexicon().tools.tools:
        call = json.loads(tool_call(writer, tool))
        (arguments,) = (value for key, value in call.items() if key != "name")
        assert call["name"] == tool.name
        assert list(arguments) == [argument.name for argument in tool.arguments]


def test_invented_programs_compile() -> None:
    for seed in range(40):
        compile(program(Writer(Dice(seed, "program"), Split.TRAIN)), "<generated>", "exec")


def test_echoes_repeat_themselves() -> None:
    echo = next(family for family in FAMILIES if family.name == "echo")
    for seed in range(20):
        text = echo.write(Writer(Dice(seed, "echo"), Split.TRAIN))
        half = text[: len(text) // 4]
        assert text.count(half) >= 2


def test_a_pronoun_in_a_story_belongs_to_somebody_in_it() -> None:
    story = next(family for family in FAMILIES if family.name == "story")
    feminine = set(lexicon().names.feminine)
    for seed in range(40):
        text = story.write(Writer(Dice(seed, "story"), Split.TRAIN))
        if not feminine & set(re.findall(r"\w+", text)):
            assert " she " not in text
            assert " her " not in text


DRILLS = {"anecdotes", "dialogue", "roster"}


def _written(name: str, seeds: int) -> list[str]:
    family = next(family for family in FAMILIES if family.name == name)
    return [family.write(Writer(Dice(seed, name), Split.TRAIN)) for seed in range(seeds)]


def test_drills_stand_in_a_text_that_asks_for_them_and_in_no_other() -> None:
    weights = dict.fromkeys(DRILLS, 40.0)
    usual = {document(Split.TRAIN, 20, index).family for index in range(300)}
    asked = {found.family for found, _ in zip(documents(Split.TRAIN, 20, weights), range(300), strict=False)}
    assert not usual & DRILLS
    assert asked >= DRILLS
    assert asked - DRILLS


def test_a_weight_of_nothing_leaves_a_family_out() -> None:
    weights = {family.name: 0.0 for family in FAMILIES if family.name != "echo"}
    assert {document(Split.TRAIN, 1, index, weights).family for index in range(50)} == {"echo"}


def test_the_pronouns_of_an_anecdote_belong_to_its_only_name() -> None:
    names = lexicon().names
    pronouns = {"feminine": {"she", "her"}, "masculine": {"he", "his", "him"}}
    seen: Counter[str] = Counter()
    for text in _written("anecdotes", 60):
        if "\n" not in text:
            continue
        for line in text.split("\n"):
            words = re.findall(r"\w+", line)
            own = "feminine" if set(words) & set(names.feminine) else "masculine"
            other = "masculine" if own == "feminine" else "feminine"
            assert not {word.lower() for word in words} & pronouns[other]
            seen[own] += bool({word.lower() for word in words} & pronouns[own])
    assert min(seen["feminine"], seen["masculine"]) > 50


def test_two_people_take_turns_in_a_dialogue() -> None:
    for text in _written("dialogue", 30):
        speakers = [line.partition(":")[0] for line in text.split("\n")]
        assert len(set(speakers)) == 2
        assert all(one != other for one, other in pairwise(speakers))


def test_a_roster_asks_for_every_number_that_it_tells_and_for_no_other() -> None:
    for text in _written("roster", 30):
        numbers = Counter(re.findall(r"\d{4}", text))
        assert set(numbers.values()) <= {2, 4}
        told, asked = re.findall(r"\d{4}", text)[: len(numbers)], re.findall(r"\d{4}", text)[len(numbers) :]
        assert sorted(told) == sorted(asked)
