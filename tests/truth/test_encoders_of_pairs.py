"""The encoder of an encoder-decoder model beside what transformers records of the whole model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.engine.selfcheck import self_check
from interp_lab.errors import HookPointUnavailable, InvalidRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.models.families import PAIRS
from interp_lab.settings import Settings
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.workflows.harvest import harvest

PAIR_NAMES = [family.name for family in PAIRS]
TEXTS = ["the cat sat on the mat", "dog", "the other house because it was raining there and the dog ran"]


def read(folder: Path, model: Path, **changes: Any) -> ActivationStore:
    shutil.copytree(model, folder / "tiny", dirs_exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    given = {"model": "tiny", "dataset": "corpus.jsonl", "dtype": "float32", "addresses": ["resid_post.0"]}
    request = HarvestRequest.model_validate(given | changes)
    with LocalRun(folder / "out", workspace=folder) as run:
        harvest(request, run, settings=Settings(workspace=folder))
        return open_store(run.written[-1])


def recorded(model: Path, ids: list[int], decoder_ids: list[int]) -> Any:
    """What the whole model records of one text alone."""
    whole: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    with torch.no_grad():
        return whole(
            input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([decoder_ids]), output_hidden_states=True
        )


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("t5", "module:final_layer_norm"),
        ("bart", "resid_post.2"),
        ("mbart", "module:layer_norm"),
        ("marian", "resid_post.2"),
    ],
)
def test_a_harvest_holds_the_encoder_states_that_transformers_records(
    tmp_path: Path, tiny_models, name: str, last: str
) -> None:
    addresses = list(dict.fromkeys(["resid_pre.0", "resid_post.0", "resid_post.1", last]))
    store = read(tmp_path, tiny_models(name), addresses=addresses)
    rows = store.rows(["prompt", "token_id"])
    prompts, ids = rows.column("prompt").to_numpy(), rows.column("token_id").to_numpy()
    for prompt in range(len(TEXTS)):
        own = np.flatnonzero(prompts == prompt)
        for decoder_ids in ([2], [2, 9, 30]):  # what the decoder reads has no say in it
            output = recorded(tiny_models(name), ids[own].tolist(), decoder_ids)
            states = output.encoder_hidden_states
            expected = dict(zip(addresses, (*states[:3], output.encoder_last_hidden_state), strict=True))
            for key, state in expected.items():
                np.testing.assert_allclose(store.dense(key).take(own), state[0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_every_identity_of_the_blocks_holds_in_the_encoder(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    assert loaded.family.name == name
    check = self_check(loaded)
    assert {"resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"} <= set(check.verified)
    assert not [row for row in check.rows if row.status == "failed"]


def test_what_the_decoder_would_say_is_refused(tmp_path: Path, tiny_models) -> None:
    with pytest.raises(HookPointUnavailable):
        read(tmp_path, tiny_models("t5"), addresses=["logits"])
    with pytest.raises(InvalidRequest):
        read(tmp_path, tiny_models("t5"), metrics=["loss"])
    with pytest.raises(InvalidRequest):
        read(tmp_path, tiny_models("t5"), generate={"max_new_tokens": 2})
