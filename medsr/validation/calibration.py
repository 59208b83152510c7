"""Arithmetic of a calibration: one score, one promise, walked from strict to lenient until it would break.

The walkers that restore and judge subjects stand in evaluate; here are only numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import stats

from medsr.validation.challenge import Arm
from medsr.validation.intervals import upper_bound

__all__ = [
    "DRIFT_SCORES",
    "FEWEST_SUBJECTS",
    "Certificate",
    "Normalisation",
    "PlannedLesion",
    "ScoredSubject",
    "certify",
    "drifted",
    "largest_threshold",
    "least_subjects",
    "lesion_of",
    "normalise",
    "null_thresholds",
    "oversmooths",
    "walked_thresholds",
]

FEWEST_SUBJECTS = 29
"""With fewer, not even no miss at all bounds the rate below 10 % at 95 %."""
THRESHOLDS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(401))
"""The walk's thresholds in units of the clean scores' spread, fixed before any subject is seen: 0 holds nearly all."""
CONFIDENCE = 0.95
DRIFT_SCORES = 100
"""So many of the last scores are compared with those of the calibration."""

_DPRIMES = (8.0, 10.0, 12.0)
_DIAMETERS_PX = (4.0, 8.0, 16.0)
_DRIFT_P = 1e-3
_LARGEST_SPREAD_Z = 5.7
_SMALLEST_THRESHOLD = 5.0
_MAD = 1.4826
_NULL_SPREADS = 5.0
_LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class PlannedLesion:
    """The one lesion of a subject, fixed by its id before anything is restored.

    `shares` (each 0 to 1) place it among the slices and pixels that are allowed.
    """

    arm: Arm
    sign: int
    dprime: float
    diameter: float
    shares: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Median and spread of each channel's value on clean subjects of fold A."""

    median: Mapping[str, float]
    spread: Mapping[str, float]

    def score(self, values: Mapping[str, float | None]) -> float:
        """The combined score: the largest normalised value; infinite if a channel is missing or not finite."""
        found = []
        for name, median in self.median.items():
            value = values.get(name)
            if value is None or not math.isfinite(value):
                return math.inf
            found.append((value - median) / self.spread[name])
        return max(found) if found else math.inf


@dataclass(frozen=True, slots=True)
class ScoredSubject:
    """One subject of fold B: the combined score of its clean twin and of the twin with its lesion.

    clean_held, planted_held : the gate holds that twin whatever its score, for a finding or a channel of its own.
    """

    subject: str
    clean: float
    planted: float
    clean_held: bool = False
    planted_held: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """What may be promised.

    threshold : scores up to it are released; None if not even holding everything but the best keeps the promise.
    misses : lesions that were released; bound : upper bound of their rate at 95 %; held : share of clean subjects
        held, measured and not promised.
    """

    threshold: float | None
    subjects: int
    misses: int
    bound: float
    beta: float
    held: float

    @property
    def sentence(self) -> str:
        """The only words that a certificate allows."""
        if self.threshold is None:
            return f"No promise: {self.subjects} subjects, {FEWEST_SUBJECTS} are the fewest that allow one."
        return (
            f"One lesion of this class in each of {self.subjects} subjects of these scanners: {self.misses} released "
            f"unseen, under {100 * self.bound:.1f} % with 95 % confidence. Nothing is said of other lesions, scanners, "
            "or what was not measured."
        )


def lesion_of(subject: str, *, salt: str) -> PlannedLesion:
    """The lesion of a subject, drawn from a hash of its id and of the protocol's name."""
    digest = hashlib.sha256(f"{salt} {subject}".encode()).digest()
    return PlannedLesion(
        arm="insertion" if digest[0] % 2 else "omission",
        sign=1 if digest[1] % 2 else -1,
        dprime=_DPRIMES[digest[2] % len(_DPRIMES)],
        diameter=_DIAMETERS_PX[digest[3] % len(_DIAMETERS_PX)],
        shares=(int.from_bytes(digest[4:8], "big") / 2**32, int.from_bytes(digest[8:12], "big") / 2**32),
    )


def normalise(
    clean: Sequence[Mapping[str, float | None]],
    channels: Sequence[str],
    *,
    limits: Mapping[str, float] = MappingProxyType({}),
) -> Normalisation:
    """Median and 1.4826 MAD of each channel over the clean subjects of fold A.

    A channel that never varies (a scan without findings) gets a spread of 1, its own unit. One that hardly varies gets
    a twentieth of its own threshold (`limits`): a few slices of fold A must not make a trifle into the worst channel.

    Raises
    ------
    ValueError : if there is no subject, or a channel is missing or not finite somewhere.
    """
    if not clean or not channels:
        raise ValueError("a normalisation needs subjects and channels")
    median, spread = {}, {}
    for name in channels:
        values = [subject.get(name) for subject in clean]
        finite = np.array([value for value in values if value is not None and math.isfinite(value)])
        if len(finite) != len(clean):
            raise ValueError(f"channel {name} has no finite value for {len(clean) - len(finite)} subjects")
        median[name] = float(np.median(finite))
        mad = _MAD * float(np.median(np.abs(finite - median[name])))
        spread[name] = max(mad, _LEAST_SHARE * limits.get(name, 0.0)) if mad > 0 else 1.0
    return Normalisation(median, spread)


