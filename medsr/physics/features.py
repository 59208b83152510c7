"""Features of a scan by which a model can tell whether it was trained on anything like it.

References
----------
Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018, arXiv 1807.03888
(the idea of a distance to the training set; here per feature, so that the report can name what is odd).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from medsr.physics.estimate import NoiseEstimate, estimate_noise
from medsr.physics.support import spectral_edges
from medsr.volume import Volume

__all__ = ["FEATURES", "domain_features", "outside"]

FEATURES = (
    "in_plane_spacing_mm",
    "slice_spacing_mm",
    "noise",
    "spectral_slope",
    "spectral_edge",
    "foreground_share",
    "histogram_spread",
    "histogram_skew",
)
"""Names in the order of :func:`domain_features`."""

_MOST_SLICES = 8
_BAND = (0.25, 0.9)
_BINS = 24


def domain_features(volume: Volume, *, estimate: NoiseEstimate | None = None) -> dict[str, float]:
    """Features of a scan, over at most eight slices of its inner part; `estimate` is its noise, if it is known.

    noise is in % of the 99.9th percentile for MR, in HU for CT; spectral_slope the exponent of radial power between
    0.25 and 0.9 Nyquist; spectral_edge the share of Nyquist that holds signal; the histogram's spread and skew are
    of the foreground, relative to its median (CT: in HU / 1000).
    """
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    inner = np.linspace(count // 10, count - 1 - count // 10, min(count, _MOST_SLICES)).round().astype(int)
    stack = np.moveaxis(volume.values, axis, 0)[np.unique(inner)].astype(np.float32)
    first, second = volume.geometry.in_plane_axes
    spacing = volume.geometry.spacing_mm
    floor, unit = _scale(volume, stack)
    foreground = stack[stack > floor]
    middle, spread, skew = _histogram(foreground if foreground.size else stack.ravel(), volume)
    estimate = estimate or estimate_noise(volume)
    sigma = estimate.sigma if estimate.tissue is None else estimate.tissue
    values = (
        math.sqrt(spacing[first] * spacing[second]),
        spacing[axis],
        sigma / unit * (1.0 if volume.modality == "CT" else 100.0),
        _slope(stack),
        min(spectral_edges(stack)),
        float(foreground.size / stack.size),
        spread / middle,
        skew,
    )
    return dict(zip(FEATURES, (round(float(value), 5) for value in values), strict=True))


def outside(
    features: Mapping[str, float], ranges: Mapping[str, Sequence[float]], *, margin: float = 0.1
) -> dict[str, tuple[float, float, float]]:
    """Features beyond the range of a training set: name to (value, low, high).

    A range is widened by `margin` of its width on either side, since the percentiles of a hundred scans are not
    sharp; a feature without a range is not judged.
    """
    found = {}
    for name, value in features.items():
        if name not in ranges:
            continue
        low, high = float(ranges[name][0]), float(ranges[name][1])
        slack = margin * (high - low)
        if not low - slack <= value <= high + slack:
            found[name] = (value, low, high)
    return found


def _scale(volume: Volume, stack: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Foreground floor, and the unit of the noise."""
    if volume.modality == "CT":
        return -500.0, 1.0
    positive = stack[stack > 0]
    top = float(np.percentile(positive, 99.9)) if positive.size else 1.0
    return 0.05 * top, top


def _histogram(values: npt.NDArray[np.float32], volume: Volume) -> tuple[float, float, float]:
    """Median (1,000 HU for CT), spread of the middle 80 %, and its quantile skew between -1 and 1."""
    low, median, high = (float(value) for value in np.percentile(values, (10, 50, 90)))
    middle = 1000.0 if volume.modality == "CT" else max(median, 1e-6)
    spread = high - low
    return middle, spread, (high + low - 2 * median) / spread if spread > 0 else 0.0


def _slope(stack: npt.NDArray[np.float32]) -> float:
    """d log power / d log frequency of the radial spectrum."""
    rows, columns = stack.shape[1:]
    window = np.hanning(rows)[:, None] * np.hanning(columns)[None]
    power = np.mean([np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2 for image in stack], 0)
    radius = 2 * np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    edges = np.geomspace(*_BAND, _BINS + 1)
    places, levels = [], []
    for low, high in itertools.pairwise(edges):
        inside = (radius >= low) & (radius < high)
        if inside.any():
            places.append(math.log(math.sqrt(low * high)))
            levels.append(math.log(float(power[inside].mean()) + 1e-12))
    return float(np.polyfit(places, levels, 1)[0]) if len(places) > 2 else 0.0
