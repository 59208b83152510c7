"""What every channel with a reference looks at: image and reference slice by slice, the body, and the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.records import ChannelResult, Restoration
from medsr.validation.local_noise import plane_of
from medsr.validation.residual import body_mask

__all__ = ["Compared", "compared", "measured_only", "not_comparable"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_FLAT_SHARE = 0.3
_FLAT_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One slice of the restored grid.

    Parameters
    ----------
    image, reference : (N1, N2), image units.
    body : of the reference; flat : the flattest 30 % of it, where deviations are noise and bias.
    window : intensities of the reference that a screen would show as black and white.
    """

    index: int
    image: Plane
    reference: Plane
    body: Mask
    flat: Mask
    window: tuple[float, float]

    @property
    def error(self) -> Plane:
        """Image minus reference."""
        return self.image - self.reference


def compared(restoration: Restoration, index: int) -> Compared | None:
    """Slice `index` of image and reference; None where the reference shows no body."""
    if restoration.reference is None:
        return None
    axis, modality = restoration.geometry.slice_axis, restoration.measured.modality
    image = plane_of(restoration.image, index, axis)
    reference = plane_of(restoration.reference.values, index, axis)
    padding = restoration.reference.padding
    fill = None if padding is None else np.ascontiguousarray(np.take(padding, index, axis))
    body = body_mask(reference, modality=modality, faintest=0.0, fill=fill)
    if not body.any():
        return None
    gradient = ndimage.gaussian_gradient_magnitude(reference, _FLAT_PX)
    flat = body & (gradient <= np.quantile(gradient[body], _FLAT_SHARE))
    window = (-1000.0, 1000.0) if modality == "CT" else (0.0, float(np.percentile(reference[body], 99.5)))
    return Compared(index, image, reference, body, flat, window)


def measured_only(name: str, value: float | None, note: str) -> ChannelResult:
    """A figure for which no limit was calibrated: it neither passes nor holds."""
    return ChannelResult(name, "reference", "not_assessed", value, None, note=note, uncalibrated=value is not None)


def not_comparable(name: str, why: str) -> ChannelResult:
    """A channel that could not be assessed."""
    return ChannelResult(name, "reference", "not_assessed", None, None, note=why)
