"""Are an image and its reference in one place? Measured before any of them is compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

__all__ = ["LARGEST_SHIFT_PX", "Displacement", "displacement"]

LARGEST_SHIFT_PX = 0.25
"""Beyond this an image and a reference are not comparable: edges would be told as errors."""

_BAND = 0.25
_STEPS = 30
_CONVERGED_PX = 1e-3
_WEAKEST_PEAK = 0.3

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Displacement:
    """Where a slice lies against its reference, in pixels (rows, columns), and how alike they are once aligned.

    likeness : correlation of the aligned band-limited slices, 0 to 1.
    """

    rows: float
    columns: float
    likeness: float

    @property
    def comparable(self) -> bool:
        """True if the shift stays below a quarter of a pixel and both show the same anatomy."""
        return float(np.hypot(self.rows, self.columns)) < LARGEST_SHIFT_PX and self.likeness > _WEAKEST_PEAK


def displacement(image: Plane, reference: Plane) -> Displacement:
    """Shift that moves `reference` onto `image`, to a tenth of a pixel for noisy slices.

    Whole pixels by cross-correlation of the windowed slices, the rest by Gauss-Newton on their difference (Lucas and
    Kanade, IJCAI 1981). Both are band-limited first, so that noise and texture do not decide.

    Raises
    ------
    ValueError : if the two differ in shape.
    """
    if image.shape != reference.shape:
        raise ValueError(f"image {image.shape} and reference {reference.shape} differ in shape")
    moving, fixed = (_band_limited(values) for values in (reference, image))
    if not (np.isfinite(moving).all() and np.isfinite(fixed).all()) or not (moving.any() and fixed.any()):
        return Displacement(float("nan"), float("nan"), 0.0)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None]
    shift = _whole(fixed * window, moving * window)
    for _ in range(_STEPS):
        moved = ndimage.shift(moving, shift, order=3, mode="nearest")
        gradients = np.stack([axis * window for axis in np.gradient(moved)]).reshape(2, -1)
        error = ((moved - fixed) * window).ravel()
        normal = gradients @ gradients.T
        if np.linalg.cond(normal) > 1e6:
            break
        step = np.linalg.solve(normal, gradients @ error)
        shift = shift + np.clip(step, -1, 1)
        if np.abs(step).max() < _CONVERGED_PX:
            break
    moved = ndimage.shift(moving, shift, order=3, mode="nearest")
    likeness = float(np.corrcoef((moved * window).ravel(), (fixed * window).ravel())[0, 1])
    return Displacement(float(shift[0]), float(shift[1]), max(0.0, likeness))


def _whole(fixed: npt.NDArray[np.float64], moving: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    product = fft.rfft2(fixed) * np.conj(fft.rfft2(moving))
    correlation = fft.irfft2(product, fixed.shape)
    peak = np.unravel_index(int(np.argmax(correlation)), fixed.shape)
    return np.array(
        [place if place <= size // 2 else place - size for place, size in zip(peak, fixed.shape, strict=True)], float
    )


def _band_limited(values: Plane) -> npt.NDArray[np.float64]:
    """The slice without its mean and without frequencies beyond a quarter of the sampling rate."""
    spectrum = fft.rfft2(values.astype(np.float64) - float(values.mean()))
    radius = np.hypot(fft.fftfreq(values.shape[0])[:, None], fft.rfftfreq(values.shape[1])[None])
    limited: npt.NDArray[np.float64] = fft.irfft2(spectrum * np.exp(-((radius / _BAND) ** 4)), values.shape)
    return limited
