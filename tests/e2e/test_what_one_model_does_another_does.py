# pyright: standard
"""Causal transfer over a real MCP client and real workers: a model beside a copy of it whose truth is known.

The copy is pocket-gpt2 with its residual coordinates in another order and one of them mute: it is written as before, so
it responds alike, and nothing reads it.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import torch
from mcp import Client, StdioServerParameters
from transformers import AutoModelForCausalLM

from interp_lab.contracts.models import ModelRef
from interp_lab.models.reference import locate
from interp_lab.settings import Settings
from interp_lab_tools.catalogue import BY_NAME

ORIGINAL = "builtin:pocket-gpt2"
PLACE = "resid_post.3"
"""Behind it only the final norm and the unembedding read."""
MUTE = 59
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")
Call = Callable[..., Awaitable[dict[str, Any]]]


def write_copy(folder: Path) -> list[int]:
    """Write the copy and return the old number of each of its coordinates."""
    source = locate(ModelRef(id=ORIGINAL), Settings(workspace=folder.parent))
    assert source is not None
    shutil.copytree(source.directory, folder)
    model = AutoModelForCausalLM.from_pretrained(source.directory)
    order = torch.randperm(model.config.n_embd, generator=torch.Generator().manual_seed(5))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in ("transformer.ln_f.weight", "transformer.ln_f.bias"):
        state[name][MUTE] = 0
    for name, tensor in state.items():
        if name.endswith(("wte.weight", "wpe.weight", "lm_head.weight", "c_proj.weight")):
            state[name] = tensor[:, order]
        elif ".ln_" in name or "ln_f" in name or name.endswith(("c_attn.weight", "c_fc.weight", "c_proj.bias")):
            state[name] = tensor[order]
    copy = type(model)(model.config)
    copy.load_state_dict(state)
    copy.save_pretrained(folder)
    return order.tolist()


def write_prompts(path: Path) -> None:
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=6)) for _ in range(30)]
    rows = [{"text": f"{stem} {end}", "score": score} for stem in stems for end, score in (("cat", 1), ("dog", 0))]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def index(unit: str) -> int:
    return int(unit.partition("#")[2])


def test_units_that_respond_alike_are_told_apart_by_what_they_do_and_a_carried_direction_by_what_it_does_there(
    tmp_path: Path,
) -> None:
    order = write_copy(tmp_path / "copy")
    write_prompts(tmp_path / "prompts.jsonl")
    anyio.run(_investigate, tmp_path, order)


async def _investigate(workspace: Path, order: list[int]) -> None:
    arguments = ["-m", "interp_lab_server", "serve", "--workspace", str(workspace), "--toolsets", "core,evidence"]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:

        async def call(tool: str, **asked: Any) -> dict[str, Any]:
            BY_NAME[tool].request.model_validate(asked)
            while True:
                result = await client.call_tool(tool, asked)
                assert not result.is_error, result.content
                view = result.structured_content
                if view["state"] in ("succeeded", "failed"):
                    assert view["state"] == "succeeded", view
                    return view
                tool, asked = "job_wait", {"job_id": view["job_id"], "wait_s": 20}

        offered = _respond_alike(await _first(call), order)
        _do_the_same(await call(offered["tool"], **offered["arguments"], n_controls=12, n_transfers=1), order)


async def _first(call: Call) -> dict[str, Any]:
    sides = {side: {"model": name, "addresses": [PLACE]} for side, name in (("left", ORIGINAL), ("right", "copy"))}
    asked = {"criterion": "ends in cat", "dataset": "prompts.jsonl", "pooling": "last", "n_units": 4}
    return await call("compare", **sides, **asked, n_permutations=199)


def _respond_alike(view: dict[str, Any], order: list[int]) -> dict[str, Any]:
    matches = view["result"]["matches"]
    assert {index(match["left"]) for match in matches} == {order[index(match["right"])] for match in matches}
    assert MUTE in {index(match["left"]) for match in matches}
    assert all(match["similarity"] > 0.999 and match["grade"] == "needs_causal_evidence" for match in matches)
    (offered,) = (action for action in view["agent_next_actions"] if action["tool"] == "compare")
    assert offered["arguments"]["matches"] == view["artifacts"][0]["id"]
    return offered


def _do_the_same(view: dict[str, Any], order: list[int]) -> None:
    matches = {index(match["left"]): match for match in view["result"]["matches"]}
    assert all(order[index(match["right"])] == left for left, match in matches.items())
    mute = matches.pop(MUTE)
    assert mute["grade"] == "weak"
    assert mute["similarity"] < 0.5
    confirmed = [match for match in matches.values() if match["grade"] != "weak"]
    assert confirmed
    for match in confirmed:
        assert match["similarity"] > 0.999
        assert abs(match["left_effect"] / match["right_effect"] - 1) < 0.01
    (carried,) = (match["transfer"] for match in matches.values() if "transfer" in match)
    assert carried["held_out_r2"] > 0.8
    assert carried["interval"][0] > carried["closest_control"]
    assert carried["q_value"] <= 0.05
    assert "1 (r up to" in view["summary"]
    assert "not held out" not in " ".join(view["warnings"])  # the same halves chose the pairs
