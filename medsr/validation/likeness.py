"""F2 and F3: local structural similarity and local correlation of an image with its reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.metrics import structural_similarity

from medsr.records import ChannelResult
from medsr.validation.comparison import Compared, measured_only

__all__ = ["Likeness", "local_correlation"]

Plane = npt.NDArray[np.float32]

_SIGMA_PX = 4.0
_WORST_PERCENT = 5


class Likeness:
    """Collects both over the body, slice by slice; the worst twentieth tells more than the mean of a whole image.

    References
    ----------
    Wang et al., IEEE Trans Image Process 13, 600 (2004), doi 10.1109/TIP.2003.819861 (structural similarity).
    """

    def __init__(self) -> None:
        self._similar: list[npt.NDArray[np.float32]] = []
        self._correlated: list[npt.NDArray[np.float32]] = []

    def add(self, item: Compared) -> None:
        """Take in one slice."""
        low, high = item.window
        _, similar = structural_similarity(
            item.image, item.reference, data_range=high - low, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )  # fmt: skip
        self._similar.append(similar[item.body].astype(np.float32))
        self._correlated.append(local_correlation(item.image, item.reference)[item.body & ~item.flat])

    def results(self) -> tuple[ChannelResult, ChannelResult]:
        """F2 and F3."""
        return (
            _worst("F2", self._similar, "local structural similarity"),
            _worst("F3", self._correlated, "local correlation where the reference has structure"),
        )


def local_correlation(image: Plane, reference: Plane) -> Plane:
    """Correlation under a Gaussian window of 4 px; 0 where either is constant."""
    means = [ndimage.gaussian_filter(values, _SIGMA_PX, truncate=3) for values in (image, reference)]
    first, second = image - means[0], reference - means[1]
    products = [
        ndimage.gaussian_filter(values, _SIGMA_PX, truncate=3) for values in (first * second, first**2, second**2)
    ]
    scale = np.sqrt(products[1] * products[2])
    correlation: Plane = np.divide(products[0], scale, out=np.zeros_like(scale), where=scale > 0).astype(np.float32)
    return correlation


def _worst(name: str, parts: Sequence[npt.NDArray[np.float32]], what: str) -> ChannelResult:
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not values.size:
        return measured_only(name, None, "no voxel to compare")
    value = float(np.percentile(values, _WORST_PERCENT))
    note = f"{what}: {value:.3f} or less in the worst {_WORST_PERCENT} % of the body, {values.mean():.3f} on average"
    return measured_only(name, value, note)
