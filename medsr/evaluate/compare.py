"""Paired comparisons over subjects, with the interval that their number allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from medsr.evaluate.judge import Row

__all__ = ["Comparison", "by_subject", "compare", "interval", "ours", "paired"]

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


def paired(rows: Sequence[Row], level: str, ours: str, other: str) -> dict[str, tuple[float, float]]:
    """Mean scores of both methods by subject, over the scans that both have."""
    scores: dict[str, dict[str, float]] = {ours: {}, other: {}}
    subjects = {}
    for row in rows:
        if row.level == level and row.method in scores:
            scores[row.method][row.case] = row.score
            subjects[row.case] = row.subject
    found: dict[str, list[tuple[float, float]]] = {}
    for case, mine in scores[ours].items():
        if case in scores[other]:
            found.setdefault(subjects[case], []).append((mine, scores[other][case]))
    return {
        subject: (float(np.mean([mine for mine, _ in pairs])), float(np.mean([theirs for _, theirs in pairs])))
        for subject, pairs in found.items()
    }


def compare(rows: Sequence[Row], level: str, ours: str, other: str) -> Comparison | None:
    """Paired comparison at one level; None where no scan has both."""
    sign = 1.0 if level.startswith(_LEVELS_IN_DB) else -1.0
    pairs = paired(rows, level, ours, other).values()
    if not pairs:
        return None
    differences = tuple(sign * (mine - theirs) for mine, theirs in pairs)
    low, high = interval(differences)
    return Comparison(level, ours, other, differences, low, high)


def ours(rows: Iterable[Row], level: str) -> list[str]:
    """Names of the bundles among a level's methods, in order."""
    return list(dict.fromkeys(row.method for row in rows if row.level == level and row.bundle))
