"""Classical denoisers: non-local means, total variation, wavelets, BM3D and BM4D."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from medsr.evaluate.peers.peer import Peer
from medsr.evaluate.peers.problem import Problem

__all__ = ["DENOISERS", "NLM"]

Array = npt.NDArray[np.float32]

_NLM_PATCH, _NLM_REACH = 3, 3
_BM4D_BLOCK = 4
_DIPY_PAD = 4
_DIPY_OFFSET = 3.0


def nlm_3d(problem: Problem, strength: float) -> Array:
    """scikit-image's non-local means in 3-D; the filter's h is `strength` times sigma."""
    scaled = problem.values / np.float32(problem.sigma)
    cleaned = denoise_nl_means(
        scaled,
        patch_size=_NLM_PATCH,
        patch_distance=_NLM_REACH,
        h=strength,
        sigma=1.0,
        fast_mode=True,
        preserve_range=True,
    )
    # scikit-image drops an axis of one slice.
    return np.asarray(cleaned * problem.sigma, np.float32).reshape(problem.values.shape)


def total_variation(problem: Problem, strength: float) -> Array:
    """Chambolle's total variation, slice by slice, weight `strength` sigma."""
    scale = np.float32(problem.sigma)
    return np.stack([denoise_tv_chambolle(image / scale, weight=strength) * scale for image in problem.values]).astype(
        np.float32
    )


def wavelet(problem: Problem, strength: float) -> Array:
    """BayesShrink soft thresholds on Daubechies-2 wavelets, slice by slice, told `strength` sigma."""
    scale = np.float32(problem.sigma)
    cleaned = [
        denoise_wavelet(image / scale, sigma=strength, wavelet="db2", method="BayesShrink", mode="soft") * scale
        for image in problem.values
    ]
    return np.stack(cleaned).astype(np.float32)


def dipy_nlmeans(problem: Problem, strength: float) -> Array:
    """DIPY's blockwise non-local means; Rician for magnitude images.

    It ruins the borders of thin stacks and assumes positive data: slices are mirrored out by four, CT is offset.
    """
    from dipy.denoise.nlmeans import nlmeans

    offset = 0.0 if problem.magnitude else _DIPY_OFFSET * problem.unit
    pad = min(_DIPY_PAD, max(len(problem.values) - 1, 0))
    padded = np.pad(problem.values.astype(np.float64), ((pad, pad), (0, 0), (0, 0)), mode="reflect") + offset
    sigma = np.full(padded.shape, strength * problem.sigma)
    cleaned = nlmeans(padded, sigma=sigma, rician=problem.magnitude, patch_radius=1, block_radius=3, num_threads=1)
    inner = cleaned[pad : len(cleaned) - pad] if pad else cleaned
    return np.asarray(inner - offset, np.float32)


def bm4d_stack(problem: Problem, strength: float) -> Array:
    """BM4D of the whole stack, told `strength` sigma; for CT the power spectrum of the noise, slices independent.

    References
    ----------
    Maggioni et al., IEEE Trans Image Process 22, 119 (2013), doi 10.1109/TIP.2012.2210725.
    """
    from bm4d import bm4d

    def run(values: npt.NDArray[np.float64], sigma: float | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the package calls numpy.trapz
            return np.asarray(bm4d(values, np.ascontiguousarray(sigma) if isinstance(sigma, np.ndarray) else sigma))

    scaled = problem.values.astype(np.float64) / problem.sigma
    level: float | npt.NDArray[np.float64] = strength
    if problem.dose:
        level = np.broadcast_to(problem.noise_psd() / problem.sigma**2 * strength**2, scaled.shape) * len(scaled)
    if len(scaled) >= _BM4D_BLOCK:
        return np.asarray(run(scaled, level) * problem.sigma, np.float32)
    # only the last axis may be shorter than a block
    level = level if isinstance(level, float) else np.moveaxis(level, 0, 2)
    cleaned = run(np.ascontiguousarray(np.moveaxis(scaled, 0, 2)), level)
    return np.asarray(np.moveaxis(cleaned, 2, 0) * problem.sigma, np.float32)


def bm3d_slices(problem: Problem, strength: float) -> Array:
    """BM3D slice by slice, told the power spectrum of the noise times `strength` squared.

    References
    ----------
    Makinen et al., IEEE Trans Image Process 29, 8339 (2020), doi 10.1109/TIP.2020.3014721 (correlated noise).
    """
    from bm3d import bm3d

    psd = problem.noise_psd() / problem.sigma**2 * strength**2
    cleaned = [bm3d(image.astype(np.float64) / problem.sigma, psd) * problem.sigma for image in problem.values]
    return np.stack(cleaned).astype(np.float32)


NLM = Peer("NLM 3-D", nlm_3d, (0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.7), denoises=True)

DENOISERS: tuple[Peer, ...] = (
    NLM,
    Peer("TV", total_variation, (0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2, 3.0), denoises=True),
    Peer("wavelet", wavelet, (0.6, 0.8, 1.0, 1.2, 1.6, 2.2), denoises=True),
    Peer(
        "DIPY nlmeans",
        dipy_nlmeans,
        (0.4, 0.55, 0.7, 1.0, 1.4, 2.0),
        module="dipy",
        extra="peers",
        slow=True,
        denoises=True,
    ),
    Peer("BM3D", bm3d_slices, module="bm3d", extra="peers-nc", slow=True, denoises=True),
    Peer("BM4D", bm4d_stack, module="bm4d", extra="peers-nc", slow=True, denoises=True),
)
"""Denoisers in the order of the tables. BM3D and BM4D are licensed for non-commercial use only."""
