"""Tail probabilities and quantiles of the normal, Student t, Pearson II and III distributions, elementwise over arrays.

They exist because every process would pay for importing scipy's; tests hold them to scipy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats

_ROOT_HALF = math.sqrt(0.5)
_TINY = 1e-300
_WILSON_HILFERTY_FROM = 60.0
_LEAST_DF = 1e-3
_erfc = np.frompyfunc(math.erfc, 1, 1)
_lgamma = np.frompyfunc(math.lgamma, 1, 1)


def normal_tail(z: ArrayLike) -> Floats:
    """Return P(Z >= z) of a standard normal."""
    return 0.5 * np.asarray(_erfc(np.asarray(z, dtype=np.float64) * _ROOT_HALF), dtype=np.float64)


def normal_quantile(probability: float) -> float:
    """Return the z with P(Z <= z) = `probability`."""
    return NormalDist().inv_cdf(probability)


def log_gamma(x: ArrayLike) -> Floats:
    """Return log Γ(x) for x > 0."""
    return np.asarray(_lgamma(np.asarray(x, dtype=np.float64)), dtype=np.float64)


def student_tail(t: ArrayLike, df: ArrayLike) -> Floats:
    """Return P(T >= t) of Student's t with `df` degrees of freedom (not necessarily whole).

    Source: incomplete beta by continued fraction below 30 df; Hill (1970, CACM 13, Algorithm 395) from 30 on.
    """
    t, df = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(df, dtype=np.float64))
    tail = np.empty(t.shape)
    large = df >= 30
    tail[large] = normal_tail(_hill_deviate(np.abs(t[large]), df[large]))
    small = ~large
    tail[small] = 0.5 * _incomplete_beta(df[small] / (df[small] + t[small] ** 2), df[small] / 2)
    return np.where(t >= 0, tail, 1 - tail)


def student_critical(level: float, df: ArrayLike) -> Floats:
    """Return the t whose central interval has coverage `level`, for each of `df` >= 1.

    Source: Cornish-Fisher start (Abramowitz and Stegun 26.7.5), then Newton steps on `student_tail`.
    """
    df = np.atleast_1d(np.asarray(df, dtype=np.float64))
    target = (1 - level) / 2
    unique, inverse = np.unique(df, return_inverse=True)
    t = _cornish_fisher(normal_quantile(1 - target), unique)
    log_scale = log_gamma((unique + 1) / 2) - log_gamma(unique / 2) - 0.5 * np.log(unique * math.pi)
    for _ in range(8):
        density = np.exp(log_scale - (unique + 1) / 2 * np.log1p(t**2 / unique))
        step = (student_tail(t, unique) - target) / density
        t = t + step
        if np.all(np.abs(step) < 1e-9 * t):
            break
    return t[inverse.reshape(df.shape)]


@lru_cache(maxsize=4096)
def student_critical_value(level: float, df: float) -> float:
    """Return `student_critical` of one `df`; the same few are asked for again and again."""
    return float(student_critical(level, df)[0])


def pearson3_two_sided(z: ArrayLike, skewness: ArrayLike) -> Floats:
    """Return min(1, twice the smaller tail) of a standardised Pearson III variable with this skewness at `z`.

    Three matched moments follow a permutation distribution far better than a normal one when a latent fires rarely
    and the classes are unequal. Source: Mielke and Berry (2007, Permutation Methods, ch. 2); Wilson and Hilferty
    (1931) when the skewness is small.
    """
    z, skewness = np.broadcast_arrays(np.asarray(z, dtype=np.float64), np.asarray(skewness, dtype=np.float64))
    mirrored = np.where(skewness < 0, -z, z)
    shape = 4.0 / np.maximum(skewness**2, 1e-12)
    upper = np.empty(z.shape)
    near_normal = shape > _WILSON_HILFERTY_FROM
    upper[near_normal] = _wilson_hilferty_tail(mirrored[near_normal], shape[near_normal])
    rest = ~near_normal
    upper[rest] = _gamma_tail(shape[rest], shape[rest] + mirrored[rest] * np.sqrt(shape[rest]))
    return np.minimum(1.0, 2 * np.minimum(upper, 1 - upper))


def pearson2_two_sided(z: ArrayLike, excess_kurtosis: ArrayLike) -> Floats:
    """Return P(|Z| >= |z|) of a standardised symmetric Pearson II variable with this excess kurtosis in [-2, 0).

    Its square is a scaled Beta(1/2, df/2), so that the tail is one of Student's t. Source: Pitman (1937, Significance
    tests which may be applied to samples from any populations), who fits sign-flip distributions so.
    """
    z, excess = np.broadcast_arrays(np.asarray(z, dtype=np.float64), np.asarray(excess_kurtosis, dtype=np.float64))
    df = np.maximum(-6 / np.minimum(excess, -1e-9) - 3, _LEAST_DF)
    room = 1 + df - z**2
    tail = student_tail(np.abs(z) * np.sqrt(df / np.where(room > 0, room, 1.0)), df)
    return np.where(room > 0, np.minimum(1.0, 2 * tail), 0.0)


def _hill_deviate(t: Floats, df: Floats) -> Floats:
    a = df - 0.5
    b = 48 * a**2
    y = a * np.log1p(t**2 / df)
    return (((((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y**2 + 100 + b) + y + 3) / b + 1) * np.sqrt(y)


def _cornish_fisher(z: float, df: Floats) -> Floats:
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / df + g2 / df**2 + g3 / df**3


def _incomplete_beta(x: Floats, a: Floats) -> Floats:
    """Regularised I_x(a, 1/2), by the modified Lentz continued fraction on its convergent side."""
    swap = x > (a + 1) / (a + 2.5)
    p = np.where(swap, 0.5, a)
    q = np.where(swap, a, 0.5)
    u = np.where(swap, 1 - x, x)
    log_front = p * np.log(np.maximum(u, _TINY)) + q * np.log(np.maximum(1 - u, _TINY)) - np.log(p)
    log_front += log_gamma(p + q) - log_gamma(p) - log_gamma(q)
    value = np.exp(log_front) * _beta_fraction(u, p, q)
    return np.where(swap, 1 - value, value)


def _beta_fraction(x: Floats, p: Floats, q: Floats) -> Floats:
    c = np.ones_like(x)
    d = 1 / _nonzero(1 - (p + q) * x / (p + 1))
    h = d.copy()
    for m in range(1, 200):
        even = m * (q - m) * x / ((p + 2 * m - 1) * (p + 2 * m))
        d, c = 1 / _nonzero(1 + even * d), _nonzero(1 + even / c)
        h *= d * c
        odd = -(p + m) * (p + q + m) * x / ((p + 2 * m) * (p + 2 * m + 1))
        d, c = 1 / _nonzero(1 + odd * d), _nonzero(1 + odd / c)
        h *= d * c
        if np.all(np.abs(d * c - 1) < 1e-14):
            break
    return h


def _wilson_hilferty_tail(z: Floats, shape: Floats) -> Floats:
    ratio = np.maximum(1 + z / np.sqrt(shape), 0.0)
    return normal_tail((np.cbrt(ratio) - 1 + 1 / (9 * shape)) * 3 * np.sqrt(shape))


def _gamma_tail(shape: Floats, x: Floats) -> Floats:
    """Regularised upper incomplete gamma Q(shape, x): series below shape + 1, continued fraction above."""
    x = np.maximum(x, _TINY)
    front = np.exp(shape * np.log(x) - x - log_gamma(shape))
    low = x < shape + 1
    tail = np.empty_like(x)
    tail[low] = 1 - front[low] * _gamma_series(shape[low], x[low])
    tail[~low] = front[~low] * _gamma_fraction(shape[~low], x[~low])
    return np.clip(tail, 0.0, 1.0)


def _gamma_series(shape: Floats, x: Floats) -> Floats:
    term = 1 / shape
    total = term.copy()
    for k in range(1, 500):
        term = term * x / (shape + k)
        total += term
        if np.all(term < total * 1e-15):
            break
    return total


def _gamma_fraction(shape: Floats, x: Floats) -> Floats:
    b = x + 1 - shape
    c = np.full_like(x, 1 / _TINY)
    d = 1 / _nonzero(b)
    h = d.copy()
    for k in range(1, 500):
        step = -k * (k - shape)
        b = b + 2
        d, c = 1 / _nonzero(step * d + b), _nonzero(b + step / c)
        h *= d * c
        if np.all(np.abs(d * c - 1) < 1e-14):
            break
    return h


def _nonzero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)
