"""Paired comparisons over subjects, with the interval that their number allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from medsr.evaluate.judge import Row

__all__ = ["Comparison", "by_subject", "compare", "interval", "ours"]

SMALLEST_T_SAMPLE = 6
SMALLEST_BOOTSTRAP_SAMPLE = 15
_DRAWS = 10_000
_LEVELS_IN_DB = "MR"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our method against another at one level: differences by subject, positive where ours is better.

    low and high are the 95 % interval of the mean, None below 6 subjects; there, `differences` stand for themselves.
    """

    level: str
    ours: str
    other: str
    differences: tuple[float, ...]
    low: float | None
    high: float | None

    @property
    def mean(self) -> float:
        """Mean over subjects."""
        return float(np.mean(self.differences))

    @property
    def smallest(self) -> float:
        """The least favourable subject."""
        return min(self.differences)

    @property
    def always_better(self) -> bool:
        """True if every subject's difference is positive."""
        return self.smallest > 0


def by_subject(rows: Iterable[Row], level: str, method: str) -> dict[str, float]:
    """Mean score of each subject; two visits of a subject are one."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row.level == level and row.method == method:
            scores.setdefault(row.subject, []).append(row.score)
    return {subject: float(np.mean(values)) for subject, values in scores.items()}


def interval(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of a mean: none below 6 subjects, paired t from 6, bootstrap over subjects from 15."""
    values = np.asarray(differences, float)
    if len(values) < SMALLEST_T_SAMPLE:
        return None, None
    if len(values) < SMALLEST_BOOTSTRAP_SAMPLE:
        half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        return float(values.mean() - half), float(values.mean() + half)
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(_DRAWS, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(rows: Sequence[Row], level: str, ours: str, other: str) -> Comparison | None:
    """Paired comparison at one level; None where no subject has both."""
    mine, theirs = by_subject(rows, level, ours), by_subject(rows, level, other)
    sign = 1.0 if level.startswith(_LEVELS_IN_DB) else -1.0
    differences = tuple(sign * (mine[subject] - theirs[subject]) for subject in mine if subject in theirs)
    if not differences:
        return None
    low, high = interval(differences)
    return Comparison(level, ours, other, differences, low, high)


def ours(rows: Iterable[Row], level: str) -> list[str]:
    """Names of the bundles among a level's methods, in order."""
    return list(dict.fromkeys(row.method for row in rows if row.level == level and row.bundle))
