"""Attribution graphs: every edge equals an intervention, and an exact transcoder leaves no error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.models import ModelRef
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.engine.graphs.linear import FrozenPrompt, Placed, freeze
from interp_lab.engine.graphs.nodes import Nodes, nodes_of, weights_of
from interp_lab.methods.graph_influence import scores
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.reference import fetch
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

TEXT = {"a": "The cat sat on the mat"}


def placed_of(own: Dictionary, layer: int) -> Placed:
    reads, writes = Address("mlp_in", layer), Address("mlp_out", layer)
    return Placed(f"layer {layer}", reads, writes, own.encode, own.W_enc, own.W_dec, own.b_dec)


def random_transcoder(loaded: LoadedModel, layer: int, n_latents: int = 40) -> Placed:
    generator = torch.Generator().manual_seed(layer)
    width = loaded.facts.d_model
    config = DictionaryConfig(
        kind="transcoder", architecture="relu", d_in=width, d_out=width, n_latents=n_latents,
        apply_b_dec_to_input=False, addresses_in=(f"mlp_in.{layer}",), addresses_out=(f"mlp_out.{layer}",),
    )  # fmt: skip

    def draw(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    dictionary = Dictionary(config, draw(width, n_latents), draw(n_latents, width), draw(width), b_enc=draw(n_latents))
    return placed_of(dictionary, layer)


def without(frozen: FrozenPrompt, nodes: Nodes, source: int) -> tuple[dict[Address, torch.Tensor], torch.Tensor]:
    """Take one source away, everything held as it was, by a forward pass; return what dictionaries read, and logits."""
    at = {cut: frozen.values[cut].clone()[None] for cut in frozen.cuts}
    at[nodes.cuts[source]][0, nodes.sources[source].pos] -= nodes.vectors[source]
    seen: dict[Address, torch.Tensor] = {}
    with torch.no_grad():
        logits = frozen.forward(at, seen)
    return {address: value.reshape(len(frozen.base.ids), -1) for address, value in seen.items()}, logits[0, -1]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "qwen2"])
def test_every_edge_is_the_fall_of_its_target_when_its_source_is_taken_away(
    family: str, load_tiny: Callable[[str], LoadedModel]
) -> None:
    loaded = load_tiny(family)
    (prompt,) = tokenize(loaded, TEXT)
    placed = [random_transcoder(loaded, 0), random_transcoder(loaded, 2)]  # layer 1 is an error throughout
    frozen = freeze(loaded, prompt, placed)
    nodes = nodes_of(frozen, placed, max_features=60, n_logits=3, mass=1.0)
    weights = weights_of(frozen, placed, nodes)
    kinds = {node.kind for node in nodes.all}
    assert kinds == {"embedding", "feature", "error", "logit"}
    n = len(nodes.sources)
    whole = _inputs(nodes, placed, {a: frozen.values[a] for a in frozen.values}, frozen.logits)
    largest = 0.0
    for source in range(n):
        seen, logits = without(frozen, nodes, source)
        fallen = whole - _inputs(nodes, placed, seen, logits)
        np.testing.assert_allclose(weights[:, source], fallen, atol=2e-4 * np.abs(weights).max() + 1e-6)
        largest = max(largest, float(np.abs(fallen).max()))
    assert largest > 1e-3
    assert not weights[:n][[node.kind != "feature" for node in nodes.sources]].any()


def _inputs(nodes: Nodes, placed: list[Placed], seen: dict[Address, torch.Tensor], logits: torch.Tensor) -> np.ndarray:
    """What every latent and logit node reads; 0 for nodes that are no targets."""
    found = []
    for node in nodes.all:
        if node.kind == "feature":
            each = placed[node.dictionary or 0]
            found.append(float(seen[each.reads][node.pos] @ each.reading[:, node.which]))
        elif node.kind == "logit":
            found.append(float(logits[node.which] - logits.mean()))
        else:
            found.append(0.0)
    return np.array(found)


def test_an_edge_of_a_pass_that_is_not_held_is_another_number(load_tiny: Callable[[str], LoadedModel]) -> None:
    """The negative twin: with attention and norms free, taking a source away does not give the weight."""
    loaded = load_tiny("gpt2")
    (prompt,) = tokenize(loaded, TEXT)
    placed = [random_transcoder(loaded, 0), random_transcoder(loaded, 2)]
    frozen = freeze(loaded, prompt, placed)
    nodes = nodes_of(frozen, placed, max_features=60, n_logits=3, mass=1.0)
    weights = weights_of(frozen, placed, nodes)
    ids = torch.tensor([list(prompt.ids)])
    with torch.no_grad():
        embedded = loaded.model(input_ids=ids, output_hidden_states=True)
        base = embedded.hidden_states[0]
        changed = loaded.model(inputs_embeds=loaded.model.get_input_embeddings()(ids) - _one(base, 0)).logits[0, -1]
    logits = embedded.logits[0, -1]
    target = nodes.logits[0].which or 0
    fallen = float((logits[target] - logits.mean()) - (changed[target] - changed.mean()))
    assert abs(fallen - weights[len(nodes.sources), 0]) > 0.05 * abs(fallen)


def _one(stream: torch.Tensor, pos: int) -> torch.Tensor:
    found = torch.zeros_like(stream)
    found[0, pos] = stream[0, pos]
    return found


def mlp_as_transcoder(loaded: LoadedModel, layer: int, silent: int) -> Placed:
    """The MLP of a hand-set block as a dictionary, its last `silent` latents removed."""
    mlp = loaded.blocks[layer].get_submodule("mlp")
    encoder, decoder = mlp.c_fc, mlp.c_proj  # type: ignore[union-attr]
    n_latents, width = decoder.weight.shape
    bias = encoder.bias.clone()
    bias[n_latents - silent :] = -1e9
    config = DictionaryConfig(
        kind="transcoder", architecture="relu", d_in=width, d_out=width, n_latents=n_latents,
        apply_b_dec_to_input=False, addresses_in=(f"mlp_in.{layer}",), addresses_out=(f"mlp_out.{layer}",),
    )  # fmt: skip
    own = Dictionary(config, encoder.weight.clone(), decoder.weight.clone(), decoder.bias.clone(), b_enc=bias)
    return placed_of(own, layer)


def test_scores_are_one_with_exact_transcoders_and_fall_as_latents_are_removed(tmp_path: Path) -> None:
    write_world(make_world("proportion", 1000, prompts=16), tmp_path / "world")
    loaded = load_model(fetch(ModelRef(id="model"), Settings(workspace=tmp_path / "world")))
    lines = (tmp_path / "world" / "prompts.jsonl").read_text().splitlines()
    texts = [row["text"] for row in map(json.loads, lines) if row["score"] >= 0.5]
    (prompt,) = tokenize(loaded, {"a": max(texts, key=len)})
    found: list[tuple[float, float]] = []
    n_latents = loaded.blocks[0].get_submodule("mlp").c_proj.weight.shape[0]  # type: ignore[union-attr]
    for silent in (0, n_latents - 1, n_latents):
        placed = [mlp_as_transcoder(loaded, layer, silent) for layer in range(2)]
        frozen = freeze(loaded, prompt, placed)
        nodes = nodes_of(frozen, placed, max_features=500, n_logits=5, mass=0.95)
        on = np.array([node.probability or 0.0 for node in nodes.all])
        of = scores(
            weights_of(frozen, placed, nodes),
            on,
            tokens=np.array([node.kind == "embedding" for node in nodes.all]),
            errors=np.array([node.kind == "error" for node in nodes.all]),
        )
        assert any(node.kind == "error" for node in nodes.all) is (silent > 0)
        found.append((of.replacement, of.completeness))
    assert found[0] == (pytest.approx(1.0), pytest.approx(1.0))
    assert found[0][0] >= found[1][0] >= found[2][0]
    assert found[0][1] >= found[1][1] >= found[2][1]
    assert found[2][0] < 0.99
    assert found[2][1] < 0.99


def residual_sae(loaded: LoadedModel, layer: int) -> Placed:
    generator = torch.Generator().manual_seed(100 + layer)
    width, n_latents = loaded.facts.d_model, 40

    def draw(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    config = DictionaryConfig(architecture="relu", d_in=width, d_out=width, n_latents=n_latents)
    own = Dictionary(config, draw(width, n_latents), draw(n_latents, width), draw(width), b_enc=draw(n_latents))
    place = Address("resid_post", layer)
    return Placed(f"sae {layer}", place, place, own.encode, own.W_enc, own.W_dec, own.b_dec)


def test_edges_through_saes_are_slopes_and_large_steps_differ(load_tiny: Callable[[str], LoadedModel]) -> None:
    """With MLPs in between an edge is the fall per unit for a small step; the whole source falls by another amount."""
    loaded = load_tiny("gpt2")
    (prompt,) = tokenize(loaded, TEXT)
    placed = [residual_sae(loaded, 0), residual_sae(loaded, 1)]
    frozen = freeze(loaded, prompt, placed)
    assert not frozen.stands_in
    nodes = nodes_of(frozen, placed, max_features=40, n_logits=2, mass=1.0)
    weights = weights_of(frozen, placed, nodes)
    whole = _inputs(nodes, placed, frozen.values, frozen.logits)
    n = len(nodes.sources)
    missed: list[float] = []
    for step in (1e-2, 3.0):
        worst = 0.0
        for source in range(n):
            at = {cut: frozen.values[cut].clone()[None] for cut in frozen.cuts}
            at[nodes.cuts[source]][0, nodes.sources[source].pos] -= step * nodes.vectors[source]
            seen: dict[Address, torch.Tensor] = {}
            with torch.no_grad():
                logits = frozen.forward(at, seen)
            read = {address: value.reshape(len(prompt), -1) for address, value in seen.items()}
            fallen = (whole - _inputs(nodes, placed, read, logits[0, -1])) / step
            worst = max(worst, float(np.abs(weights[:, source] - fallen).max()))
        missed.append(worst)
    assert missed[0] < 0.005 * float(np.abs(weights).max())
    assert missed[1] > 3 * missed[0]
