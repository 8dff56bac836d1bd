"""Explanations as vectors of a local encoder: mean pooling, one encoder at a time, and what is left out is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from interp_lab.contracts.embed_explanations import (
    TEXTS_FILE,
    VECTORS_FILE,
    VECTORS_KIND,
    EmbedExplanationsRequest,
    EmbedExplanationsResult,
)
from interp_lab.contracts.explain import EXPLANATION_KIND, EXPLANATIONS_FILE
from interp_lab.contracts.features import SearchFeaturesRequest, SearchFeaturesResult
from interp_lab.contracts.models import ModelRef
from interp_lab.errors import EncoderMismatch, EncoderUnfit, InvalidRequest, NotOnThisMachine
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.comparing.words import alike_in_words
from interp_lab.workflows.embed_explanations import embed_explanations
from interp_lab.workflows.explaining.encoding import sentence_vectors
from interp_lab.workflows.explaining.records import make_record, written
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import publish_files, workspace
from tests.unit.workflows.texts.tiny_text_models import save_encoder

TEXTS = ["names a person", "king", "river runs slow and the dog runs fast", "thanks"]
SAID = {0: "names a person", 1: "the river runs", 2: "please hand me the cup"}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoders")
    save_encoder(root / "one", seed=0)
    save_encoder(root / "two", seed=1)
    return root


@pytest.fixture
def settings(tmp_path: Path, encoders: Path) -> Settings:
    return workspace(tmp_path, read_roots=(encoders,))


def encoder(encoders: Path, name: str = "one") -> ModelRef:
    return ModelRef(id=str(encoders / name))


def explain(settings: Settings, said: dict[int, str]) -> None:
    records = [
        make_record(f"c#{unit}", unit, ("d",), text, provenance="asserted", source="ada") for unit, text in said.items()
    ]
    publish_files(settings, EXPLANATION_KIND, {EXPLANATIONS_FILE: written(records)})


def embedded(
    settings: Settings, encoders: Path, name: str = "one", **options: Any
) -> tuple[EmbedExplanationsResult, str]:
    """Return the answer, and an artifact of this workspace with what the run wrote."""
    asked = {"encoder": {"id": str(encoders / name)}, **options}
    out = settings.workspace / "out" / f"{name} {len(str(options))}"
    with LocalRun(out, workspace=settings.workspace) as run:
        result, _ = embed_explanations(EmbedExplanationsRequest.model_validate(asked), run, settings=settings)
    files = {path.name: path.read_bytes() for path in out.rglob("*") if path.name in {VECTORS_FILE, TEXTS_FILE}}
    return result, publish_files(settings, VECTORS_KIND, files)


def search(settings: Settings, words: str, **by: Any) -> SearchFeaturesResult:
    request = {"by": {"kind": "explanation", "words": words, **by}}
    SearchFeaturesRequest.model_validate(request)
    with Lab.open(settings) as lab:
        answer = call(lab, "search_features", request)
    assert isinstance(answer, SearchFeaturesResult)
    return answer


def test_a_vector_is_the_mean_of_the_last_hidden_states_of_the_text_alone(settings: Settings, encoders: Path) -> None:
    made, n_cut = sentence_vectors(TEXTS, encoder(encoders), settings)
    model, tokenizer = (kind.from_pretrained(encoders / "one") for kind in (AutoModel, AutoTokenizer))
    for text, vector in zip(TEXTS, made.vectors, strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert n_cut == 0
    assert made.encoder.startswith(str(encoders / "one") + "@")
    assert made.encoder.endswith("/mean-v1")


def test_the_identity_of_an_encoder_changes_with_its_weights(settings: Settings, encoders: Path) -> None:
    names = {sentence_vectors(["king"], encoder(encoders, name), settings)[0].encoder for name in ("one", "two")}
    assert len({name.partition("@")[2] for name in names}) == 2


def test_search_by_vectors_orders_explanations_and_names_the_encoder(settings: Settings, encoders: Path) -> None:
    explain(settings, SAID)
    result, vectors = embedded(settings, encoders, words=["names a person"])
    assert (result.n_explanations, result.n_words) == (3, 1)
    found = search(settings, "names a person", vectors=[vectors])
    assert found.table.rows[0][0] == "c#0"
    assert float(str(found.table.rows[0][1])) == pytest.approx(1)
    assert len(found.table.rows) == 3
    assert found.facts["encoder"] == result.encoder
    assert -1 <= found.facts["median_similarity"] <= 1
    assert search(settings, "names a person").facts["encoder"].startswith("lexical")


def test_explanations_written_later_are_counted_and_not_searched(settings: Settings, encoders: Path) -> None:
    explain(settings, SAID)
    _, vectors = embedded(settings, encoders, words=["king"])
    explain(settings, {7: "the king"})
    found = search(settings, "king", vectors=[vectors])
    assert len(found.table.rows) == 3
    assert any("not searched: 1" in warning for warning in found.warnings)


def test_new_words_are_searched_in_older_vectors_of_the_same_encoder(settings: Settings, encoders: Path) -> None:
    explain(settings, SAID)
    _, vectors = embedded(settings, encoders)
    with pytest.raises(InvalidRequest, match="not among these vectors"):
        search(settings, "king", vectors=[vectors])
    _, words = embedded(settings, encoders, words=["king"], explanations=False)
    assert len(search(settings, "king", vectors=[vectors, words]).table.rows) == 3


def test_vectors_of_two_encoders_are_never_compared(settings: Settings, encoders: Path) -> None:
    explain(settings, SAID)
    _, vectors = embedded(settings, encoders)
    _, words = embedded(settings, encoders, "two", words=["king"], explanations=False)
    with pytest.raises(EncoderMismatch, match="never compared"):
        search(settings, "king", vectors=[vectors, words])


def test_what_holds_no_vectors_is_refused(settings: Settings, encoders: Path) -> None:
    explain(settings, SAID)
    other = publish_files(settings, "notes", {"vectors.npy": "x"})
    with pytest.raises(InvalidRequest, match="notes"):
        search(settings, "king", vectors=[other])


def test_an_encoder_that_is_not_here_or_pools_otherwise_is_refused(settings: Settings, encoders: Path) -> None:
    with pytest.raises(NotOnThisMachine):
        sentence_vectors(["x"], ModelRef(id="someone/no-such-encoder"), settings)
    other = settings.workspace / "other"
    shutil.copytree(encoders / "one", other)
    (other / "1_Pooling").mkdir()
    said = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (other / "1_Pooling" / "config.json").write_text(json.dumps(said))
    with pytest.raises(EncoderUnfit, match="another pooling"):
        sentence_vectors(["x"], ModelRef(id="other"), settings)


def said_to_read(encoders: Path, settings: Settings, limit: object) -> ModelRef:
    folder = settings.workspace / f"reads-{limit}"
    shutil.copytree(encoders / "one", folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit}))
    return ModelRef(id=folder.name)


def test_an_encoder_reads_no_more_of_a_text_than_it_was_made_to_read(settings: Settings, encoders: Path) -> None:
    whole, none_cut = sentence_vectors([TEXTS[2]], encoder(encoders), settings)
    short, n_cut = sentence_vectors([TEXTS[2]], said_to_read(encoders, settings, 5), settings)
    tokenizer = AutoTokenizer.from_pretrained(encoders / "one")
    model = AutoModel.from_pretrained(encoders / "one").eval()
    with torch.no_grad():
        read = tokenizer(TEXTS[2], truncation=True, max_length=5, return_tensors="pt")
        mean = model(**read).last_hidden_state[0].mean(0)
    assert (none_cut, n_cut) == (0, 1)
    assert np.allclose(short.vectors[0], torch.nn.functional.normalize(mean, dim=0).numpy(), atol=1e-5)
    assert not np.allclose(short.vectors[0], whole.vectors[0], atol=1e-3)
    assert short.encoder != whole.encoder
    unsaid, _ = sentence_vectors([TEXTS[2]], said_to_read(encoders, settings, None), settings)
    assert np.array_equal(unsaid.vectors, whole.vectors)


@pytest.mark.parametrize("limit", [0, -4, "many", True])
def test_a_length_of_texts_that_is_none_is_refused(settings: Settings, encoders: Path, limit: object) -> None:
    with pytest.raises(EncoderUnfit, match="max_seq_length"):
        sentence_vectors(["x"], said_to_read(encoders, settings, limit), settings)


def test_nothing_to_embed_is_said(settings: Settings, encoders: Path) -> None:
    with pytest.raises(InvalidRequest, match="Nothing was said"):
        embedded(settings, encoders)


def test_words_of_two_units_are_compared_by_the_encoder_that_was_asked_for(settings: Settings, encoders: Path) -> None:
    left, right = {0: "king", 1: "cup"}, {5: "woman", 6: ""}
    pairs = [(0, 5), (1, 6), (2, 5)]
    made, _ = sentence_vectors(["king", "woman"], encoder(encoders), settings)
    found = alike_in_words(left, right, pairs, encoder=encoder(encoders), settings=settings)
    assert found.cosines == {(0, 5): pytest.approx(float(made.vectors[0] @ made.vectors[1]), abs=1e-5)}
    assert found.encoder == made.encoder
    words = alike_in_words(left, right, pairs, encoder=None, settings=settings)
    assert words.encoder.startswith("lexical")
    assert words.cosines[0, 5] < found.cosines[0, 5]
