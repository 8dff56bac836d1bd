from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from interp_lab.errors import InvalidModel, LayerOutOfRange, PromptTooLong, RemoteCodeNotAllowed
from interp_lab.models import file_tokenizer
from interp_lab.models.file_tokenizer import mean_tokens, token_ids
from interp_lab.models.preflight import check_prompt_lengths, needs_remote_code, preflight, refuse_long
from interp_lab.points import Address

LONG = "the cat sat on the mat " * 20


@pytest.fixture
def copy(tiny_models, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models("gpt2"), tmp_path / "model"))


def edit_config(directory: Path, **changes: object) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_a_good_request_passes_and_gives_the_facts(tiny_models) -> None:
    found = preflight(tiny_models("gpt2"), addresses=[Address("resid_post", 2)], prompts={"a": "the cat"})
    assert found.context_length == 64


def test_an_address_beyond_the_last_layer_is_refused(tiny_models) -> None:
    with pytest.raises(LayerOutOfRange, match="layers 0 to 2"):
        preflight(tiny_models("gpt2"), addresses=[Address("resid_post", 3)])


def test_a_prompt_longer_than_the_context_is_refused_by_id_and_length(tiny_models) -> None:
    with pytest.raises(PromptTooLong, match=r"context of 64 tokens: p7 \(\d+\)\. "):
        preflight(tiny_models("gpt2"), prompts={"p1": "the cat", "p7": LONG})


def test_the_count_is_the_number_of_tokens_the_model_would_see(tiny_models, load_tiny) -> None:
    n_tokens = len(load_tiny("gpt2").tokenizer(LONG, verbose=False)["input_ids"])
    with pytest.raises(PromptTooLong, match=rf"\({n_tokens}\)"):
        preflight(tiny_models("gpt2"), prompts={"p": LONG})


def test_a_tokenizer_file_that_cannot_be_read_is_refused_by_name(copy: Path) -> None:
    (copy / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(InvalidModel, match=r"model/tokenizer\.json cannot be read"):
        preflight(copy, prompts={"p": "the cat"})


def test_many_texts_are_counted_a_few_at_a_time(tiny_models, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [LONG[: 10 + 7 * n] for n in range(5)]
    whole = token_ids(tiny_models("gpt2"), texts)
    assert whole is not None
    monkeypatch.setattr(file_tokenizer, "_AT_ONCE", 2)
    assert token_ids(tiny_models("gpt2"), texts) == whole
    assert mean_tokens(tiny_models("gpt2"), texts) == sum(map(len, whole)) / len(whole)


@pytest.mark.parametrize("hides", ["truncation", "padding"])
def test_a_tokenizer_file_that_asks_for_cuts_or_filling_hides_no_length(copy: Path, hides: str) -> None:
    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    if hides == "truncation":
        tokenizer.enable_truncation(4)
    else:
        tokenizer.enable_padding(length=10_000)
    tokenizer.save(str(copy / "tokenizer.json"))
    check_prompt_lengths(copy, 8, {"short": "a b"})
    with pytest.raises(PromptTooLong, match="long"):
        check_prompt_lengths(copy, 8, {"long": "a b c d e f g h i j k l m n o p"})


def test_many_long_prompts_are_named_up_to_a_limit() -> None:
    with pytest.raises(PromptTooLong, match=r"p9 \(100\) and 15 more"):
        refuse_long({f"p{i}": 100 for i in range(25)}, 99)


def test_a_prompt_that_fills_the_context_exactly_is_fine() -> None:
    refuse_long({"p": 99}, 99)


def test_a_directory_without_a_tokenizer_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InvalidModel, match="tokenizer"):
        preflight(copy)


def test_a_model_that_brings_its_own_code_is_refused_unless_allowed(copy: Path) -> None:
    edit_config(copy, model_type="my_own", auto_map={"AutoConfig": "code.Config"})
    with pytest.raises(RemoteCodeNotAllowed, match="auto_map"):
        preflight(copy)
    assert preflight(copy, allow_remote_code=True).n_layers == 3


@pytest.mark.parametrize("model_type", ["gpt2", "falcon", "xlm-roberta"])
def test_code_beside_a_model_that_transformers_knows_itself_is_not_needed(copy: Path, model_type: str) -> None:
    edit_config(copy, model_type=model_type, auto_map={"AutoConfig": "code.Config"})
    assert not needs_remote_code(copy)


def test_a_model_without_own_code_needs_none(copy: Path) -> None:
    edit_config(copy, model_type="my_own")
    assert not needs_remote_code(copy)


def test_a_model_type_cannot_lead_out_of_the_folder_it_is_looked_up_in(copy: Path) -> None:
    edit_config(copy, model_type="../models/gpt2", auto_map={"AutoConfig": "code.Config"})
    assert needs_remote_code(copy)


def test_no_check_imports_torch_or_transformers(tiny_models) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from interp_lab.models.preflight import preflight\n"
        "from interp_lab.models.resolve import locate_model\n"
        "from interp_lab.points import Address\n"
        "preflight(Path(sys.argv[1]), addresses=[Address('z', 1)], prompts={'a': 'the cat'})\n"
        "locate_model('some/model')\n"
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tiny_models("gpt2"))], capture_output=True, text=True, timeout=900, check=True
    )
    assert answer.stdout.strip() == "[]"
