"""How a request names a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from interp_lab.contracts.base import Contract

DeviceName = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$")]


class ModelRef(Contract):
    """A model by local directory, hub id or builtin name, and how to load it."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        examples=["builtin:pocket-llama", "openai-community/gpt2", "models/my-model"]
    )
    """'builtin:NAME', a hub id 'owner/name', or a model directory inside the workspace."""
    revision: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,100}$")] | None = None
    """Branch, tag or commit of a hub model; the resolved commit is recorded."""
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    """Number format of the weights; 'auto' keeps the checkpoint's on an accelerator and float32 on a CPU; 'int8' rounds
    linear weights."""
    device: DeviceName = "auto"
    """Where the model runs; 'auto' takes an accelerator when there is one."""
