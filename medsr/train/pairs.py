"""Training pairs: a degraded neighbourhood with its condition maps, and the slice that was there.

Degradation is done by the operators of medsr.physics, the same that degrade, restore and judge.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from medsr.models.inputs import HU_SCALE, condition, neighbours
from medsr.physics import AreaAverage, KSpaceTruncation, LinearOperator, OverlapAverage
from medsr.physics.ct_noise import added_sigma
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan, Stack

__all__ = ["Pair", "PairDraw"]

_MARGIN = 16
_FOREGROUND_SHARE = 0.3
_SINGLE_SLICE_SHARE = 0.08
_NOISE_FREE_SHARE = 0.35

Pair = tuple[torch.Tensor, torch.Tensor]


class PairDraw:
    """Draws pairs from scans; every draw depends on `rng` alone, so that a training can be resumed."""

    def __init__(self, recipe: Recipe, scans: list[Scan], rng: np.random.Generator) -> None:
        weights = np.array([scan.weight for scan in scans])
        self.recipe, self.scans, self.rng = recipe, scans, rng
        self._shares = weights / weights.sum()
        self._torch = torch.Generator()

    def batch(self, size: int) -> Pair:
        """(B, C, P, P) inputs and (B, 1, P, P) targets, float32, channels last."""
        pairs = [self.pair() for _ in range(size)]
        inputs = torch.stack([pair[0] for pair in pairs]).contiguous(memory_format=torch.channels_last)
        return inputs, torch.stack([pair[1] for pair in pairs])

    def pair(self) -> Pair:
        """One pair of a random scan, task and level."""
        self._torch.manual_seed(int(self.rng.integers(2**31)))
        superres = self.rng.random() < self.recipe.superres_share
        scan = self.scans[self.rng.choice(len(self.scans), p=self._shares)]
        margin = _MARGIN if superres else 0
        stack = self._stack(scan, self.recipe.patch + 2 * margin, full_support=superres)
        if stack is None:
            return self.pair()
        values, noise, inside = self._crop(stack, self.recipe.patch + 2 * margin)
        clean = self._clean(values)
        sigma_own = stack.sigma
        scale = float(self.rng.choice(self.recipe.scales)) if superres else 1.0
        degraded, sigma = self._degrade(clean, noise, sigma_own, scale)
        window = slice(margin, margin + self.recipe.patch)
        slices = degraded[inside][:, window, window]
        centre = inside[len(inside) // 2]
        given = condition(slices, sigma=sigma, scale=scale, gap=0.0)
        return self._turned(given, clean[centre : centre + 1, window, window])

    def _stack(self, scan: Scan, side: int, *, full_support: bool) -> Stack | None:
        fits = [s for s in scan.stacks if min(s.values.shape[1:]) >= side and (s.full_support or not full_support)]
        return fits[self.rng.integers(len(fits))] if fits else None

    def _crop(
        self, stack: Stack, side: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None, list[int]]:
        """Neighbouring slices of a foreground window, the noise of the same place, and the order of the input."""
        count, rows, columns = stack.values.shape
        reach = self.recipe.network.slices // 2
        floor = 0.05 if self.recipe.modality == "MR" else -500
        for _ in range(20):
            centre = int(self.rng.integers(count))
            row = int(self.rng.integers(rows - side + 1))
            column = int(self.rng.integers(columns - side + 1))
            window = np.s_[row : row + side, column : column + side]
            if (stack.values[centre][window] > floor).mean() > _FOREGROUND_SHARE:
                break
        single = self.rng.random() < _SINGLE_SLICE_SHARE
        order = [centre] * (2 * reach + 1) if single else neighbours(centre, count, reach)
        if self.rng.random() < 0.5:
            order = order[::-1]
        unique = sorted(set(order))
        values = stack.values[unique][(slice(None), *window)].astype(np.float32)
        noise = None
        if stack.noise is not None:
            mixture = self.rng.standard_normal(len(stack.noise))
            mixture /= np.linalg.norm(mixture)
            fields = stack.noise[:, unique][(slice(None), slice(None), *window)].astype(np.float32)
            noise = np.tensordot(mixture, fields, (0, 0)).astype(np.float32)
        return values, noise, [unique.index(index) for index in order]

    def _clean(self, values: npt.NDArray[np.float32]) -> torch.Tensor:
        """Scaled target slices; MR intensities are remapped so that contrast and coil shading do not matter."""
        clean = torch.from_numpy(values)
        if self.recipe.modality == "CT":
            return clean / HU_SCALE
        if self.rng.random() < 0.5:
            clean = clean.clamp_min(0) ** float(self.rng.uniform(0.6, 1.6)) * float(self.rng.uniform(0.7, 1.2))
        if self.rng.random() < 0.15:
            clean = torch.where(clean > 0.02, 1 - 0.8 * clean, clean).clamp_min(0) * float(self.rng.uniform(0.7, 1.0))
        return clean

    def _degrade(
        self,
        clean: torch.Tensor,
        noise: npt.NDArray[np.float32] | None,
        sigma_own: float,
        scale: float,
    ) -> tuple[torch.Tensor, float | torch.Tensor]:
        """A+ (A x + n) on the grid of x, and sigma of n in scaled units."""
        if scale == 1.0:
            if self.recipe.modality == "MR":
                return self._magnitude(
                    clean,
                    self._log_uniform(*self.recipe.noise_percent) / 100,
                    varying=True,
                )
            sigma = added_sigma(sigma_own, self._log_uniform(*self.recipe.dose_fraction)) / HU_SCALE
            return clean + sigma * torch.from_numpy(_required(noise)), sigma
        operator = self._operator(clean, scale)
        coarse = operator.forward(clean.movedim(0, -1))
        noisy = self.rng.random() >= _NOISE_FREE_SHARE
        if self.recipe.modality == "MR":
            sigma = self._log_uniform(0.4, 6.0) / 100 if noisy else 0.0
            measured = self._magnitude(coarse, sigma, varying=False)[0] if noisy else coarse.abs()
        else:
            sigma = added_sigma(sigma_own, self._log_uniform(0.15, 0.9)) / HU_SCALE if noisy else 0.0
            field = torch.from_numpy(_required(noise)).movedim(0, -1)
            measured = coarse + sigma * field[: coarse.shape[0], : coarse.shape[1]]
        return operator.pinv(measured).movedim(-1, 0), sigma

    def _operator(self, clean: torch.Tensor, scale: float) -> LinearOperator:
        rows, columns = int(clean.shape[1]), int(clean.shape[2])
        shape = (rows, columns, int(clean.shape[0]))
        if self.recipe.modality == "MR":
            return KSpaceTruncation.by_scale(shape, scale)
        if scale == int(scale):
            return AreaAverage(shape, (int(scale), int(scale)))
        return OverlapAverage(shape, (round(rows / scale), round(columns / scale)))

    def _magnitude(
        self, signal: torch.Tensor, sigma: float, *, varying: bool
    ) -> tuple[torch.Tensor, float | torch.Tensor]:
        """Rician magnitude; one time in four with a smooth map of sigma, as parallel imaging leaves it."""
        level: float | torch.Tensor = sigma
        if varying and self.rng.random() < 0.25:
            side = signal.shape[-1]
            line = torch.linspace(-1, 1, side)
            slope = self.rng.uniform(-0.35, 0.35, 2)
            level = sigma * (1.3 + float(slope[0]) * line[:, None] + float(slope[1]) * line[None])
        real = signal + level * torch.randn(signal.shape, generator=self._torch)
        imaginary = level * torch.randn(signal.shape, generator=self._torch)
        return (real.square() + imaginary.square()).sqrt(), level

    def _log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(math.log(low), math.log(high))))

    def _turned(self, given: torch.Tensor, target: torch.Tensor) -> Pair:
        flips = [axis for axis in (1, 2) if self.rng.random() < 0.5]
        given, target = given.flip(flips), target.flip(flips)
        if self.rng.random() < 0.5:
            given, target = given.transpose(1, 2), target.transpose(1, 2)
        return given, target


def _required(noise: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32]:
    if noise is None:
        raise ValueError("CT stacks carry a noise bank")
    return noise
