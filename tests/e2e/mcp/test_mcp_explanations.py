"""A real client explains a latent, labels what comes back blind, and finds the score on the latent's card."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import counting_lab
import pytest
from mcp import Client, StdioServerParameters

from tests.truth.feature_stores import KILO, PLANTED, make_planted

LATENT = {"store": "store", "dictionary": "sae", "unit": PLANTED}


@pytest.mark.anyio
async def test_the_real_client_has_its_explanation_graded_blind_and_reads_the_score_on_the_card(tmp_path: Path) -> None:
    make_planted(tmp_path)
    environment = {**os.environ, "PYTHONPATH": counting_lab.python_path()}
    arguments = ["-m", "interp_lab_server", "serve", "--toolsets", "core,explain"]
    command = StdioServerParameters(command=sys.executable, args=arguments, cwd=tmp_path, env=environment)
    async with Client(command) as client:

        async def step(**given: Any) -> dict[str, Any]:
            answer = await client.call_tool("explain_latent", {"step": given})
            assert not answer.is_error, answer.content
            return answer.structured_content

        evidence = await step(kind="evidence", latent=LATENT)
        follow = evidence["agent_next_actions"][0]
        breaks = await client.call_tool(follow["tool"], follow["arguments"])
        asked = await step(kind="submit", latent=LATENT, explanation="the unit kilo", n_items=8)
        challenge = asked["challenge"]
        labels = {
            "detection": [KILO in text for text in challenge["detection"]],
            "fuzzing": [f"⟦{KILO}⟧" in text for text in challenge["fuzzing"]],
            "intruder": [1 for _ in challenge["intruder"]],
        }
        scored = await step(kind="label", challenge=challenge["id"], **labels)
        again = await client.call_tool("explain_latent", {"step": {"kind": "label", "challenge": challenge["id"]}})
        card = (await client.call_tool("show_feature", LATENT)).structured_content
    assert not breaks.is_error
    assert {score["kind"]: score["accuracy"] for score in scored["record"]["scores"]}["detection"] == 1
    assert again.structured_content["code"] == "challenge_spent"
    assert card["explanations"][0].startswith("“the unit kilo” (asserted; detection 1.00 [")
