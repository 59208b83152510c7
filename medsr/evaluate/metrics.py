"""Image quality against a reference, in the units a physicist expects.

The reference is a scan with noise of its own, so an error can never reach zero; see :func:`excess_rmse`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.metrics import structural_similarity

__all__ = ["body_mask_ct", "excess_rmse", "flat_bias", "foreground_mr", "gradient_ratio", "psnr", "rmse", "ssim"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def foreground_mr(reference: Array) -> Mask:
    """Foreground of a stack (S, N1, N2): above 8 % of the 99th percentile after smoothing, filled slice by slice."""
    smooth = ndimage.gaussian_filter(reference, (0, 2, 2))
    mask = smooth > 0.08 * np.percentile(reference, 99)
    return np.stack([ndimage.binary_fill_holes(image) for image in mask])


def body_mask_ct(reference: Array) -> Mask:
    """Body of a CT stack (S, N1, N2): above -500 HU, opened, largest piece, filled slice by slice."""
    mask = ndimage.binary_opening(reference > -500, structure=np.ones((1, 3, 3)), iterations=2)
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = ndimage.sum(mask, labels, range(1, count + 1))
        mask = labels == 1 + int(np.argmax(sizes))
    return np.stack([ndimage.binary_fill_holes(image) for image in mask])


def rmse(image: Array, reference: Array, mask: Mask) -> float:
    """Root mean square error inside the mask, in image units."""
    difference = (image - reference)[mask].astype(np.float64)
    return float(np.sqrt(np.mean(difference**2)))


def psnr(image: Array, reference: Array, mask: Mask, *, peak: float) -> float:
    """20 log10(peak / RMSE) inside the mask, in dB; `peak` is the 99.9th percentile of the reference."""
    return 20 * math.log10(peak / rmse(image, reference, mask))


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


def gradient_ratio(image: Array, reference: Array, mask: Mask) -> float:
    """In-plane gradient energy of the image over that of the reference inside the mask; 1 is as sharp."""
    energies = []
    for stack in (image, reference):
        first = np.diff(stack, axis=1, append=stack[:, -1:])
        second = np.diff(stack, axis=2, append=stack[:, :, -1:])
        energies.append(float((first.astype(np.float64) ** 2 + second.astype(np.float64) ** 2)[mask].sum()))
    return energies[0] / energies[1]


def flat_bias(image: Array, reference: Array, mask: Mask) -> float:
    """Mean of image minus reference inside the mask, in image units."""
    return float(np.mean((image - reference)[mask].astype(np.float64)))
