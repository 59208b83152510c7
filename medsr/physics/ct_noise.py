"""Low-dose CT noise, made in the projections of the image itself and reconstructed alone.

Only the noise is reconstructed and added, so that the scan's kernel and its own noise stay as they are.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["BODY_HU", "added_sigma", "noise_fields"]

BODY_HU = -300.0
"""Voxels above this count as body when the field is scaled."""

WATER_ATTENUATION_PER_MM = 0.0193
"""Linear attenuation of water at about 70 keV (NIST XCOM), per mm."""

_LONGEST_PATH = 8.0


def added_sigma(sigma_full_hu: float, dose_fraction: float) -> float:
    """Noise that a dose fraction adds to a scan of noise `sigma_full_hu`: sigma sqrt(1 / d - 1), in HU.

    Quantum noise alone; independent of the scan's own, so that variances add up to sigma^2 / d.
    """
    return sigma_full_hu * math.sqrt(1 / dose_fraction - 1)


def noise_fields(
    slice_hu: npt.NDArray[np.floating],
    spacing_mm: float,
    rng: np.random.Generator,
    *,
    count: int = 1,
    views: int | None = None,
    window: str = "hann",
) -> npt.NDArray[np.float32]:
    """`count` independent noise images of one slice, with the streaks and the centre-heavy pattern of its anatomy.

    Line integrals p of the attenuation give rays a variance of exp(p) (Poisson counts behind the patient); white
    rays of that variance are filtered and back-projected. The fields are scaled by one factor so that the median
    local standard deviation (15 px windows) inside the body is 1. Unit-norm mixtures of fields are new draws of
    the same covariance.

    Parameters
    ----------
    slice_hu : (N1, N2) in HU.
    spacing_mm : pixel size.
    views : projection angles over 180 degrees; as many as the padded matrix has pixels by default.
    window : apodisation of the ramp filter, ``hann`` for soft, ``ramp`` for sharp kernels.

    Returns
    -------
    (count, N1, N2) float32, in units of the local noise.

    References
    ----------
    Zeng et al., IEEE Trans Nucl Sci 62, 2226 (2015), doi 10.1109/TNS.2015.2467219, eq. 5 (variance of low-dose rays).
    """
    from scipy.ndimage import uniform_filter
    from skimage.transform import iradon, radon

    attenuation, pads = _padded(slice_hu, spacing_mm)
    angles = np.linspace(0, 180, views or attenuation.shape[0], endpoint=False)
    paths = radon(attenuation, angles, circle=True)
    deviation = np.exp(np.minimum(paths, _LONGEST_PATH) / 2)
    rows = slice(pads[0][0], pads[0][0] + slice_hu.shape[0])
    columns = slice(pads[1][0], pads[1][0] + slice_hu.shape[1])
    fields = np.stack(
        [
            iradon(
                deviation * rng.standard_normal(paths.shape),
                angles,
                filter_name=window,
                circle=True,
            )[rows, columns]
            for _ in range(count)
        ]
    )
    variance = np.mean([uniform_filter(field**2, 15) for field in fields], axis=0)
    local = np.sqrt(np.maximum(variance, 0))
    body = slice_hu > BODY_HU
    scale = float(np.median(local[body]) if body.any() else np.median(local))
    scaled: npt.NDArray[np.float32] = (fields / scale).astype(np.float32)
    return scaled


def _padded(
    slice_hu: npt.NDArray[np.floating], spacing_mm: float
) -> tuple[npt.NDArray[np.float64], list[tuple[int, int]]]:
    """Attenuation per pixel inside the circle that radon needs, and the padding that was added.

    The circle is 1.15 times the matrix where only air lies outside it, which halves the work; else it holds the
    corners too, since nothing outside the circle would get noise.
    """
    relative = np.clip((slice_hu.astype(np.float64) + 1000) / 1000, 0, None)
    for side in (math.ceil(1.15 * max(slice_hu.shape) / 2) * 2, math.ceil(1.02 * math.hypot(*slice_hu.shape) / 2) * 2):
        pads = [((side - size) // 2, side - size - (side - size) // 2) for size in slice_hu.shape]
        rows, columns = (
            np.arange(size) + pad[0] - (side - 1) / 2 for size, pad in zip(slice_hu.shape, pads, strict=True)
        )
        outside = rows[:, None] ** 2 + columns[None] ** 2 > ((side - 2) / 2) ** 2
        if not (relative[outside] > (BODY_HU + 1000) / 1000).any():
            break
    relative[outside] = 0
    return np.pad(relative * WATER_ATTENUATION_PER_MM * spacing_mm, pads), pads