def certify(subjects: Sequence[ScoredSubject], *, beta: float, thresholds: Sequence[float] = THRESHOLDS) -> Certificate:
    """Walk from "hold all" to lenient and stop before the bound of the miss rate passes `beta`.

    Fixed-sequence testing: thresholds are fixed beforehand and tried in order, so that no correction is needed; a
    lesion counts as missed if its subject is released. Each subject counts once.

    Raises
    ------
    ValueError : if a subject appears twice, beta is no rate, or thresholds do not rise.

    References
    ----------
    Angelopoulos, Bates, Candes, Jordan and Lei, Learn then Test, arXiv 2110.01052 (fixed-sequence testing).
    """
    names = [item.subject for item in subjects]
    if len(set(names)) != len(names):
        raise ValueError("a subject counts once")
    if not 0 < beta < 1 or any(b <= a for a, b in pairwise(thresholds)):
        raise ValueError("beta is a rate, and thresholds rise")
    count = len(subjects)
    planted = np.array([math.inf if item.planted_held else item.planted for item in subjects], float)
    clean = np.array([math.inf if item.clean_held else item.clean for item in subjects], float)
    best: tuple[float, int, float] | None = None
    if count >= FEWEST_SUBJECTS:
        for threshold in thresholds:
            misses = int(_released(planted, threshold).sum())
            bound = upper_bound(misses, count, confidence=CONFIDENCE)
            if bound > beta:
                break
            best = (threshold, misses, bound)
    if best is None:
        return Certificate(None, count, 0, 1.0, beta, 1.0)
    held = 1 - float(_released(clean, best[0]).mean())
    return Certificate(best[0], count, best[1], best[2], beta, held)


def least_subjects(beta: float, misses: int) -> int:
    """Fewest subjects at which so many misses keep the bound at `beta`."""
    count = misses + 1
    while upper_bound(misses, count, confidence=CONFIDENCE) > beta:
        count += 1
    return count


def null_thresholds(clean: Sequence[Mapping[str, float | None]], channels: Sequence[str]) -> dict[str, float]:
    """Thresholds of channels that no physics bounds: five spreads above the median of clean scans of fold A.

    They hold and never verify, so that nothing is promised of them; a channel that some subject lacks gets none.
    """
    complete = [
        name
        for name in channels
        if clean and all((value := item.get(name)) is not None and math.isfinite(value) for item in clean)
    ]
    if not complete:
        return {}
    normal = normalise(clean, complete)
    return {name: normal.median[name] + _NULL_SPREADS * normal.spread[name] for name in complete}


def largest_threshold(normalisation: Normalisation, scan: str) -> float:
    """The combined threshold at which channel `scan` would let a z of 5.7 noise sd pass; no walk goes beyond it."""
    return (_LARGEST_SPREAD_Z - normalisation.median[scan]) / normalisation.spread[scan]


def walked_thresholds(limit: float) -> tuple[float, ...]:
    """The thresholds of the walk up to `limit`."""
    return tuple(threshold for threshold in THRESHOLDS if threshold <= limit)


def oversmooths(threshold: float, spread: float) -> bool:
    """True if a threshold in spreads of a model's clean output lies beyond physics: `model.oversmooths`, no record.

    A threshold is at least 5 spreads and, in noise sd, at most 5.7: where planted discs of d' 8 are found in 90 %.
    A model that smooths everything has a wide clean score, and would buy itself blindness.
    """
    if not (math.isfinite(threshold) and math.isfinite(spread)):
        return True
    return max(threshold, _SMALLEST_THRESHOLD) * spread > _LARGEST_SPREAD_Z


def drifted(reference: Sequence[float], recent: Sequence[float]) -> bool:
    """True if the last scores no longer follow those of the calibration (Kolmogorov-Smirnov, p < .001).

    Where there are none of either, nothing has drifted.
    """
    if len(reference) == 0 or len(recent) == 0:
        return False
    finite = [value for value in recent if math.isfinite(value)]
    if len(finite) != len(recent):
        return True
    return bool(stats.ks_2samp(np.asarray(reference), np.asarray(finite)).pvalue < _DRIFT_P)


def _released(scores: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.bool_]:
    """Scores that are released; NaN never is."""
    return np.asarray(scores <= threshold)
