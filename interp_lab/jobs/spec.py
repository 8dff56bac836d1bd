"""What a job is asked to do: immutable, canonical on disk, and named by its hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.errors import JobFilesCorrupt
from interp_lab.settings import Settings

SlotKind = Literal["cpu", "gpu"]
SPEC_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One piece of work: a capability, its validated request, and what it needs to run."""

    capability: str
    request: Mapping[str, JsonValue]
    label: str = ""
    priority: int = 0
    """Higher runs first; equal ones run in the order of submission."""
    slot: SlotKind = "cpu"
    n_slots: int = 1
    """How many slots of its kind it has at once: one for each accelerator that it uses."""
    code_version: str = ""
    seed: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → hash or version of what the request reads, so that the same words about a changed file are new work."""
    warnings: tuple[str, ...] = ()
    """What the plan warned of; every view of the job repeats it."""
    trace: str = ""
    """W3C traceparent of the submission, if it was traced."""
    investigator: str = ""
    """Who asked, where the server was told; equal work of two is one job."""

    def auto_key(self) -> str:
        """Return the idempotency key of a submission without one: equal work has an equal key."""
        return "auto:" + sha256_hex(canonical_json([*self._work(), self.code_version]))

    def body_hash(self) -> str:
        """Return the hash by which a repeated request is told from a different one."""
        return sha256_hex(canonical_json(self._work()))

    def _work(self) -> list[JsonValue]:
        return [self.capability, dict(self.request), self.seed, dict(self.inputs)]


def needed_slots(spec: JobSpec, settings: Settings) -> int:
    """Return how many slots of this machine a job needs; on a cluster, its attendant needs one."""
    return spec.n_slots if settings.launcher == "local" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpec:
    """The content of a job's spec.json: enough to restore its row."""

    id: str
    spec: JobSpec
    key: str
    created_at: str
    resumes: str | None

    def encode(self) -> bytes:
        """Return the canonical bytes that are stored and hashed."""
        return canonical_json({"schema": SPEC_SCHEMA, **asdict(self)})


def decode_spec(data: bytes) -> StoredSpec:
    """Return the stored spec.

    Raises:
        JobFilesCorrupt: The bytes are not one.
    """
    try:
        raw: dict[str, Any] = json.loads(data)
        raw.pop("schema")
        body = raw.pop("spec")
        spec = JobSpec(**body | {"warnings": tuple(body.get("warnings", ()))})
        return StoredSpec(spec=spec, **raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JobFilesCorrupt("A spec.json cannot be read.") from error
