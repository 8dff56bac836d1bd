"""Fixtures of the whole suite: shapes in signatures are checked at run time, tiny models are made once per session."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Two threads on tiny tensors are slower than one, and much slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as drawn
from jaxtyping import install_import_hook

install_import_hook(["interp_lab.engine", "interp_lab.methods"], "beartype.beartype")

# A busy machine fails no test, and neither does a draw that nobody has seen before: `make faults` draws new ones.
drawn.register_profile(
    "lab",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("INTERP_LAB_FAULTS") != "long",
)
drawn.load_profile("lab")

if TYPE_CHECKING:
    from interp_lab.models.load import LoadedModel

TINY_VOCABULARY = 320
TINY_CONTEXT = 64
_D = {"vocab_size": TINY_VOCABULARY, "max_position_embeddings": TINY_CONTEXT, "hidden_size": 32, "num_hidden_layers": 3}
_HEADS = {"num_attention_heads": 4, "intermediate_size": 48}
_GROUPED = {**_D, **_HEADS, "num_key_value_heads": 2, "head_dim": 8}
_PAIR = {
    "vocab_size": TINY_VOCABULARY, "max_position_embeddings": TINY_CONTEXT, "d_model": 32, "encoder_layers": 3,
    "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 2, "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
}  # fmt: skip
_SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
_OPT = {**_D, "num_attention_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32}
_WINDOWED = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

TINY_ARCHITECTURES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {**_D, "n_head": 4}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {**_D, **_HEADS}),
    "gpt_neox_sequential": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {**_D, **_HEADS, "use_parallel_residual": False}),
    "llama": ("LlamaConfig", "LlamaForCausalLM", _GROUPED),
    "mistral": ("MistralConfig", "MistralForCausalLM", {**_GROUPED, "sliding_window": 8}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {**_D, **_HEADS, "num_key_value_heads": 2}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", _GROUPED),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", {**_GROUPED, **_WINDOWED, "query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**_GROUPED, **_WINDOWED, "query_pre_attn_scalar": 8}),
    "phi": ("PhiConfig", "PhiForCausalLM", {**_D, **_HEADS}),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", {**_D, **_HEADS, "num_key_value_heads": 2}),
    "opt": ("OPTConfig", "OPTForCausalLM", _OPT),
    "opt_post_norm": ("OPTConfig", "OPTForCausalLM", {**_OPT, "do_layer_norm_before": False}),
    "bert": ("BertConfig", "BertForMaskedLM", {**_D, **_HEADS}),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM", {**_D, **_HEADS}),
    "gpt_neo": ("GPTNeoConfig", "GPTNeoForCausalLM", {
        **_D, "num_heads": 4, "num_layers": 3, "attention_types": [[["global", "local"], 1], [["global"], 1]],
    }),
    "t5": ("T5Config", "T5ForConditionalGeneration", {
        "vocab_size": TINY_VOCABULARY, "d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 3, "num_decoder_layers": 2,
        "num_heads": 4, "feed_forward_proj": "gated-gelu", "decoder_start_token_id": 2,
    }),
    "bart": ("BartConfig", "BartForConditionalGeneration", {**_PAIR}),
    "mbart": ("MBartConfig", "MBartForConditionalGeneration", {**_PAIR}),
    "marian": ("MarianConfig", "MarianMTModel", {**_PAIR, "decoder_start_token_id": 2}),
}  # fmt: skip
"""Name → configuration, model class, sizes.

Families without a row: `gpt_neo`, whose blocks return tuples, and `marian`, an encoder-decoder.
"""

TinyModels = Callable[[str], Path]
LoadTiny = Callable[[str], "LoadedModel"]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """A function from the name of an architecture to a directory with a random model of it, made once."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = _make_tiny_model(name, tmp_path_factory.mktemp("tiny") / name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def load_tiny(tiny_models: TinyModels) -> LoadTiny:
    """A function from the name of an architecture to the loaded tiny model, shared by the session: never change it."""
    from interp_lab.models.load import load_model
    from interp_lab.models.resolve import ModelSource

    loaded: dict[str, LoadedModel] = {}

    def get(name: str) -> LoadedModel:
        if name not in loaded:
            loaded[name] = load_model(ModelSource("local", name, tiny_models(name)))
        return loaded[name]

    return get


def _make_tiny_model(name: str, directory: Path) -> Path:
    import torch
    import transformers

    config_class, model_class, sizes = TINY_ARCHITECTURES[name]
    sizes = {key: value for key, value in sizes.items() if not (name == "gpt_neo" and key == "num_hidden_layers")}
    torch.manual_seed(len(name))
    config = getattr(transformers, config_class)(**sizes, **_SPECIAL)
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # The usual 0.02 would leave every residual sum at rounding level; norms and biases get values too.
            parameter.add_(torch.randn_like(parameter) * 0.15)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(directory)
    _make_tiny_tokenizer().save_pretrained(directory)
    return directory


def _make_tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_VOCABULARY,
        special_tokens=["<bos>", "<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "the cat sat on the mat and the dog ran to the other house because it was raining there"
    tokenizer.train_from_iterator([text], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    )
