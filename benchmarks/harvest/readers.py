"""Every way of reading activations that is compared, each as its own documentation shows it."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
from subject import BATCH, BUFFER, CONTEXT, TRAIN_BATCH, Read, Subject
from torch import Tensor

from interp_lab.engine.attention import product_attention
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.stream import StreamSettings, default_plan, stream
from interp_lab.engine.sweep import sweep
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


def hf_hidden_states(subject: Subject) -> Read:
    """Plain Hugging Face."""

    def read(ids: Tensor) -> Tensor:
        with torch.no_grad():
            states = [
                subject.loaded.model(input_ids=part, output_hidden_states=True).hidden_states[subject.layer + 1]
                for part in ids.split(BATCH)
            ]
        return torch.cat(states).flatten(0, 1)

    return read


def hf_no_head(subject: Subject) -> Read:
    """Hugging Face without the language-model head."""

    def read(ids: Tensor) -> Tensor:
        base: Any = subject.loaded.model.base_model
        with torch.no_grad():
            states = [
                base(input_ids=part, output_hidden_states=True, use_cache=False).hidden_states[subject.layer + 1]
                for part in ids.split(BATCH)
            ]
        return torch.cat(states).flatten(0, 1)

    return read


def lens_model(subject: Subject) -> Any:
    """The same weights in TransformerLens."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    shape = subject.shape
    config = HookedTransformerConfig(
        n_layers=shape.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_head=shape.d_model // shape.n_heads,
        n_ctx=shape.n_positions,
        d_vocab=shape.n_vocabulary,
        act_fn="gelu_new",
        normalization_type="LN",
        device="cpu",
    )
    model = HookedTransformer(config)
    model.load_state_dict(convert_gpt2_weights(subject.loaded.model, config), strict=False)
    return model.eval()


def transformer_lens(subject: Subject, model: Any) -> Read:
    """names_filter and stop_at_layer, as sae-lens does."""
    name = f"blocks.{subject.layer}.hook_resid_post"

    def read(ids: Tensor) -> Tensor:
        with torch.no_grad():
            caches = [
                model.run_with_cache(
                    part, names_filter=[name], stop_at_layer=subject.layer + 1, return_type=None, prepend_bos=False
                )[1][name]
                for part in ids.split(BATCH)
            ]
        return torch.cat(caches).flatten(0, 1)

    return read


def nnsight(subject: Subject) -> Read:
    """trace, save and stop."""
    from nnsight import LanguageModel

    model: Any = LanguageModel(subject.loaded.model, tokenizer=subject.loaded.tokenizer)
    layer = subject.layer

    def one(part: Tensor) -> Tensor:
        with torch.no_grad(), model.trace(part) as tracer:
            state = model.transformer.h[layer].output.save()
            tracer.stop()
        return state[0] if isinstance(state, tuple) else state

    def read(ids: Tensor) -> Tensor:
        return torch.cat([one(part) for part in ids.split(BATCH)]).flatten(0, 1)

    return read


def ours(loaded: LoadedModel, address: Address) -> Read:
    """This engine, in passes as it plans them."""
    plan = default_plan(loaded, [address])

    def read(ids: Tensor) -> Tensor:
        texts = ids.tolist()
        result = torch.empty((len(texts), ids.shape[1], loaded.facts.d_model), dtype=loaded.dtype)
        with matmul_precision(), fused_activations(loaded), product_attention(loaded):
            for swept in sweep(loaded, texts, [address], plan):
                result[list(swept.pieces)] = swept.values[address].unflatten(0, (len(swept.pieces), -1))
        return result.flatten(0, 1)

    return read


def json_export(subject: Subject) -> Read:
    """Plain Hugging Face, then one JSON object per token, as record exporters write them."""
    plain = hf_hidden_states(subject)

    def read(ids: Tensor) -> Tensor:
        values = plain(ids)
        with tempfile.TemporaryFile("w") as file:
            for row, (token, value) in enumerate(zip(ids.flatten().tolist(), values, strict=True)):
                record = {"prompt_id": row // CONTEXT, "token_index": row % CONTEXT, "token": token}
                file.write(json.dumps(record | {"activations": value.tolist()}) + "\n")
        return values

    return read


def sae_lens_store(subject: Subject, model: Any, *, autocast: bool = False) -> Callable[[], Iterator[Tensor]]:
    """sae-lens' own loop: pretokenised contexts through a mixing buffer; `autocast` is its fastest setting."""
    from datasets import Dataset
    from sae_lens import ActivationsStore

    dataset = Dataset.from_dict({"input_ids": subject.contexts.tolist()})

    def start() -> Iterator[Tensor]:
        return iter(
            ActivationsStore(
                model=model,
                dataset=dataset,
                streaming=False,
                hook_name=f"blocks.{subject.layer}.hook_resid_post",
                hook_head_index=None,
                context_size=CONTEXT,
                d_in=subject.shape.d_model,
                n_batches_in_buffer=BUFFER // CONTEXT,
                total_training_tokens=10**9,
                store_batch_size_prompts=BATCH,
                train_batch_size_tokens=TRAIN_BATCH,
                prepend_bos=False,
                normalize_activations="none",
                device=torch.device("cpu"),
                dtype="float32",
                autocast_lm=autocast,
            )
        )

    return start


def our_stream(subject: Subject, loaded: LoadedModel) -> Callable[[], Iterator[Tensor]]:
    """Shuffled batches from a buffer of the same size."""
    plan = default_plan(loaded, [subject.address])

    def start() -> Iterator[Tensor]:
        texts = itertools.cycle(subject.contexts.tolist())
        settings = StreamSettings(TRAIN_BATCH, BUFFER, read_tokens=2048)
        return (batch[subject.address] for batch in stream(loaded, texts, [subject.address], settings, plan=plan))

    return start
