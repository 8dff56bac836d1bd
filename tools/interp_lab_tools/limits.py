"""What the lab will not exceed in one request or answer."""

from typing import Final

INLINE_PROMPTS: Final = 5000
"""Prompts that fit into a request."""

INPUT_BYTES: Final = 256 * 2**20
"""Size of a prompt file."""

ANSWER_CHARS: Final = 20_000
"""Size of one answer; the rest is read from the artifact."""
