"""Blind grading tells true words from false ones, and gives nothing away to whoever does not know the latent."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.explain import Challenge, ExplainLatentResult, LatentRef
from interp_lab.contracts.store import CodeColumn, StoreHeader
from interp_lab.errors import ChallengeSpent, InvalidPath, InvalidRequest, LabError, TooFewContexts, UnknownChallenge
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.explaining.challenge import draw_questions
from interp_lab.workflows.explaining.halves import open_explained
from interp_lab_tools import explain_latent
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab

COLORS, ANIMALS = [" red", " blue", " green"], [" cat", " dog", " owl"]
FILL = [f" w{i}" for i in range(40)]
COLOR, ANIMAL, RED = range(3)
N_PROMPTS, LENGTH = 2000, 14


def make_store(workspace: Path) -> None:
    """Write a store whose latents follow a rule each: a colour, an animal (often beside it), red alone."""
    rng = np.random.default_rng(5)
    words = rng.choice([*FILL], size=(N_PROMPTS, LENGTH)).astype(object)
    for row in words:
        for some, rate in ((COLORS, 0.5), (ANIMALS, 0.5)):
            if rng.random() < rate:
                row[rng.integers(LENGTH)] = rng.choice(some)
    token = words.ravel()
    codes = np.stack([np.isin(token, COLORS), np.isin(token, ANIMALS), token == " red"], axis=1)
    values = codes * rng.uniform(0.5, 3.0, codes.shape)
    column = CodeColumn(address=Address.parse("resid_post.1"), dictionary="sae", width=3, dtype="float32")
    with StoreWriter(workspace / "store", StoreHeader(columns=(column,)), shard_rows=4000) as writer:
        rows = {
            "prompt": np.repeat(np.arange(N_PROMPTS, dtype=np.int32), LENGTH),
            "position": np.tile(np.arange(LENGTH, dtype=np.int32), N_PROMPTS),
            "token": token.tolist(),
        }
        writer.add(RowBlock(rows=rows, columns={"resid_post.1/sae": values.astype(np.float32)}))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N_PROMPTS)],
                "text": ["".join(row) for row in words],
                "group": np.arange(N_PROMPTS, dtype=np.int32),
            }
        )


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed draws instead of the system's: a test about chance must not fail by chance."""
    dice = random.Random(7)
    monkeypatch.setattr("interp_lab.workflows.explaining.challenge.secrets", SimpleNamespace(randbits=dice.getrandbits))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    workspace = tmp_path_factory.mktemp("workspace")
    make_store(workspace)
    with Lab.open(Settings(workspace=workspace, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as opened:
        yield opened


def step(lab: Lab, **arguments: Any) -> ExplainLatentResult:
    answer = call(lab, "explain_latent", {"step": arguments})
    assert isinstance(answer, ExplainLatentResult)
    return answer


def latent(unit: int) -> dict[str, Any]:
    return {"store": "store", "unit": unit}


def ask(lab: Lab, unit: int, text: str, n_items: int = 30) -> Challenge:
    challenge = step(lab, kind="submit", latent=latent(unit), explanation=text, n_items=n_items).challenge
    assert challenge is not None
    return challenge


def by_rule(challenge: Challenge, words: list[str]) -> dict[str, Any]:
    """Label as somebody does who believes that the latent is active on these words."""

    def holds(text: str) -> bool:
        return any(word in text for word in words)

    return {
        "challenge": challenge.id,
        "detection": [holds(text) for text in challenge.detection],
        "fuzzing": [any(f"⟦{word}⟧" in text for word in words) for text in challenge.fuzzing],
        "intruder": [
            1 + [holds(text) for text in some].index(False) if not all(map(holds, some)) else 1
            for some in challenge.intruder
        ],
    }


def scores(lab: Lab, answers: dict[str, Any]) -> dict[str, float]:
    record = step(lab, kind="label", **answers).record
    assert record is not None
    return {score.kind: score.accuracy for score in record.scores}


def test_the_true_rule_scores_at_the_top_and_is_told_from_chance(lab: Lab) -> None:
    challenge = ask(lab, COLOR, "a colour word")
    result = step(lab, kind="label", **by_rule(challenge, COLORS))
    assert result.record is not None
    assert {score.kind for score in result.record.scores} == {"detection", "fuzzing", "intruder"}
    assert all(score.accuracy >= 0.95 and score.above_chance for score in result.record.scores)
    assert all(score.interval.low < 1 for score in result.record.scores)  # all right is not certain


def test_the_rule_of_a_sibling_is_no_better_than_chance(lab: Lab) -> None:
    challenge = ask(lab, COLOR, "an animal word")
    result = step(lab, kind="label", **by_rule(challenge, ANIMALS))
    assert result.record is not None
    assert not any(score.above_chance for score in result.record.scores)
    detection = next(score for score in result.record.scores if score.kind == "detection")
    assert detection.interval.low <= 0.5


def test_a_rule_that_is_half_right_lies_between(lab: Lab) -> None:
    found = scores(lab, by_rule(ask(lab, COLOR, "the word red"), [" red"]))
    assert 0.5 < found["detection"] < 0.9
    assert 0.5 < found["fuzzing"] < 0.9


def test_a_rule_that_is_too_wide_fails_on_the_hard_negatives(lab: Lab) -> None:
    """Red is active on a third of the colours: the other colours are where its neighbour is active."""
    challenge = ask(lab, RED, "a colour word", n_items=24)
    result = step(lab, kind="label", **by_rule(challenge, COLORS))
    assert result.record is not None
    detection = next(score for score in result.record.scores if score.kind == "detection")
    assert detection.hard is not None
    assert detection.hard < 0.5 <= detection.accuracy < 0.95


GUESSES: dict[str, Callable[[int, str], float]] = {
    "by place": lambda place, text: place,
    "by length": lambda place, text: len(text),
    "by number of words": lambda place, text: text.count(" "),
    "by where the mark is": lambda place, text: text.find("⟦") / max(1, len(text)),
    "by number of marks": lambda place, text: text.count("⟦"),
    "by first letters": lambda place, text: sum(map(ord, text[:4])),
}


@pytest.mark.parametrize("guess", GUESSES, ids=str)
def test_who_sees_only_the_challenge_reaches_chance(lab: Lab, guess: str) -> None:
    """Over 16 challenges: accuracy, either way around, stays within 4 standard errors of a coin."""
    explained = open_explained(LatentRef.model_validate(latent(ANIMAL)), lab.settings)
    right = {"detection": [0, 0], "fuzzing": [0, 0]}
    for entropy in range(16):
        questions = draw_questions(explained, 40, (), entropy=entropy)
        for kind, tally in right.items():
            texts = [some[0] for some in questions.shown[kind]]
            signs = np.array([GUESSES[guess](place, text) for place, text in enumerate(texts)], dtype=float)
            said = signs > np.median(signs)
            tally[0] += int(sum(said == [bool(answer) for answer, _, _ in questions.key[kind]]))
            tally[1] += len(texts)
    for hits, n in right.values():
        assert abs(hits / n - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_the_place_of_the_intruder_is_even(lab: Lab) -> None:
    explained = open_explained(LatentRef.model_validate(latent(ANIMAL)), lab.settings)
    places = np.zeros(5)
    for entropy in range(16):
        for answer, _, _ in draw_questions(explained, 40, (), entropy=entropy).key["intruder"]:
            places[answer] += 1
    assert abs(places[1:] / places.sum() - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / places.sum())


def test_the_same_request_draws_other_contexts_and_none_of_the_evidence(lab: Lab) -> None:
    explained = open_explained(LatentRef.model_validate(latent(ANIMAL)), lab.settings)
    first, second = (draw_questions(explained, 20, (), entropy=None) for _ in range(2))
    assert first.shown != second.shown
    evidence = step(lab, kind="evidence", latent=latent(ANIMAL)).evidence
    assert evidence is not None
    shown = {context.prompt for context in (*evidence.contexts, *evidence.near_misses)}
    assert not shown & set(first.prompts)
    assert not explained.explores[np.isin(explained.view.row_prompt, first.prompts)].any()


def test_a_key_is_used_once_and_a_wrong_number_of_labels_does_not_use_it(lab: Lab) -> None:
    challenge = ask(lab, ANIMAL, "an animal", n_items=8)
    answers = by_rule(challenge, ANIMALS)
    with pytest.raises(InvalidRequest):
        step(lab, kind="label", **{**answers, "detection": answers["detection"][1:]})
    assert scores(lab, answers)["detection"] == 1
    with pytest.raises(ChallengeSpent):
        step(lab, kind="label", **answers)
    with pytest.raises(UnknownChallenge):
        step(lab, kind="label", **{**answers, "challenge": "0" * 32})


def test_who_is_interrupted_before_the_score_is_kept_gets_it_and_no_second_try_at_the_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = ask(lab, ANIMAL, "a colour", n_items=8)
    with monkeypatch.context() as killed:
        killed.setattr(explain_latent, "_published", interrupt)
        with pytest.raises(KeyboardInterrupt):
            step(lab, kind="label", **by_rule(challenge, COLORS))
    better = by_rule(challenge, ANIMALS)
    result = step(lab, kind="label", **better)
    assert result.record is not None
    assert not any(score.above_chance for score in result.record.scores)
    assert "score of the first" in result.warnings[0]
    assert result.artifacts
    with pytest.raises(ChallengeSpent):
        step(lab, kind="label", **better)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_second_challenge_has_other_prompts_and_says_that_it_is_the_second(lab: Lab) -> None:
    first, second = (ask(lab, ANIMAL, "an animal", n_items=8) for _ in range(2))
    assert second.attempt == first.attempt + 1
    assert not {*first.detection, *first.fuzzing} & {*second.detection, *second.fuzzing}
    step(lab, kind="label", **by_rule(first, ANIMALS))
    result = step(lab, kind="label", **by_rule(second, ANIMALS))
    assert result.record is not None
    assert result.record.attempt > 1
    assert any("best of several" in warning for warning in result.warnings)


def test_nothing_that_a_tool_can_read_holds_the_key(lab: Lab) -> None:
    answer = step(lab, kind="submit", latent=latent(COLOR), explanation="a colour", n_items=8)
    assert answer.challenge is not None
    kept = lab.settings.workspace / ".interp-lab" / "challenges"
    assert any(answer.challenge.id in path.read_text() for path in kept.glob("*.json"))
    for path in kept.iterdir():
        source = {"kind": "preset", "path": str(path.relative_to(lab.settings.workspace))}
        with pytest.raises((InvalidPath, LabError)) as refused:
            call(lab, "build_prompts", {"name": "x", "criterion": "the key", "source": source})
        assert answer.challenge.id not in str(refused.value)
    for artifact in answer.artifacts:
        for file in artifact.files:
            data = lab.engine.artifacts.read_file(artifact.id, file.name).decode()
            assert set(json.loads(data)) <= {"id", "feature", "unit", "dictionaries", "text", "provenance", "source"}


def test_a_latent_without_enough_held_out_activity_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path)
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as lab:
        settings = lab.settings
        explained = open_explained(LatentRef.model_validate(latent(RED)), settings)
        held_out = np.unique(explained.view.row_prompt[explained.signal.is_active & ~explained.explores])
        used = [int(prompt) for prompt in held_out[3:]]
        assert len(draw_questions(explained, 8, used[1:]).shown["detection"]) == 8
        with pytest.raises(TooFewContexts):
            draw_questions(explained, 8, used)


def test_the_rule_of_the_latent_has_no_counter_example_and_a_narrow_one_has(lab: Lab) -> None:
    whole = step(lab, kind="breaks", latent=latent(COLOR), rule={"one_of": COLORS}).breaks
    narrow = step(lab, kind="breaks", latent=latent(COLOR), rule={"matches": "^ red$"}).breaks
    wide = step(lab, kind="breaks", latent=latent(COLOR), rule={"matches": "red|cat"}).breaks
    assert whole is not None
    assert narrow is not None
    assert wide is not None
    assert (whole.precision, whole.recall, whole.unexplained, whole.silent) == (1, 1, (), ())
    assert narrow.precision == 1
    assert (narrow.recall or 1) < 0.6
    assert {context.token for context in narrow.unexplained} <= {" blue", " green"}
    assert (wide.precision or 1) < 0.8
    assert {context.token for context in wide.silent} == {" cat"}
    near = step(lab, kind="breaks", latent=latent(COLOR), rule={"context": "w1.* red$"}).breaks
    assert near is not None
    assert near.silent == ()
    assert (near.recall or 1) < (narrow.recall or 0)


def test_another_name_for_the_same_store_gives_the_same_halves_and_the_same_count(lab: Lab) -> None:
    other = lab.settings.workspace / "copy"
    if not other.exists():
        shutil.copytree(lab.settings.workspace / "store", other)
    by_name = [open_explained(LatentRef(store=name, unit=RED), lab.settings) for name in ("store", "copy")]
    assert by_name[0].digest == by_name[1].digest
    assert (by_name[0].explores == by_name[1].explores).all()
    assert by_name[0].identities == by_name[1].identities
