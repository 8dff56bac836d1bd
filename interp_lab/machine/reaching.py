"""Whether clusters answer, asked briefly: commands on the path and an address that is set say nothing of that."""

from __future__ import annotations

import json
import subprocess
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

ANSWER_S = 3.0
_LONGEST = 200


class Answer(NamedTuple):
    """What a cluster said."""

    there: bool
    words: str


def ask_slurm(command: str = "sinfo", *, within_s: float = ANSWER_S) -> Answer:
    """Return how many nodes slurmctld lists that can run jobs, or why nothing is known of them."""
    options = ("--noheader", "--responding", "--states=idle,mixed,allocated,completing", "--format=%P %D")
    try:
        done = subprocess.run(  # noqa: S603  # Slurm's own command with arguments of ours
            [command, *options], capture_output=True, text=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(there=False, words=f"slurmctld did not answer within {within_s:.0f} s (try scontrol ping)")
    except OSError as error:
        return Answer(there=False, words=f"{command} cannot be run: {error.strerror}")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Answer(there=False, words=f"slurmctld does not answer (try scontrol ping): {said[:_LONGEST]}")
    nodes = [int(row[-1]) for line in done.stdout.splitlines() if (row := line.split()) and row[-1].isdigit()]
    if not sum(nodes):
        return Answer(there=False, words="slurmctld answers, but lists no node that is up (try sinfo -R)")
    return Answer(there=True, words=f"slurmctld answers: {len(nodes)} partitions, {max(nodes)} nodes up in the largest")


def ask_ray(address: str, *, within_s: float = ANSWER_S) -> Answer:
    """Return which Ray answers at the address of its dashboard, or why none does."""
    if not address.startswith(("http://", "https://")):
        return Answer(there=False, words=f"{address[:80]!r} is no address like http://head:8265")
    try:
        with urlopen(f"{address.rstrip('/')}/api/version", timeout=within_s) as reply:  # noqa: S310  # http, as checked
            version: object = json.load(reply).get("ray_version")
    except (OSError, HTTPException, ValueError, AttributeError) as error:
        why = str(error.reason) if isinstance(error, URLError) else str(error)
        return Answer(there=False, words=f"{address[:80]} does not answer within {within_s:.0f} s: {why[:_LONGEST]}")
    return Answer(there=True, words=f"Ray {str(version)[:40]} answers at {address[:80]}")
