"""Standard output belongs to the protocol alone; it is taken before anything is imported that could print."""

from __future__ import annotations

import os
from typing import NamedTuple


class Wire(NamedTuple):
    """The two file descriptors that the protocol is spoken over."""

    stdin: int
    stdout: int


def take_wire() -> Wire:
    """Return private copies of standard input and output; what prints from now on goes to standard error."""
    wire = Wire(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wire
