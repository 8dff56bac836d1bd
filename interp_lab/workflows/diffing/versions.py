"""Whether one model can be a version of another, by the headers of their weight files. Torch-free, for plans."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from interp_lab.errors import InvalidRequest
from interp_lab.models.weights import Stored, read_stored

_NAMED = 3


def refuse_strangers(base: Path, changed: Path) -> tuple[str, str]:
    """Return the number formats of both models on disk, in words, if one can be a version of the other.

    A tensor that only one of them stores may be tied in the other, so names in common decide.

    Raises:
        InvalidRequest: They have no weight in common, or one of another shape.
        UnsafeWeights, InvalidModel, CorruptWeights: They cannot be read.
    """
    before, after = read_stored(base), read_stored(changed)
    shared = [name for name in before if name in after]
    differ = [name for name in shared if before[name].shape != after[name].shape]
    if differ or not shared:
        told = ", ".join(f"{n} {_shape(before[n])} and {_shape(after[n])}" for n in differ[:_NAMED])
        raise InvalidRequest(
            f"The two models do not have the same weights by name and shape: {told or 'no name in common'}.",
            remedy="For models of different shape call compare.",
        )
    return _formats(before), _formats(after)


def _shape(stored: Stored) -> str:
    return "x".join(map(str, stored.shape)) or "scalar"


def _formats(stored: dict[str, Stored]) -> str:
    counts = Counter(each.dtype for each in stored.values())
    return ", ".join(f"{count} {dtype}" for dtype, count in counts.most_common())
