"""From values to grey and colour: one window for input and restored image, symmetric scales for what is signed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.report.words import number
from medsr.volume import Modality

__all__ = ["DIVERGING", "SEQUENTIAL", "WITH_MISSING", "Window", "nice_limit", "on_palette", "window_for"]

Plane = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_MR_PERCENTILE = 99.5
_PATIENT_HU, _LUNG_HU = -500.0, -500.0
_SMOOTH = 5
_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_LEVELS = 33


def _palette(*stops: tuple[int, int, int]) -> Bytes:
    places = np.linspace(0, 1, len(stops))
    table = np.asarray(stops, np.float64)
    at = np.linspace(0, 1, _LEVELS)
    return np.stack([np.interp(at, places, table[:, channel]) for channel in range(3)], 1).round().astype(np.uint8)


DIVERGING = _palette(
    (150, 225, 255), (40, 140, 235), (16, 60, 120), (14, 14, 16), (125, 58, 8), (240, 130, 25), (255, 226, 150)
)
"""Blue below zero, black at zero, orange above: also apart for readers who do not tell red from green."""
SEQUENTIAL = _palette((14, 14, 16), (70, 22, 95), (160, 45, 120), (235, 110, 110), (255, 225, 190))
"""Black at zero through purple to cream."""
WITH_MISSING = np.concatenate([DIVERGING, np.array([[74, 80, 88]], np.uint8)])
"""DIVERGING and a grey for what was not judged."""


@dataclass(frozen=True, slots=True)
class Window:
    """A grey window in image units: `low` is black, `high` white."""

    low: float
    high: float
    title: str

    def grey(self, plane: Plane) -> Bytes:
        """Grey values of a plane."""
        width = max(self.high - self.low, 1e-12)
        scaled = (plane.astype(np.float64) - self.low) / width * 255
        return np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)


def window_for(modality: Modality, plane: Plane, *, near: tuple[slice, slice] | None = None) -> Window:
    """The window of a slice, from the measurement shown on it.

    CT: lung (-600/1500) where most of the patient, or of what lies `near` the finding, is lung; soft tissue (40/400)
    elsewhere. MR: 0 to the 99.5th percentile.

    Parameters
    ----------
    near : part of the plane around the finding that matters.
    """
    if modality == "CT":
        if _mostly_lung(plane, near):
            return Window(-1350.0, 150.0, "lung window, level -600, width 1500 HU")
        return Window(-160.0, 240.0, "soft tissue window, level 40, width 400 HU")
    high = float(np.percentile(plane, _MR_PERCENTILE))
    high = high if math.isfinite(high) and high > 0 else 1.0
    return Window(0.0, high, f"window 0 to {number(high)}, the {_MR_PERCENTILE:g}th percentile of the input slice")


def _mostly_lung(plane: Plane, near: tuple[slice, slice] | None) -> bool:
    smooth = ndimage.uniform_filter(plane, _SMOOTH, mode="nearest")
    if near is not None and smooth[near].size:
        return bool(np.median(smooth[near]) < _LUNG_HU)
    patient = ndimage.binary_fill_holes(ndimage.binary_opening(smooth > _PATIENT_HU, iterations=2))
    return bool(patient.any() and np.mean(smooth[patient] < _LUNG_HU) > 0.5)


def nice_limit(value: float) -> float:
    """The next number of a readable series at or above `value`; 1 where there is none.

    >>> nice_limit(37.0), nice_limit(0.0021), nice_limit(float("nan"))
    (40.0, 0.0025, 1.0)
    """
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    step = next(step for step in _STEPS if step * power >= value * (1 - 1e-9))
    return float(f"{step * power:.3g}")


def on_palette(plane: Plane, *, low: float, high: float, missing: bool = False) -> Bytes:
    """Palette indices of a plane.

    Parameters
    ----------
    missing : NaN gets the index of :data:`WITH_MISSING` beyond the scale; else it lies at the scale's middle.
    """
    span = max(high - low, 1e-12)
    share = (plane.astype(np.float64) - low) / span
    indices = np.clip(np.rint(np.nan_to_num(share, nan=0.5) * (_LEVELS - 1)), 0, _LEVELS - 1).astype(np.uint8)
    return np.where(np.isnan(share), _LEVELS, indices).astype(np.uint8) if missing else indices
