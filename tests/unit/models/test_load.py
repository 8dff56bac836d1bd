from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp_lab.errors import CorruptWeights, DeviceUnavailable, IncompleteWeights, InvalidModel, UnsupportedModel
from interp_lab.models.blocks import find_blocks
from interp_lab.models.load import load_model, pick_device
from interp_lab.models.resolve import ModelSource


@pytest.fixture
def copy(tiny_models, tmp_path: Path) -> ModelSource:
    return ModelSource("local", "mine", Path(shutil.copytree(tiny_models("llama"), tmp_path / "model")))


def test_a_loaded_model_is_in_evaluation_mode_and_wants_no_gradients(load_tiny) -> None:
    model = load_tiny("llama").model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_loading_twice_gives_the_same_weights(copy: ModelSource) -> None:
    one, other = (load_model(copy).model.state_dict() for _ in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_checkpoint_in_half_precision_is_float32_on_a_cpu_unless_asked(copy: ModelSource) -> None:
    load_model(copy, dtype="bfloat16").model.save_pretrained(copy.directory)
    assert load_model(copy, device="cpu").dtype == torch.float32
    half = load_model(copy, device="cpu", dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.facts.dtype == "bfloat16"


def test_the_files_of_a_local_model_are_hashed(copy: ModelSource) -> None:
    hashes = dict(load_model(copy).files)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= hashes.keys()
    weights = (copy.directory / "model.safetensors").read_bytes()
    assert hashes["model.safetensors"] == hashlib.sha256(weights).hexdigest()


def test_a_hub_model_is_identified_by_its_commit_alone(copy: ModelSource) -> None:
    loaded = load_model(ModelSource("hub", "org/name", copy.directory, commit="abc"))
    assert (loaded.files, loaded.source.commit) == ((), "abc")


def test_weights_that_are_missing_are_refused_instead_of_made_up(copy: ModelSource) -> None:
    file = copy.directory / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(IncompleteWeights, match=r"up_proj"):
        load_model(copy)


def test_weights_of_another_shape_are_refused(copy: ModelSource) -> None:
    file = copy.directory / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"] = torch.zeros(7)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InvalidModel, match="cannot build the model"):
        load_model(copy)


def test_a_lying_header_is_refused_before_the_library_sees_it(copy: ModelSource) -> None:
    with (copy.directory / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(CorruptWeights):
        load_model(copy)


def test_a_model_type_that_transformers_does_not_know_is_refused(copy: ModelSource) -> None:
    config = copy.directory / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"llama"', '"llamma"'), encoding="utf-8")
    with pytest.raises(InvalidModel):
        load_model(copy)


def test_loading_writes_nothing_to_either_stream(copy: ModelSource, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(copy)
    assert capfd.readouterr() == ("", "")


def test_an_encoder_checkpoint_without_a_head_loads(tiny_models, tmp_path: Path) -> None:
    from transformers import BertModel

    directory = Path(shutil.copytree(tiny_models("bert"), tmp_path / "bert"))
    BertModel.from_pretrained(directory, add_pooling_layer=False).save_pretrained(directory)
    loaded = load_model(ModelSource("local", "bert", directory))
    assert len(loaded.blocks) == 3
    assert loaded.facts.architecture == "BertModel"


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama", "opt", "bert", "gpt_neo"])
def test_the_blocks_of_an_architecture_are_found_in_order(load_tiny, architecture: str) -> None:
    loaded = load_tiny(architecture)
    names = {id(module): name for name, module in loaded.model.named_modules()}
    assert [names[id(block)].rpartition(".")[2] for block in loaded.blocks] == ["0", "1", "2"]


def test_a_model_without_a_list_of_that_many_blocks_is_refused(load_tiny) -> None:
    with pytest.raises(UnsupportedModel, match="list of 5 blocks; found: none"):
        find_blocks(load_tiny("llama").model, 5)


@pytest.mark.parametrize("name", ["cuda:99", "meta"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match=name):
        pick_device(name)


def test_the_lock_of_a_model_can_be_taken_again_by_its_holder_only(load_tiny) -> None:
    lock = load_tiny("llama").lock
    answers: list[bool] = []
    with lock, lock:
        other = threading.Thread(target=lambda: answers.append(lock.acquire(blocking=False)))
        other.start()
        other.join(timeout=900)
    assert answers == [False]
