"""Image quality against a reference, in the units a physicist expects.

The reference is a scan with noise of its own, so an error can never reach zero (see :func:`excess_rmse`), and a
noisy reference rewards invented noise (see :func:`gradient_ratio`). Stacks are (S, N1, N2).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

__all__ = [
    "body_mask_ct",
    "excess_rmse",
    "flat_bias",
    "flat_part",
    "foreground_mr",
    "gradient_energy",
    "gradient_ratio",
    "patch_means",
    "psnr",
    "rank_correlation",
    "rmse",
    "spread_ratio",
    "ssim",
]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CT_NOISE_CORRELATION = 0.62
"""Lag-1 correlation of CT noise under a Hann-filtered back-projection."""
_FLAT_SHARE = 30
_PATCH = 8


def foreground_mr(reference: Array) -> Mask:
    """Foreground of a stack: above 8 % of the 99th percentile after smoothing, filled slice by slice."""
    smooth = ndimage.gaussian_filter(reference, (0, 2, 2))
    mask = smooth > 0.08 * np.percentile(reference, 99)
    return np.stack([ndimage.binary_fill_holes(image) for image in mask])


def body_mask_ct(reference: Array) -> Mask:
    """Body of a CT stack: above -500 HU, opened, largest piece, filled slice by slice."""
    mask = ndimage.binary_opening(reference > -500, structure=np.ones((1, 3, 3)), iterations=2)
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = ndimage.sum(mask, labels, range(1, count + 1))
        mask = labels == 1 + int(np.argmax(sizes))
    return np.stack([ndimage.binary_fill_holes(image) for image in mask])


def flat_part(reference: Array, mask: Mask) -> Mask:
    """The flattest 30 % of the mask, by the gradient of the reference smoothed over 2 px."""
    gradient = np.stack([ndimage.gaussian_gradient_magnitude(image, 2.0) for image in reference])
    flat: Mask = mask & (gradient <= np.percentile(gradient[mask], _FLAT_SHARE))
    return flat


def rmse(image: Array, reference: Array, mask: Mask) -> float:
    """Root mean square error inside the mask, in image units."""
    difference = (image - reference)[mask].astype(np.float64)
    return float(np.sqrt(np.mean(difference**2)))


def psnr(image: Array, reference: Array, mask: Mask, *, peak: float) -> float:
    """20 log10(peak / RMSE) inside the mask, in dB; `peak` is the 99.9th percentile of the reference."""
    return 20 * math.log10(peak / max(rmse(image, reference, mask), 1e-12 * peak))


def ssim(image: Array, reference: Array, mask: Mask, *, peak: float) -> float:
    """Mean structural similarity inside the mask, slice by slice, Gaussian window of 1.5 px, data range `peak`.

    References
    ----------
    Wang et al., IEEE Trans Image Process 13, 600 (2004), doi 10.1109/TIP.2003.819861.
    """
    values = []
    for one, other, inside in zip(image, reference, mask, strict=True):
        if inside.any():
            _, local = structural_similarity(
                one, other, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
            )
            values.append(local[inside].mean())
    return float(np.mean(values))


def excess_rmse(error: float, floor: float) -> float:
    """sqrt(error^2 - floor^2): the error beyond what the reference's own noise makes unavoidable.

    With noise inserted into a noisy scan the best output is (1 - d) x_clean + d y, whose error is
    floor = sigma_body sqrt(1 - d).
    """
    return math.sqrt(max(error**2 - floor**2, 0.0))


def gradient_energy(image: Array, mask: Mask) -> float:
    """Sum over both in-plane axes of the mean squared difference of neighbours inside the mask."""
    total = 0.0
    for axis in (1, 2):
        step = np.diff(image.astype(np.float64), axis=axis)
        both = np.take(mask, range(mask.shape[axis] - 1), axis) & np.take(mask, range(1, mask.shape[axis]), axis)
        total += float((step[both] ** 2).mean())
    return total


def gradient_ratio(image: Array, reference: Array, mask: Mask, *, sigma: float, correlation: float) -> float:
    """G(image) / (G(reference) - 2 sigma^2 (1 - rho_1) an axis): 1 is as sharp as the reference without its noise.

    Parameters
    ----------
    sigma : of the reference's own noise, in image units.
    correlation : rho_1 of that noise between neighbouring pixels.

    Returns
    -------
    NaN where less than a tenth of the reference's energy would be left: there is nothing to compare with.
    """
    whole = gradient_energy(reference, mask)
    left = whole - 4 * sigma**2 * (1 - correlation)
    return gradient_energy(image, mask) / left if left > 0.1 * whole else float("nan")


def flat_bias(image: Array, reference: Array, flat: Mask) -> float:
    """Mean of image minus reference over the flat part, in image units."""
    return float(np.mean((image - reference)[flat].astype(np.float64)))


def spread_ratio(spread: Array, error: Array, mask: Mask, *, samples: int) -> float:
    """sqrt(mean sd^2 (1 + 1/K)) / rms(mean - x): 1 where the samples spread as far as the mean errs."""
    predicted = float(np.sqrt(np.mean(spread[mask].astype(np.float64) ** 2) * (1 + 1 / samples)))
    return predicted / float(np.sqrt(np.mean(error[mask].astype(np.float64) ** 2)))


def rank_correlation(predictor: Array, error: Array, mask: Mask) -> float:
    """Spearman's correlation of the rms of predictor and error over 8 x 8 patches that lie in the mask."""
    first, second, inside = (patch_means(values) for values in (predictor**2, error**2, mask.astype(np.float32)))
    chosen = inside > 0.5
    return float(stats.spearmanr(first[chosen], second[chosen]).statistic)


def patch_means(values: Array) -> Array:
    """Means of a stack over 8 x 8 pixel patches; a rim that fills no patch is left out."""
    rows, columns = (size // _PATCH for size in values.shape[1:])
    cut = values[:, : rows * _PATCH, : columns * _PATCH]
    means: Array = cut.reshape(len(values), rows, _PATCH, columns, _PATCH).mean((2, 4))
    return means
