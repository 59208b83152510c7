"""Restorations whose truth is known: a perfect restorer, a lesion too many, a lesion missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import fft

from medsr.physics import GaussianNoise, Identity, LinearOperator, MagnitudeNoise, NoiseModel, Operator
from medsr.physics.lesions import contrast_for, disc_at
from medsr.records import NoiseLevel, Restoration
from medsr.volume import Volume
from tests.support.volumes import MADE, geometry

Array = npt.NDArray[np.float32]
Shape = tuple[int, int, int]

MR_SIGMA, CT_SIGMA = 30.0, 20.0
SHAPE: Shape = (128, 112, 3)


def ct_spectrum(shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Noise power of a soft filtered back-projection in rfft2 layout, mean 1: nothing at zero, little at Nyquist."""
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None])
    power = np.maximum(radius, 0.004) * np.exp(-((radius / 0.18) ** 2))
    weights = np.full(power.shape, 2.0)
    weights[:, 0] = 1.0
    weights[:, -1] = 1.0 if shape[1] % 2 == 0 else 2.0
    return power / ((power * weights).sum() / (shape[0] * shape[1]))


def ct_noise(shape: Shape, rng: np.random.Generator) -> Array:
    """Correlated noise of sd 1, slices independent."""
    spectrum = np.sqrt(ct_spectrum(shape[:2]))
    planes = [fft.irfft2(fft.rfft2(rng.standard_normal(shape[:2])) * spectrum, shape[:2]) for _ in range(shape[2])]
    return np.asfortranarray(np.stack(planes, 2).astype(np.float32))


def body(shape: Shape, *, inside: float, outside: float) -> Array:
    """A smooth ellipse with a soft rim, the same on every slice."""
    first, second = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    share = 1 / (1 + np.exp((np.hypot(first / 0.86, second / 0.82) - 1) * 60))
    plane = outside + (inside - outside) * share
    return np.asfortranarray(np.repeat(plane[:, :, None], shape[2], 2).astype(np.float32))


def mr_restoration(truth: Array, image: Array, *, sigma: float = MR_SIGMA, seed: int = 0) -> Restoration:
    """Rician measurement of `truth` beside any image."""
    rng = np.random.default_rng(seed)
    real, imaginary = rng.normal(0, sigma, (2, *truth.shape))
    values = np.asfortranarray(np.hypot(truth + real, imaginary).astype(np.float32))
    return _restoration(values, image, "MR", MagnitudeNoise(sigma), NoiseLevel(sigma, "rician", "declared"))


def ct_restoration(truth: Array, image: Array, *, sigma: float = CT_SIGMA, seed: int = 0) -> Restoration:
    """Measurement of `truth` in HU with correlated noise beside any image."""
    values = np.asfortranarray(truth + np.float32(sigma) * ct_noise(truth.shape, np.random.default_rng(seed)))
    return _restoration(values, image, "CT", GaussianNoise(sigma), NoiseLevel(sigma, "gaussian", "estimated"))


def perfect(modality: str, *, shape: Shape = SHAPE, seed: int = 0) -> Restoration:
    """A restoration that is the truth itself: its residual is the noise."""
    if modality == "MR":
        truth = body(shape, inside=800, outside=0)
        return mr_restoration(truth, truth.copy(order="F"), seed=seed)
    truth = body(shape, inside=40, outside=-1000)
    return ct_restoration(truth, truth.copy(order="F"), seed=seed)


def lesion(modality: str, dprime: float, diameter: float, place: tuple[int, int], *, shape: Shape = SHAPE) -> Array:
    """A disc on the middle slice, detectable at `dprime` in the restorations of this file; a volume of `shape`."""
    side = 128
    nps = ct_spectrum((side, side)) if modality == "CT" else None
    sigma = CT_SIGMA if modality == "CT" else MR_SIGMA
    volume = np.zeros(shape, np.float32, order="F")
    contrast = contrast_for(dprime, diameter, sigma=sigma, nps=nps, side=side)
    volume[:, :, shape[2] // 2] = contrast * disc_at(shape[:2], place, diameter)
    return volume


def with_added(restoration: Restoration, structure: Array) -> Restoration:
    """The same with a structure added to image and estimate, which the scan never showed."""
    image = np.asfortranarray(restoration.image + structure)
    return replace(restoration, image=image, estimate=image)


def _restoration(values: Array, image: Array, modality: str, noise: NoiseModel, level: NoiseLevel) -> Restoration:
    grid = geometry(values.shape)
    unit = "HU" if modality == "CT" else "arbitrary"
    volume = Volume(values, grid, modality, unit, MADE)  # type: ignore[arg-type]  # a str from a test's parameter
    linear: LinearOperator = Identity(values.shape)
    operator = Operator(linear, noise, "declared")
    return Restoration(volume, image, image, grid, operator, "denoise", None, level)
