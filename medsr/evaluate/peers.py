"""What a user already has: classical methods on the same inputs, each at its best setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from medsr.physics import LinearOperator

__all__ = ["best_of", "cubic", "nlm_candidates", "unbiased", "zero_filled"]

Array = npt.NDArray[np.float32]

_NLM_STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.3)
_PAD = 4


def unbiased(image: Array, sigma: float) -> Array:
    """sqrt(max(x^2 - sigma^2, 0)): the Rician correction of a denoised magnitude image.

    References
    ----------
    Gudbjartsson and Patz, Magn Reson Med 34, 910 (1995), doi 10.1002/mrm.1910340618.
    """
    return np.sqrt(np.maximum(image**2 - sigma**2, 0)).astype(np.float32)


def nlm_candidates(noisy: Array, sigma: float, *, magnitude: bool, blends: tuple[float, ...] = ()) -> Iterator[Array]:
    """scikit-image's 3-D non-local means of a stack (S, N1, N2) over a grid of strengths.

    Magnitude images come raw and Rician-corrected; each also blended with the input, (1 - b) x + b y, for every b
    of `blends`. The caller takes the best, so no setting is held against the peer.
    """
    pad = _PAD if len(noisy) > _PAD else len(noisy) - 1
    padded = np.pad(noisy, ((pad, pad), (0, 0), (0, 0)), mode="reflect") if pad else noisy
    scaled = padded / sigma
    for strength in _NLM_STRENGTHS:
        cleaned = denoise_nl_means(
            scaled, patch_size=3, patch_distance=4, h=strength, sigma=1.0, fast_mode=True, preserve_range=True
        )
        plain = (cleaned[pad : len(cleaned) - pad] if pad else cleaned).astype(np.float32) * np.float32(sigma)
        for image in (plain, unbiased(plain, sigma)) if magnitude else (plain,):
            yield image
            for blend in blends:
                yield ((1 - blend) * image + blend * noisy).astype(np.float32)


def best_of(candidates: Iterator[Array], error: Callable[[Array], float]) -> tuple[Array, float]:
    """The candidate of least error, and its error; the reference itself chooses, in the peer's favour."""
    best: tuple[Array, float] | None = None
    for image in candidates:
        value = error(image)
        if best is None or value < best[1]:
            best = (image, value)
    if best is None:
        raise ValueError("no candidates")
    return best


def zero_filled(measured: Array, linear: LinearOperator) -> Array:
    """A+ y: zero-filling for k-space, replication for area averages. Axes (I, J, K)."""
    return linear.pinv(torch.from_numpy(np.ascontiguousarray(measured))).numpy()


def cubic(measured: Array, linear: LinearOperator) -> Array:
    """Cubic spline interpolation of y (I', J', K') to the fine grid, fields of view aligned."""
    coordinates = [
        (np.arange(fine) + 0.5) * coarse / fine - 0.5
        for fine, coarse in zip(linear.fine_shape, linear.coarse_shape, strict=True)
    ]
    grid = np.meshgrid(*coordinates, indexing="ij")
    values: Array = ndimage.map_coordinates(measured, grid, order=3, mode="nearest").astype(np.float32)
    return values
