"""How fast models were measured to run here: one small record per model and device, written by runs, read by plans.

Torch-free, so that a server can tell from an earlier run how long the next one will take.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from pydantic import AwareDatetime, PositiveFloat, PositiveInt, ValidationError

from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.base import Contract
from interp_lab.models.facts import ModelFacts

_FOLDER = "rates"


class Rate(Contract):
    """A measured rate of multiply-adds through one model on one machine."""

    model: str
    """Id of the model."""
    device: str
    """Where it ran."""
    macs_per_s: PositiveFloat
    """Multiply-adds of weight matrices per second, everything else included in the time."""
    n_tokens: PositiveInt
    """Tokens that it was measured on."""
    measured_at: AwareDatetime
    """When."""
    job_id: str | None = None
    """The job that measured it."""
    sizes: tuple[PositiveInt, ...] = ()
    """Of a dictionary that trained alone: inputs and latents."""


def macs_per_token(facts: ModelFacts, depth: int | None) -> int | None:
    """Return the multiply-adds of weight matrices for one token up to and with block `depth`, None for the whole model.

    Absent where the weight files do not tell: from the number of parameters, embedding and head apart.
    """
    n_vocab, d_mlp = facts.n_vocab, facts.d_mlp or 4 * facts.d_model
    if n_vocab is None:
        return None
    block = 4 * facts.d_model**2 + (2 if facts.family.name in _TWO_MATRICES else 3) * facts.d_model * d_mlp
    head = n_vocab * facts.d_model if depth is None else 0
    return block * (facts.n_layers if depth is None else depth + 1) + head


_TWO_MATRICES = frozenset(
    {"gpt2", "gpt_neox", "gpt_neox_sequential", "opt", "opt_post_norm", "bert", "roberta", "phi", "bart", "mbart"}
)


def record_rate(root: Path, fingerprint: str, rate: Rate) -> None:
    """Keep a rate below the lab's own folder; the last one counts."""
    folder = root / _FOLDER
    folder.mkdir(exist_ok=True)
    write_durably(folder / _name(fingerprint, rate.device), rate.model_dump_json().encode())


def known_rate(root: Path, fingerprint: str, device: str) -> Rate | None:
    """Return the rate that was measured for these model files on this machine, or None."""
    try:
        return Rate.model_validate_json((root / _FOLDER / _name(fingerprint, device)).read_bytes())
    except (OSError, ValidationError):
        return None


def _name(fingerprint: str, device: str) -> str:
    machine = f"{platform.node()}\0{platform.machine()}\0{device}"
    return hashlib.sha256(f"{fingerprint}\0{machine}".encode()).hexdigest()[:32] + ".json"
