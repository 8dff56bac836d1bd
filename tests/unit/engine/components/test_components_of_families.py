"""Components of every family add up to its model, or the model is refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch

from interp_lab.engine.components.passes import ComponentGraph
from interp_lab.errors import ImpossiblePath
from interp_lab.models.tokens import tokenize

if TYPE_CHECKING:
    from interp_lab.models.load import LoadedModel

DECODERS = ("gpt2", "gpt_neox", "llama", "qwen3", "gemma2", "phi", "opt")
TEXTS = {"a": "One two three four", "b": "Two three", "c": "Seven eight nine ten one two"}


@pytest.mark.parametrize("family", DECODERS)
def test_components_add_up_and_an_ablated_reader_sees_what_it_is_told(
    family: str, load_tiny: Callable[[str], LoadedModel]
) -> None:
    loaded = load_tiny(family)
    prompts = tokenize(loaded, TEXTS)
    graph = ComponentGraph(loaded, prompts)
    parts = graph.components
    assert parts.splits_heads is (family != "gemma2")
    assert parts.learned_positions is (family in ("gpt2", "opt"))
    (batch,) = graph.batches(prompts)
    with torch.no_grad():
        whole = graph(batch, graph.all_kept)
        same = graph(batch, torch.zeros_like(graph.all_kept), whole.writes)
        none = graph(batch, torch.zeros_like(graph.all_kept))
    torch.testing.assert_close(same.logits, whole.logits, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(none.logits, whole.logits, atol=1e-2)


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("ablated", [False, True])
def test_a_pass_that_begins_where_an_earlier_one_differs_equals_a_whole_one(
    family: str, load_tiny: Callable[[str], LoadedModel], *, ablated: bool
) -> None:
    loaded = load_tiny(family)
    prompts = tokenize(loaded, TEXTS)
    graph = ComponentGraph(loaded, prompts)
    readers = graph.components.readers
    (batch,) = graph.batches(prompts)
    started: list[int] = []
    with torch.no_grad():
        other = graph(batch, graph.all_kept).writes.flip(1) if ablated else None
        known = [graph(batch, graph.all_kept, other)]
        for reader in ("logits", readers[-2], readers[len(readers) // 2], readers[0]):
            gates = known[-1].gates.clone()
            gates[readers.index(reader), 0] = 0.0
            whole = graph(batch, gates, other)
            resumed = graph(batch, gates, other, known=known)
            torch.testing.assert_close(resumed.logits, whole.logits, atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(resumed.writes, whole.writes, atol=1e-6, rtol=1e-6)
            started.append(resumed.start)
            known.append(resumed)
    assert started == [3, 2, 1, 0]
    assert not torch.equal(resumed.logits, known[0].logits)


def test_a_stream_that_passes_through_norms_is_refused(load_tiny: Callable[[str], LoadedModel]) -> None:
    loaded = load_tiny("opt_post_norm")
    with pytest.raises(ImpossiblePath):
        ComponentGraph(loaded, tokenize(loaded, TEXTS))
