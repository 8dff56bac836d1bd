"""What the peer's intervention command does per run, timed in a process that sees the peer's package under our name.

`python peer_runs.py MODEL_FOLDER REQUEST.json`: the request has texts, runs (layer, dimension, value) and target ids;
one JSON object comes back. A run is an edited pass beside an unedited one of its own, as the peer's loop makes it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp_lab.hf_interventions import _score_prompt  # the peer's package stands first on the path


def main() -> None:
    """Print scores and CPU seconds."""
    folder, request = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(1)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt: Any = SimpleNamespace(text=request["text"])
    common = {"device": "cpu", "max_length": 128}
    with torch.no_grad():
        _score_prompt(model, tokenizer, prompt, request["targets"], **common)
        start, scores = time.process_time(), []
        for layer, dimension, value in request["runs"]:
            before = _score_prompt(model, tokenizer, prompt, request["targets"], **common)
            edit = (layer, dimension, value)
            after = _score_prompt(model, tokenizer, prompt, request["targets"], ablation=edit, **common)
            scores.append((before, after))
    print(json.dumps({"cpu_s": time.process_time() - start, "scores": scores}))


if __name__ == "__main__":
    main()
