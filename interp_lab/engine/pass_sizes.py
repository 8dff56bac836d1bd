"""How large passes of edited runs are on a processor, from the width of the model. Torch-free, for plans."""

from __future__ import annotations

from typing import Final

WIDE: Final = 512
"""Width of a model from which oneDNN pays where shapes differ: measured 0.6, 0.8, 1.1 and 1.2 times as fast at 160,
256, 512 and 768."""
_VALUES, _LEAST, _MOST = 2**19, 512, 2048
"""Values in the stream of one pass, and its tokens at least and at most: what is larger leaves the processor's cache,
and what is smaller spends more on calls than on products."""


def edited_tokens(d_model: int) -> int:
    """Return the tokens of one edited pass."""
    return min(max(_VALUES // d_model, _LEAST), _MOST)
