"""How numbers are written for people: digits, units and signs, the same in every format."""

from __future__ import annotations

MINUS = "−"


def fixed(value: float, digits: int = 3) -> str:
    """Return `value` with a fixed number of decimals and no negative zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS) if float(text) else f"{0:.{digits}f}"


def short(value: float) -> str:
    """Return `value` with three significant digits, for quantities of unknown scale such as activations."""
    return "0" if value == 0 else _plain_exponent(f"{value:#.3g}".removesuffix(".")).replace("-", MINUS)


def chance(value: float) -> str:
    """Return a p- or q-value: three decimals, or an exponent where those would all be zero."""
    return f"{value:.3f}" if value >= 0.001 or value == 0 else _plain_exponent(f"{value:.1e}")


def percent(value: float) -> str:
    """Return a share of one as a percentage that keeps two significant digits when it is small."""
    scaled = 100 * value
    text = f"{scaled:.1f} %" if abs(scaled) >= 1 or scaled == 0 else f"{scaled:.2g} %"
    return text.replace("-", MINUS)


def count(value: int) -> str:
    """Return a count with thousands separated."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """Return a duration in seconds, from two minutes on also in minutes."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _plain_exponent(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else text


def counted(n: int, one: str, several: str) -> str:
    """Return a number with its word, in the form that fits it."""
    return f"{n:,} {one if n == 1 else several}"
