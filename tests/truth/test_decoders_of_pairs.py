"""The decoder of an encoder-decoder model beside what transformers records of the whole model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.engine.capture import capture
from interp_lab.engine.packing import lay_out
from interp_lab.errors import HookPointUnavailable, InvalidDocuments, LayerOutOfRange, PromptTooLong
from interp_lab.jobs.run import LocalRun
from interp_lab.models.families import PAIR_DECODERS
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.points import DECODER, Address
from interp_lab.settings import Settings
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.workflows.harvest import harvest

TEXTS = ["the cat sat on the mat", "dog", "the other house because it was raining there and the dog ran"]
TARGETS = ["the dog", "the mat sat there because it was raining", "cat"]


@pytest.fixture
def closing(tmp_path: Path, tiny_models) -> Callable[[str], Path]:
    """A function from an architecture to a tiny model whose tokenizer closes every text, as those of pairs do."""

    def get(name: str) -> Path:
        shutil.copytree(tiny_models(name), tmp_path / "tiny", dirs_exist_ok=True)
        file = tmp_path / "tiny" / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
        tokenizer.save(str(file))
        return tmp_path / "tiny"

    return get


def read(model: Path, **changes: Any) -> ActivationStore:
    folder = model.parent
    rows = [{"text": text, "says": says} for text, says in zip(TEXTS, TARGETS, strict=True)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {
        "model": "tiny",
        "dataset": "corpus.jsonl",
        "dtype": "float32",
        "addresses": ["decoder_resid_post.0"],
        "decoder": {"target": "says"},
    }
    request = HarvestRequest.model_validate(given | changes)
    with LocalRun(folder / f"out{len([*folder.glob('out*')])}", workspace=folder) as run:
        harvest(request, run, settings=Settings(workspace=folder))
        return open_store(run.written[-1])


def plain(model: Path, source: list[int], **given: Any) -> Any:
    """What transformers records of one pair alone, nothing padded."""
    whole: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    with torch.no_grad():
        return whole(input_ids=torch.tensor([source]), output_hidden_states=True, **given)


def own_rows(store: ActivationStore, prompt: int) -> np.ndarray:
    return np.flatnonzero(store.rows(["prompt"]).column("prompt").to_numpy() == prompt)


@pytest.mark.parametrize("name", ["t5", "bart", "mbart", "marian"])
def test_a_harvest_holds_the_decoder_states_that_transformers_records_for_labels(
    closing: Callable[[str], Path], name: str
) -> None:
    addresses = ["decoder_embed", "decoder_resid_pre.0", "decoder_resid_post.0", "decoder_resid_pre.1", "logits"]
    model = closing(name)
    store = read(model, addresses=addresses, metrics=["loss"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    assert store.prompts().column("label:says").to_pylist() == TARGETS
    for prompt, (text, says) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        own = own_rows(store, prompt)
        labels = tokenizer(says)["input_ids"]
        output = plain(model, tokenizer(text)["input_ids"], labels=torch.tensor([labels]))
        states = output.decoder_hidden_states
        expected = {"decoder_resid_pre.0": states[0], "decoder_resid_post.0": states[1]}
        expected |= {"decoder_resid_pre.1": states[1], "logits": output.logits}
        for key, state in expected.items():
            np.testing.assert_allclose(store.dense(key).take(own), state[0].numpy(), rtol=1e-4, atol=1e-5)
        losses = store.rows(["metric:loss"]).column("metric:loss").to_numpy()[own]
        log_probs = output.logits[0].log_softmax(-1)
        told = [-float(log_probs[i, label]) for i, label in enumerate(labels[:-1])]
        np.testing.assert_allclose(losses[:-1], told, rtol=1e-4)
        assert np.isnan(losses[-1])


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_what_the_encoder_reads_changes_the_decoder(closing: Callable[[str], Path], name: str) -> None:
    model = closing(name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    labels = torch.tensor([tokenizer(TARGETS[0])["input_ids"]])
    here, other = (plain(model, tokenizer(text)["input_ids"], labels=labels) for text in TEXTS[:2])
    store = read(model)
    stored = store.dense("decoder_resid_post.0").take(own_rows(store, 0))
    assert np.abs(stored - here.decoder_hidden_states[1][0].numpy()).max() < 1e-4
    assert np.abs(stored - other.decoder_hidden_states[1][0].numpy()).max() > 1e-2


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_what_the_model_writes_is_read_as_it_was_written(closing: Callable[[str], Path], name: str) -> None:
    model = closing(name)
    changes = {"decoder": {}, "generate": {"max_new_tokens": 5}, "addresses": ["decoder_resid_post.1"]}
    store = read(model, **changes)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    whole: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    rows = store.rows(["token_id", "generated", "special"])
    for prompt, text in enumerate(TEXTS):
        own = own_rows(store, prompt)
        source = torch.tensor([tokenizer(text)["input_ids"]])
        fed = rows.column("token_id").to_numpy()[own]
        written: list[int] = [int(fed[0])]
        with torch.no_grad():
            while len(written) < len(fed):
                decoded = whole(input_ids=source, decoder_input_ids=torch.tensor([written]))
                written.append(int(decoded.logits[0, -1].argmax()))
            output = whole(input_ids=source, decoder_input_ids=torch.tensor([written]), output_hidden_states=True)
        assert fed.tolist() == written
        assert rows.column("generated").to_numpy()[own].tolist() == [False] + [True] * (len(fed) - 1)
        states = output.decoder_hidden_states
        last = store.dense("decoder_resid_post.1").take(own)
        norm = getattr(whole.get_decoder(), "final_layer_norm", None)
        with torch.no_grad():
            seen = torch.tensor(last) if norm is None else norm(torch.tensor(last))
        np.testing.assert_allclose(seen.numpy(), states[-1][0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [family.name.removesuffix("_decoder") for family in PAIR_DECODERS])
def test_a_decoder_block_adds_what_its_parts_write(tiny_models, name: str) -> None:
    loaded = load_model(ModelSource("local", name, tiny_models(name)), part="decoder")
    assert loaded.family.name == f"{name}_decoder"
    names = ["resid_pre", "attn_out", "cross_out", "resid_mid", "mlp_out", "resid_post"]
    seen = {a.point.removeprefix(DECODER): value for a, value in _seen(loaded, names, layer=1).items()}
    block: Any = loaded.blocks[1]
    if name == "bart":
        first = block.self_attn_layer_norm(seen["resid_pre"] + seen["attn_out"])
        middle = block.encoder_attn_layer_norm(first + seen["cross_out"])
        after = block.final_layer_norm(middle + seen["mlp_out"])
    else:
        middle = seen["resid_pre"] + seen["attn_out"] + seen["cross_out"]
        after = middle + seen["mlp_out"]
    torch.testing.assert_close(seen["resid_mid"], middle, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen["resid_post"], after, rtol=1e-4, atol=1e-5)


def _seen(loaded: LoadedModel, names: list[str], *, layer: int) -> dict[Address, torch.Tensor]:
    with torch.no_grad(), capture(loaded, [Address(DECODER + name, layer) for name in names]) as run:
        return run(lay_out(loaded, [[2, 9, 30]], ((0,),), packed=False, sources=[[7, 8, 9, 10]]).batch)


def test_modules_of_the_decoder_are_read_by_path_and_those_of_the_encoder_are_refused(
    closing: Callable[[str], Path],
) -> None:
    store = read(closing("t5"), addresses=["module:decoder.block.0", "decoder_resid_post.0"])
    rows = own_rows(store, 1)
    block = store.dense("module:decoder.block.0").take(rows)
    np.testing.assert_array_equal(block, store.dense("decoder_resid_post.0").take(rows))
    with pytest.raises(HookPointUnavailable, match="does not go through"):
        read(closing("t5"), addresses=["module:encoder.block.0"])


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"addresses": ["decoder_resid_post.2"]}, LayerOutOfRange, "layers 0 to 1"),
        ({"addresses": ["resid_post.0"]}, HookPointUnavailable, "decoder_resid_post"),
        ({"decoder": None}, HookPointUnavailable, "decoder_resid_post is not available"),
        ({"decoder": {"target": "sayd"}}, InvalidDocuments, "'sayd'"),
        ({"context": 5, "addresses": ["decoder_resid_post.0"]}, PromptTooLong, "context of 5"),
    ],
)
def test_a_place_or_a_text_that_does_not_exist_is_named(
    closing: Callable[[str], Path], changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        read(closing("bart"), **changes)


def test_a_model_without_an_encoder_has_no_decoder_apart(closing: Callable[[str], Path]) -> None:
    with pytest.raises(HookPointUnavailable, match="no encoder-decoders"):
        read(closing("gpt2"), addresses=["resid_post.0"])


def test_a_decoder_reads_one_text_and_not_two_or_none() -> None:
    given = {"model": "m", "dataset": "c.jsonl", "addresses": ["decoder_resid_post.0"]}
    for wrong in ({"decoder": {}}, {"decoder": {"target": "says"}, "generate": {"max_new_tokens": 2}}):
        with pytest.raises(ValidationError, match="one of the two"):
            HarvestRequest.model_validate(given | wrong)
