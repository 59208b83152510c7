"""Intervals of counts: exact where subjects count once, bootstrapped over clusters where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from scipy import stats

__all__ = ["clopper_pearson", "cluster_bootstrap", "poisson_interval", "upper_bound"]

_DRAWS = 2000


def clopper_pearson(hits: int, count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion.

    References
    ----------
    Clopper and Pearson, Biometrika 26, 404 (1934), doi 10.1093/biomet/26.4.404.

    >>> clopper_pearson(50, 50)[0] > 0.92
    True
    """
    _check(hits, count)
    if count == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(stats.beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


@cache
def upper_bound(misses: int, count: int, *, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound of a rate of misses; 1 where nothing was counted."""
    _check(misses, count)
    return 1.0 if misses == count else float(stats.beta.ppf(confidence, misses + 1, count - misses))


def poisson_interval(events: int, exposure: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a rate: `events` in `exposure` units (slices).

    References
    ----------
    Garwood, Biometrika 28, 437 (1936), doi 10.1093/biomet/28.3-4.437.
    """
    if events < 0 or not exposure > 0:
        raise ValueError(f"{events} events in {exposure} units")
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else float(stats.chi2.ppf(tail, 2 * events)) / 2
    return low / exposure, float(stats.chi2.ppf(1 - tail, 2 * events + 2)) / 2 / exposure


def cluster_bootstrap(
    clusters: Mapping[str, Sequence[tuple[float, float]]], *, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of sum(a) / sum(b) over pairs (a, b), whole clusters (subjects) drawn with replacement 2,000 times."""
    totals = np.array([np.sum(pairs, axis=0) for pairs in clusters.values() if len(pairs)], float)
    if len(totals) == 0 or totals[:, 1].sum() <= 0:
        return 0.0, 1.0
    chosen = np.random.default_rng(seed).integers(len(totals), size=(_DRAWS, len(totals)))
    sums = totals[chosen].sum(1)
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
    low, high = np.percentile(ratios, [50 * (1 - confidence), 100 - 50 * (1 - confidence)])
    return float(low), float(high)


def _check(hits: int, count: int) -> None:
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count}")
