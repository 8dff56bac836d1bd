"""What training costs: weights, moments, memory at the peak, and time from what was measured. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from interp_lab.artifacts.checkpoints import KEPT
from interp_lab.artifacts.durable import free_bytes
from interp_lab.contracts.dictionaries import ArchitectureName
from interp_lab.dictionaries.formats.layout import n_parameters
from interp_lab.errors import DoesNotFit
from interp_lab.machine import hardware
from interp_lab.models.rates import Rate, known_rate, record_rate
from interp_lab.workflows.training.plan import Planned, columns_of

_FLOAT = 4
_BASE = 600 * 2**20
"""Libraries."""
_BUFFER_ROWS = 65_536
_TILES = 3
"""Copies of one tile of pre-activations."""
_LEAST_MEASURED_TOKENS = 10_000


class Bytes(NamedTuple):
    """Memory of all dictionaries of a run together."""

    parameters: int
    optimiser: int
    """Gradients and moments."""
    peak: int
    """An upper estimate."""


def memory(dictionaries: Sequence[Planned]) -> Bytes:
    """Return what the dictionaries take while they train side by side."""
    weights = sum(n_parameters(each.config) for each in dictionaries) * _FLOAT
    moments = sum(
        n_parameters(each.config) * _FLOAT * (3 if each.training.optimiser == "adam" else 2) for each in dictionaries
    )
    working = max(map(_working, dictionaries))
    columns = columns_of(tuple(dictionaries))
    width = sum(each.config.d_in + each.config.d_out for each in dictionaries) / max(1, len(dictionaries))
    buffer = int(_BUFFER_ROWS * width * len(columns)) * _FLOAT
    return Bytes(weights, moments, _BASE + weights + moments + working + buffer)


def disk(dictionaries: Sequence[Planned]) -> int:
    """Return the most bytes that a run takes on disk: checkpoints, one being written, and the dictionaries."""
    weights = sum(n_parameters(each.config) for each in dictionaries) * _FLOAT
    return (KEPT + 1) * sum(map(_saved, dictionaries)) + weights


def _saved(each: Planned) -> int:
    """Return the bytes of a checkpoint: weights and moments."""
    return n_parameters(each.config) * _FLOAT * (3 if each.training.optimiser == "adam" else 2)


def refuse_unfit_disk(dictionaries: Sequence[Planned], folder: Path, *, reserve: int = 0, written: int = 0) -> None:
    """Return if a run fits on the disk of `folder`, of which it has written so much already.

    Raises:
        DoesNotFit: It does not; says what could.
    """
    free = free_bytes(folder) - reserve + written
    needed = disk(dictionaries)
    if needed <= free:
        return
    fits = next((n for n in range(len(dictionaries) - 1, 0, -1) if disk(dictionaries[:n]) <= free), 0)
    if fits:
        remedy = f"{fits} of these {len(dictionaries)} dictionaries fit in one call; or free the space."
    else:
        n_latents = int(dictionaries[0].config.n_latents * max(0, free) / disk(dictionaries[:1]))
        remedy = f"About {n_latents:,} latents would fit at {dictionaries[0].place} (widths); or free the space."
    raise DoesNotFit(
        f"Checkpoints and dictionaries take up to {needed / 2**30:.1f} GiB; {max(0, free) / 2**30:.1f} GiB are free "
        "for them.",
        remedy=remedy,
    )


def refuse_unfit(dictionaries: Sequence[Planned], available: int | None = None) -> None:
    """Return if the dictionaries can train together in the memory that this machine, or the container, has for it.

    Raises:
        DoesNotFit: They cannot; says what could.
    """
    limit = hardware.memory().total if available is None else available
    needed = memory(dictionaries).peak
    if needed <= limit:
        return
    raise DoesNotFit(
        f"Training needs about {needed / 2**30:.1f} GiB; this machine has {limit / 2**30:.1f}.",
        remedy=_what_would(dictionaries, limit),
    )


def _what_would(dictionaries: Sequence[Planned], limit: int) -> str:
    one_by_one = [each for each in dictionaries if memory((each,)).peak <= limit]
    if len(dictionaries) > 1 and one_by_one:
        together = next(n for n in range(len(dictionaries), 0, -1) if n == 1 or memory(dictionaries[:n]).peak <= limit)
        return f"{together} of these {len(dictionaries)} dictionaries fit in one call; {len(one_by_one)} fit alone."
    smallest = min(dictionaries, key=lambda each: each.config.n_latents)
    spare = limit - memory((smallest,)).peak + _of_latents(smallest) * smallest.config.n_latents
    n_latents = int(spare // _of_latents(smallest))
    if n_latents < 1:
        return "Not even one latent fits beside the activations; use a machine with more memory."
    return f"About {n_latents:,} latents would fit at {smallest.place} (widths)."


def _of_latents(each: Planned) -> int:
    """Return the bytes that one latent takes."""
    copies = 4 if each.training.optimiser == "adam" else 3
    return (each.config.d_in + each.config.d_out) * copies * _FLOAT + _TILES * each.training.tile_rows * _FLOAT


def _working(each: Planned) -> int:
    config, training = each.config, each.training
    tile = _TILES * training.tile_rows * config.n_latents
    batch = 6 * training.batch_tokens * (config.d_in + config.d_out)
    pairs = 4 * training.batch_tokens * int(config.k or training.dense_above * config.n_latents)
    return (tile + batch + pairs) * _FLOAT


def multiply_adds(dictionaries: Sequence[Planned]) -> int:
    """Return those of encoding one token with every dictionary, to which the time of a step is nearly proportional."""
    return sum(each.config.d_in * each.config.n_latents for each in dictionaries)


def estimated_seconds(dictionaries: Sequence[Planned], root: Path, device: str) -> tuple[float, str] | None:
    """Return the time from a run of the same architecture here and where the figure comes from, or None."""
    rate = known_rate(root, _fingerprint(dictionaries), device)
    if rate is None:
        return None
    tokens = dictionaries[0].training.total_tokens
    seconds = tokens * multiply_adds(dictionaries) / rate.macs_per_s
    return seconds, f"a run of {rate.n_tokens:,} tokens here on {rate.measured_at:%Y-%m-%d}"


def known_step(architecture: ArchitectureName, root: Path) -> Rate | None:
    """Return how fast the last dictionary of that architecture trained on this machine's processor, or None."""
    return known_rate(root, _named(architecture), "cpu")


def remember_rate(
    dictionaries: Sequence[Planned], root: Path, measured: tuple[int, float], *, device: str, job: str | None
) -> None:
    """Keep how fast these trained here (tokens and seconds), for the plans of later requests."""
    tokens, seconds = measured
    if tokens < _LEAST_MEASURED_TOKENS or seconds <= 0 or not root.is_dir():
        return
    rate = Rate(
        model=_fingerprint(dictionaries),
        device=device,
        macs_per_s=tokens * multiply_adds(dictionaries) / seconds,
        n_tokens=tokens,
        measured_at=datetime.now(UTC),
        job_id=job,
        sizes=(dictionaries[0].config.d_in, dictionaries[0].config.n_latents) if len(dictionaries) == 1 else (),
    )
    record_rate(root, _fingerprint(dictionaries), rate)


def _fingerprint(dictionaries: Sequence[Planned]) -> str:
    return _named(dictionaries[0].config.architecture)


def _named(architecture: ArchitectureName) -> str:
    return f"train_sae {architecture}"
