"""Strata: scans that one calibration speaks for. They never borrow from each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medsr.physics import MagnitudeNoise, NoNoise, ProjectionNoise
from medsr.records import Restoration, Task
from medsr.volume import Modality, Volume

__all__ = ["NOISE_CLASSES", "SPACING_CLASSES", "NoiseClass", "Stratum", "noise_share", "operator_class", "stratum_of"]

_SCALE_TOLERANCE = 0.02
_OWN = "own"
"""Noise class of a scan to which a declared operator added none, and of one whose operator nobody declared."""


@dataclass(frozen=True, slots=True)
class NoiseClass:
    """A tercile of the degraded input's noise: bounds of sigma / q for MR, of the dose fraction for CT (low, high]."""

    name: str
    low: float
    high: float


NOISE_CLASSES: Mapping[Modality, tuple[NoiseClass, ...]] = {
    "MR": (NoiseClass("low", 0.015, 0.04), NoiseClass("mid", 0.04, 0.07), NoiseClass("high", 0.07, 0.12)),
    "CT": (NoiseClass("low", 0.35, 0.7), NoiseClass("mid", 0.15, 0.35), NoiseClass("high", 0.05, 0.15)),
}
"""Thirds of the range that the bundles were trained on. A scan beyond them belongs to no stratum.

CT counts the dose and not HU: a scan of 6 HU and one of 25 HU at a quarter of their doses put the same task.
"""
SPACING_CLASSES: tuple[tuple[str, float, float], ...] = (("below1.1mm", 0.0, 1.1), ("1.1to2.1mm", 1.1, 2.1))
"""Wider in-plane spacing of the output grid, mm: name, low, high (high excluded)."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Modality, task, in-plane factor, noise class and spacing class."""

    modality: Modality
    task: Task
    scale: float
    noise: str
    spacing: str

    @property
    def name(self) -> str:
        """As it stands in the name of a record."""
        return f"{self.modality.lower()}-x{self.scale:g}-{self.noise}-{self.spacing}"


def stratum_of(restoration: Restoration) -> Stratum | None:
    """The stratum of a restoration; None where no class holds it, as for all that is made through plane."""
    linear, measured = restoration.operator.linear, restoration.measured
    if linear.kind not in ("identity", "k_space_truncation", "area_average", "overlap_average"):
        return None
    scale, noise = _scale(restoration), _noise_class(restoration)
    spacing = _spacing_class(max(restoration.geometry.spacing_mm[axis] for axis in restoration.geometry.in_plane_axes))
    if scale is None or noise is None or spacing is None:
        return None
    return Stratum(measured.modality, restoration.task, scale, noise, spacing)


def operator_class(restoration: Restoration) -> str:
    """What a calibration assumes of the operator: its kind, its noise, and who says so."""
    operator, noise = restoration.operator, restoration.noise
    return f"{operator.linear.kind} {operator.provenance}, {operator.noise.kind} {noise.provenance}"


def noise_share(measured: Volume, sigma: float) -> float:
    """sigma / q of a magnitude image; q as the sidecar states it, else the 99.9th percentile of positive voxels."""
    reference = (measured.degradation or {}).get("reference")
    q = reference.get("q") if isinstance(reference, Mapping) else None
    if not isinstance(q, (int, float)) or not q > 0:
        positive = measured.values[measured.values > 0]
        q = float(np.percentile(positive, 99.9)) if positive.size else math.nan
    return float(sigma / q)


def _scale(restoration: Restoration) -> float | None:
    """The in-plane factor to the nearest quarter; None where the axes differ."""
    coarse, fine = restoration.measured.geometry, restoration.geometry
    factors = [fine.shape[axis] / coarse.shape[axis] for axis in coarse.in_plane_axes]
    nearest = round(4 * factors[0]) / 4
    return nearest if all(abs(factor / nearest - 1) <= _SCALE_TOLERANCE for factor in factors) else None


def _noise_class(restoration: Restoration) -> str | None:
    modality, noise = restoration.measured.modality, restoration.operator.noise
    if restoration.task == "superres":
        return _OWN if isinstance(noise, NoNoise) or restoration.operator.provenance != "declared" else None
    if modality == "MR":
        if not isinstance(noise, (MagnitudeNoise, NoNoise)):
            return None
        value = noise_share(restoration.measured, restoration.noise.sigma)
    elif isinstance(noise, ProjectionNoise):
        value = noise.dose_fraction
    else:
        return _OWN if isinstance(noise, NoNoise) else None
    found = [item.name for item in NOISE_CLASSES[modality] if item.low < value <= item.high]
    return found[0] if found else None


def _spacing_class(spacing_mm: float) -> str | None:
    found = [name for name, low, high in SPACING_CLASSES if low <= spacing_mm < high]
    return found[0] if found else None
