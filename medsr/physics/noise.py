"""Noise models: what the scanner adds to A x, how to draw it and what to expect of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from medsr.errors import Refusal

__all__ = [
    "GaussianNoise",
    "MagnitudeNoise",
    "NoNoise",
    "NoiseModel",
    "ProjectionNoise",
    "noise_from_record",
]


_MOST_COILS = 128
_MOST_EXACT_COILS = 32
# Dense where the Rician floor bends the mean, then by ratio: E[y] - x falls as 1 / x beyond.
_RATIOS = np.concatenate([np.linspace(0, 40, 4001), np.geomspace(40, 400, 500)[1:]])


class NoiseModel(ABC):
    """Distribution of the measurement y given its noise-free value."""

    kind: ClassVar[str] = ""

    @property
    @abstractmethod
    def level(self) -> float:
        """Standard deviation of the underlying Gaussian noise, in image units; 0 without noise."""

    @abstractmethod
    def mean_and_sd(self, signal: torch.Tensor, sigma: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
        """E[y | signal] and sd[y | signal], elementwise, for local noise `sigma` in the units of signal."""

    @abstractmethod
    def to_record(self) -> dict[str, object]:
        """The model as JSON values."""


@dataclass(frozen=True, slots=True)
class NoNoise(NoiseModel):
    """No noise was added, or none is declared."""

    kind: ClassVar[str] = "none"

    @property
    def level(self) -> float:
        """0."""
        return 0.0

    def mean_and_sd(self, signal: torch.Tensor, sigma: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
        """The signal itself, with the noise that is measured in the scan."""
        return signal, torch.as_tensor(sigma, dtype=signal.dtype, device=signal.device).expand_as(signal)

    def to_record(self) -> dict[str, object]:
        """``{"model": "none"}``."""
        return {"model": self.kind}


@dataclass(frozen=True, slots=True)
class GaussianNoise(NoiseModel):
    """Signed, zero-mean noise of standard deviation sigma."""

    sigma: float
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        _positive("sigma", self.sigma)

    @property
    def level(self) -> float:
        """sigma."""
        return self.sigma

    def mean_and_sd(self, signal: torch.Tensor, sigma: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
        """The signal, and sigma everywhere."""
        return signal, torch.as_tensor(sigma, dtype=signal.dtype, device=signal.device).expand_as(signal)

    def to_record(self) -> dict[str, object]:
        """Model and sigma."""
        return {"model": self.kind, "sigma": self.sigma}


@dataclass(frozen=True, slots=True)
class MagnitudeNoise(NoiseModel):
    """Root sum of squares of L complex coil images with Gaussian noise: Rician (L = 1), noncentral chi (L > 1).

    y = sqrt(sum_l |x c_l + n_l|^2) with sum |c_l|^2 = 1 and n_l complex Gaussian of standard deviation sigma in
    each of the real and imaginary parts. Equal coils: E[y^2] = x^2 + 2 L sigma^2.

    Parameters
    ----------
    sigma : noise of one real channel, in image units, where the map is 1.
    coils : L, 1 to 128.
    correlation : common correlation of the noise of any two coils, 0 to below 1.
    peak : a smooth map raises sigma from 1 at the rim to `peak` in the centre of the field of view, as the
        g-factor of parallel imaging does; 1 is uniform, at most 2.5.

    References
    ----------
    Koay and Basser, J Magn Reson 179, 317 (2006), doi 10.1016/j.jmr.2006.01.016 (moments).
    Aja-Fernandez and Tristan-Vega, Magn Reson Med 65, 1195 (2011), doi 10.1002/mrm.22701 (correlated coils).
    """

    sigma: float
    coils: int = 1
    correlation: float = 0.0
    peak: float = 1.0
    kind: ClassVar[str] = "magnitude"

    def __post_init__(self) -> None:
        _positive("sigma", self.sigma)
        whole = type(self.coils) is int and 1 <= self.coils <= _MOST_COILS
        if not whole or not 0 <= self.correlation < 1 or not 1 <= self.peak <= 2.5:
            raise Refusal(
                "noise.parameter",
                f"coils {self.coils}, correlation {self.correlation}, peak {self.peak}: out of range",
            )

    @property
    def level(self) -> float:
        """sigma of one real channel where the map is 1."""
        return self.sigma

    def covariance(self) -> npt.NDArray[np.float64]:
        """(L, L) covariance of the coils' noise in units of sigma^2."""
        full = np.full((self.coils, self.coils), self.correlation)
        np.fill_diagonal(full, 1.0)
        return full

    def field(
        self,
        shape: tuple[int, int, int],
        slice_axis: int,
        dtype: torch.dtype = torch.float32,
    ) -> torch.Tensor:
        """Map of sigma over a volume of `shape`, in image units: a Gaussian bump of height peak - 1 in plane."""
        if self.peak == 1.0:
            return torch.full((1, 1, 1), self.sigma, dtype=dtype)
        squared = torch.zeros((1, 1, 1), dtype=dtype)
        for axis in range(3):
            if axis != slice_axis:
                line = torch.linspace(-1, 1, shape[axis], dtype=dtype).square() / (2 * 0.35**2)
                squared = squared + line.reshape([-1 if a == axis else 1 for a in range(3)])
        return self.sigma * (1 + (self.peak - 1) * torch.exp(-squared))

    def draw(
        self,
        signal: torch.Tensor,
        generator: torch.Generator,
        sigma: torch.Tensor | float,
    ) -> torch.Tensor:
        """A magnitude image y of the noise-free `signal` (..., any shape); `sigma` broadcasts against it."""
        mixing = torch.as_tensor(np.linalg.cholesky(self.covariance()), dtype=signal.dtype)
        white = torch.randn((2, self.coils, *signal.shape), generator=generator, dtype=signal.dtype)
        real, imaginary = torch.einsum("lm,cm...->cl...", mixing, white) * sigma
        share = signal / math.sqrt(self.coils)
        squares: torch.Tensor = ((share + real).square() + imaginary.square()).sum(0)
        return squares.sqrt()

    def mean_and_sd(self, signal: torch.Tensor, sigma: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sd of y: exact for independent coils; for correlated ones (to 5 % of sd) a gamma law of y^2.

        The gamma law has the exact mean and variance of y^2 (equal coils put the signal along the covariance's first
        eigenvector). `sigma` must be above 0.
        """
        scale = torch.as_tensor(sigma, dtype=signal.dtype, device=signal.device)
        ratio = signal.abs() / scale
        excess, sd = _moments(self.coils, self.correlation)
        known = ratio.detach().cpu().numpy()
        shift = torch.as_tensor(np.interp(known, _RATIOS, excess), dtype=ratio.dtype, device=ratio.device)
        spread = torch.as_tensor(np.interp(known, _RATIOS, sd), dtype=ratio.dtype, device=ratio.device)
        beyond = ratio.clamp_min(float(_RATIOS[-1]))
        inside = ratio <= float(_RATIOS[-1])
        shift = torch.where(inside, shift, float(excess[-1] * _RATIOS[-1]) / beyond)
        return (ratio + shift) * scale, spread * scale

    def to_record(self) -> dict[str, object]:
        """Model and parameters."""
        return {
            "model": self.kind,
            "sigma": self.sigma,
            "coils": self.coils,
            "correlation": self.correlation,
            "peak": self.peak,
        }


@dataclass(frozen=True, slots=True)
class ProjectionNoise(NoiseModel):
    """Quantum noise of CT at a fraction of the dose, made in the projections and reconstructed (see ct_noise).

    sigma_hu is the added noise, median local standard deviation in the body: sigma_full sqrt(1 / dose - 1).
    """

    sigma_hu: float
    dose_fraction: float
    kind: ClassVar[str] = "projection"

    def __post_init__(self) -> None:
        _positive("sigma_hu", self.sigma_hu)
        if not 0 < self.dose_fraction < 1:
            raise Refusal(
                "noise.parameter",
                f"dose fraction {self.dose_fraction} is not between 0 and 1",
            )

    @property
    def level(self) -> float:
        """Added noise in HU."""
        return self.sigma_hu

    def mean_and_sd(self, signal: torch.Tensor, sigma: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
        """The signal, and the local noise given."""
        return signal, torch.as_tensor(sigma, dtype=signal.dtype, device=signal.device).expand_as(signal)

    def to_record(self) -> dict[str, object]:
        """Model, added noise and dose."""
        return {
            "model": self.kind,
            "sigma_hu": self.sigma_hu,
            "dose_fraction": self.dose_fraction,
        }


def noise_from_record(record: Mapping[str, object]) -> NoiseModel:
    """Build a noise model from its record; an empty record is no noise.

    Raises
    ------
    Refusal : ``noise.unknown``, ``noise.parameter``.
    """
    models: dict[str, type[NoiseModel]] = {
        model.kind: model for model in (NoNoise, GaussianNoise, MagnitudeNoise, ProjectionNoise)
    }
    kind = record.get("model", "none")
    if not isinstance(kind, str) or kind not in models:
        raise Refusal(
            "noise.unknown",
            f"noise model {str(kind)[:40]!r} is not one of {sorted(models)}",
        )
    arguments = {str(name): value for name, value in record.items() if name != "model"}
    try:
        return models[kind](**arguments)
    except TypeError as error:
        raise Refusal("noise.parameter", f"noise {kind}: its parameters do not fit") from error


@lru_cache(maxsize=16)
def _moments(coils: int, correlation: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """E[y] - x and sd[y] at the signals `_RATIOS`, in units of sigma, float64.

    E[y^2] - E[y]^2 cancels all digits of a float32 at high signal, hence tables. Independent coils: E[y] =
    sqrt(pi / 2) L_{1/2}^{(L-1)}(-x^2 / 2) (Koay and Basser, eq. 4), here by the confluent hypergeometric function,
    which scipy cannot evaluate from about 60 coils on; there the gamma law is exact to 1e-3.
    """
    from scipy.special import gammaln, hyp1f1

    second = _RATIOS**2 + 2 * coils
    if correlation or coils > _MOST_EXACT_COILS:
        leading, rest = 1 + (coils - 1) * correlation, 1 - correlation
        variance = 4 * leading * _RATIOS**2 + 4 * (leading**2 + (coils - 1) * rest**2)
        shape = second**2 / variance
        mean = np.exp(gammaln(shape + 0.5) - gammaln(shape)) * np.sqrt(second / shape)
    else:
        gain = math.exp(float(gammaln(coils + 0.5) - gammaln(coils))) * math.sqrt(2)
        mean = gain * hyp1f1(-0.5, coils, -(_RATIOS**2) / 2)
    return mean - _RATIOS, np.sqrt(second - mean**2)


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise Refusal("noise.parameter", f"{name} is not a finite number of at least 0")
