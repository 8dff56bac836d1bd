"""What edited runs cost, from files and the request alone. Torch-free, so that a plan can say it.

Time is a sum of what a run of any size takes, and what each prompt, edited run, multiply-add, written token and score
of attention takes. These speeds are those of one ordinary processor core; runs of this workspace then say how much
faster or slower this machine is with this model.
"""

from __future__ import annotations

import hashlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from pydantic import PositiveFloat, ValidationError

from interp_lab.artifacts.durable import write_durably
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.base import Contract
from interp_lab.contracts.models import ModelRef
from interp_lab.engine.pass_sizes import WIDE, edited_tokens
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import known_rate, macs_per_token
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import device_key

ASSUMED_RATE = 5e9
"""Multiply-adds per second of one processor core that are taken for granted before anything was measured."""
TOKEN_CHARACTERS = 3
"""Fewer than most tokenizers put into a token, so that counts are upper estimates."""

Speeds = tuple[float, float, float, float, float, float]
"""Seconds of any run, a prompt, an edited run, a multiply-add, a written token and a score of attention."""
_SECONDS: Speeds = (2.8, 3e-3, 3.7e-5, 3.7e-11, 4.2e-4, 2e-9)
"""Fitted to 18 runs of `intervene` in two small models (non-negative least squares of relative errors)."""
ONE_BY_ONE: Final[Speeds] = (2.0, 1e-2, 3e-5, 2.7e-11, 6e-4, 0.0)
"""Of runs that take prompts one by one, so that each costs passes of its own."""
_KEPT: Final = 8
LIBRARIES: Final = 440 * 2**20
"""Resident memory of a process that has opened a small model."""
_KERNELS: Final = 600 * 2**20
"""What the kernels take that oneDNN makes for shapes of products and keeps, 1,024 at most, where passes use it."""
_LOGITS, _READ, _READ_TOKENS = 4, 2, 2048
"""Logits of every token of a pass that are there at once: as they come, as they are read, and while their probabilities
are summed; the same in the pass that reads the units' own values, and its tokens."""
_ALIVE = 8
"""Tensors of the MLP's width that are alive in a pass."""


INTERVENE: Final = "intervene"
"""The kind of runs whose speeds are kept together, where no other is named."""


def idle_seconds(began: tuple[float, float]) -> float:
    """Return the seconds since then (of the clock, of the process) on a machine with nothing else to do.

    That is what this process used, if it had to wait for others.
    """
    return min(time.perf_counter() - began[0], time.process_time() - began[1])


class Pace(Contract):
    """How long runs of one model took here, over what a plan would have said."""

    ratios: tuple[PositiveFloat, ...]
    """Of the last runs."""


@dataclass(frozen=True, slots=True)
class Work:
    """How much is to be done."""

    n_prompts: int
    n_rows: int
    """Edited runs."""
    macs: float
    n_written: int
    """Tokens to be written."""
    n_scores: float = 0.0
    """Pairs of tokens that heads compare."""
    speeds: Speeds = _SECONDS
    """How long each of these takes."""

    @property
    def seconds(self) -> float:
        """Seconds on an ordinary core."""
        counts = (1, self.n_prompts, self.n_rows, self.macs, self.n_written, self.n_scores)
        return sum(each * count for each, count in zip(self.speeds, counts, strict=True))


def peak_bytes(facts: ModelFacts) -> int:
    """Return the estimated memory at the peak: libraries, the weights, and one pass."""
    beside = bytes_beside_weights(facts.d_model, facts.d_mlp or 4 * facts.d_model, facts.n_vocab or 0)
    return facts.weights.n_bytes + beside


def bytes_beside_weights(d_model: int, d_mlp: int, n_vocab: int) -> int:
    """Return the estimated memory of libraries and one pass, however many units are edited: runs go in passes.

    Largest are passes over negatives, of which the logits of every token are read.
    """
    tokens = edited_tokens(d_model)
    logits = max(_LOGITS * tokens, _READ * _READ_TOKENS) * n_vocab
    return LIBRARIES + kernel_bytes(d_model) + 4 * (_ALIVE * tokens * d_mlp + logits)


def kernel_bytes(d_model: int) -> int:
    """Return the memory of compiled products, which a model that wide has made."""
    return _KERNELS if d_model >= WIDE else 0


def planned_seconds(work: Work, model: ModelRef, settings: Settings, *, kind: str = INTERVENE) -> tuple[float, str]:
    """Return the estimated seconds of a run on an otherwise idle core, and what the estimate rests on.

    Before there was a run of its kind, runs of `intervene` say how fast the model is here.
    """
    pace = earlier_pace(model, settings, kind=kind)
    if pace is None:
        return round(work.seconds, 1), "an ordinary processor core; runs of this model here will correct it"
    return round(work.seconds * pace[0], 1), pace[1]


def cost_in_words(seconds: float | None, peak: int | None) -> str:
    """Return what follows in a sentence on a plan: the time and the memory, as far as they are known."""
    time = "" if seconds is None else f", about {seconds:g} s"
    return time + ("" if peak is None else f" and {peak / 2**20:.0f} MiB")


def earlier_pace(model: ModelRef, settings: Settings, *, kind: str = INTERVENE) -> tuple[float, str] | None:
    """Return how many times as long as on an ordinary core runs took here, and which; None before the first."""
    pace = _read(_file(model, settings, kind)) or _read(_file(model, settings, INTERVENE))
    if pace is None:
        return None
    return median(
        pace.ratios
    ), f"{len(pace.ratios)} earlier {'run' if len(pace.ratios) == 1 else 'runs'} of this model here"


def record_pace(work: Work, seconds: float, model: ModelRef, settings: Settings, *, kind: str = INTERVENE) -> None:
    """Keep how long a run took, beside what a plan says of it; the last few of a kind count."""
    path = _file(model, settings, kind)
    before = _read(path)
    ratios = (*(() if before is None else before.ratios), max(1e-3, seconds / work.seconds))[-_KEPT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, Pace(ratios=ratios).model_dump_json().encode())


def seconds_for(
    model: ModelRef, facts: ModelFacts, n_tokens: int, settings: Settings
) -> tuple[float | None, str | None]:
    """Return the estimated seconds for so many tokens through the whole model, and what the estimate rests on."""
    macs = macs_per_token(facts, None)
    if not macs:
        return None, None
    rate = known_rate(WorkspacePaths.of(settings).root, fingerprint(model, settings), _device(model, settings))
    if rate is not None:
        return max(0.1, round(n_tokens * macs / rate.macs_per_s, 1)), "an earlier harvest of this model here"
    return max(0.1, round(n_tokens * macs / ASSUMED_RATE, 1)), "an assumed speed; a harvest of this model measures it"


def _device(model: ModelRef, settings: Settings) -> str:
    dtype = "float32" if model.dtype in ("auto", "int8") else model.dtype
    return device_key("cpu", dtype, settings.threads_per_slot())


def _file(model: ModelRef, settings: Settings, kind: str) -> Path:
    machine = f"{platform.node()}\0{platform.machine()}\0{_device(model, settings)}\0{model.device}"
    name = hashlib.sha256(f"{kind}\0{fingerprint(model, settings)}\0{machine}".encode()).hexdigest()[:32]
    return WorkspacePaths.of(settings).root / "rates" / f"pace-{name}.json"


def _read(path: Path) -> Pace | None:
    try:
        return Pace.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
