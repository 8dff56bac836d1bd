# pyright: standard

"""Matryoshka BatchTopK: BatchTopK whose first latents alone, and first more latents alone, must reconstruct too.

Source: Bussmann et al. 2025 (arXiv 2503.17547), section 3. Loss: sum of the squared errors of all nested prefixes. The
paper's groups are drawn anew; here, as in SAELens, they are fixed: by default 1/16, 1/8, 1/4 and all of the latents.
"""

from __future__ import annotations

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.architectures.batchtopk import BatchTopK

_PREFIXES = (16, 8, 4, 1)


class Matryoshka(BatchTopK):
    """BatchTopK with nested groups."""

    name = "matryoshka"

    def group_sizes(self, config: DictionaryConfig) -> tuple[int, ...]:
        """Return the sizes of the nested groups, first to last."""
        if config.group_sizes:
            return config.group_sizes
        ends = sorted({config.n_latents // part for part in _PREFIXES} - {0})
        return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
