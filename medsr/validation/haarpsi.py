"""HaarPSI: perceptual similarity from Haar wavelets, on a fixed intensity window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["haarpsi"]

Plane = npt.NDArray[np.float64]

_C, _ALPHA = 30.0, 4.2
_SCALES = 3


def haarpsi(
    image: npt.NDArray[np.float32],
    reference: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    *,
    window: tuple[float, float],
) -> float:
    """Mean over slices of HaarPSI inside the mask; 1 for equal images. Stacks are (S, N1, N2).

    Parameters
    ----------
    window : intensities that become 0 and 255, fixed beforehand; values outside are clipped as on a screen.

    References
    ----------
    Reisenhofer et al., Signal Process Image Commun 61, 33 (2018), doi 10.1016/j.image.2017.11.001, eq. 10 to 14,
    with its constants C = 30, alpha = 4.2.
    """
    values = [
        _of_slice(_shown(one, window), _shown(other, window), inside)
        for one, other, inside in zip(image, reference, mask, strict=True)
        if inside.any()
    ]
    return float(np.mean(values))


def _shown(image: npt.NDArray[np.float32], window: tuple[float, float]) -> Plane:
    """0 to 255 within the window, averaged over 2 x 2 pixels and halved, as the method sees an image."""
    low, high = window
    grey = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1) * 255
    halved: Plane = ndimage.uniform_filter(grey, 2)[::2, ::2]
    return halved


def _of_slice(one: Plane, other: Plane, mask: npt.NDArray[np.bool_]) -> float:
    inside = mask[::2, ::2]
    weighted, weights = 0.0, 0.0
    for axis in (0, 1):
        mine, theirs = _details(one, axis), _details(other, axis)
        similar = [
            (2 * mine[scale] * theirs[scale] + _C) / (mine[scale] ** 2 + theirs[scale] ** 2 + _C) for scale in (0, 1)
        ]
        local = 1 / (1 + np.exp(-_ALPHA * (similar[0] + similar[1]) / 2))
        weight = np.maximum(mine[2], theirs[2])
        weighted += float((local * weight)[inside].sum())
        weights += float(weight[inside].sum())
    if weights == 0:
        return 1.0
    share = weighted / weights
    return float((np.log(share / (1 - share)) / _ALPHA) ** 2)


def _details(image: Plane, axis: int) -> list[Plane]:
    """Absolute Haar coefficients at scales of 2, 4 and 8 pixels, undecimated."""
    found = []
    for scale in range(1, _SCALES + 1):
        size = 2**scale
        step = np.ones(size)
        step[: size // 2] = -1
        along = ndimage.convolve1d(image, step, axis=axis, mode="constant")
        across = ndimage.convolve1d(along, np.ones(size), axis=1 - axis, mode="constant")
        found.append(np.abs(across) / size)
    return found
