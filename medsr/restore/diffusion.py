"""Restoration by samples: the regressor, then a few-step bridge around it, consistent with the data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from medsr.models.bridge import BridgeSettings, residual_scale
from medsr.models.engine import TorchEngine
from medsr.models.inputs import condition, neighbours
from medsr.models.levels import level_name
from medsr.physics import LinearOperator, Operator
from medsr.restore.consistency import project, residual
from medsr.restore.intensity import Intensity
from medsr.restore.regress import InPlaneResult, Lifted, Progress, put_slice
from medsr.restore.sampler import Consistency, Draw, paired_noise, sample, step_weight
from medsr.restore.tiles import run_slice
from medsr.volume import Volume

__all__ = ["Sampling", "restore_by_samples"]

_SEED_STRIDE = 1_000_003


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """Both networks, the bridge's settings, and how often it is asked."""

    regressor: TorchEngine
    bridge: TorchEngine
    settings: BridgeSettings
    samples: int
    seed: int


def restore_by_samples(
    measured: Volume,
    sampling: Sampling,
    *,
    operator: Operator,
    intensity: Intensity,
    sigma: float,
    scale: float,
    denoise_only: bool,
    memory_bytes: int,
    first: int = 0,
    progress: Progress | None = None,
) -> InPlaneResult:
    """Restore a volume whose operator leaves slices independent, by samples.

    Parameters
    ----------
    measured : y, on the coarse grid.
    sigma : noise to be removed, in image units.
    scale : in-plane factor that the networks are told.
    denoise_only : True if A is the identity: there is no null space, and projecting would put the noise back.
    memory_bytes : above this each network call is tiled; the sampler itself never is.
    first : place of the first slice in the whole scan; a slice has the same samples in any part of it.

    Returns
    -------
    image is the mean of the samples, estimate the mean of their last estimates before projection, spread their
    standard deviation times the bundle's multiplier for the level; 0 for a single sample. Slices are sampled
    independently, each from its own seed; samples come in pairs of opposite noise.
    """
    linear, axis = operator.linear, measured.geometry.slice_axis
    count = measured.geometry.shape[axis]
    image = np.empty(linear.fine_shape, np.float32, order="F")
    estimate, spread = np.empty_like(image), np.empty_like(image)
    lifted = Lifted(measured, operator, intensity)
    slices = sampling.regressor.network.config.slices
    multiplier = sampling.settings.multiplier(level_name("denoise" if denoise_only else "superres", scale))
    spent, rms = 0.0, []
    for index in range(count):
        window = neighbours(index, count, slices // 2)
        stack = torch.stack([lifted.fine(neighbour) for neighbour in window])
        given = condition(stack, sigma=sigma / intensity.divisor, scale=scale, gap=0.0)
        part = _Part(lifted.coarse(index), linear.slab(index, index + 1), operator, intensity, sigma, axis)
        started = time.process_time()
        draws = _draws(
            given, sampling, None if denoise_only else part, memory_bytes, sampling.seed * _SEED_STRIDE + first + index
        )
        spent += time.process_time() - started
        images = torch.stack([draw.image for draw in draws])
        put_slice(image, images.mean(0) * intensity.divisor, index, axis)
        put_slice(estimate, torch.stack([draw.estimate for draw in draws]).mean(0) * intensity.divisor, index, axis)
        deviation = images.std(0) if len(draws) > 1 else torch.zeros_like(images[0])
        put_slice(spread, multiplier * deviation * intensity.divisor, index, axis)
        if not denoise_only:
            rms.append(part.residual_rms(torch.stack([draw.estimate for draw in draws]).mean(0)))
        if progress:
            progress(index + 1, count)
    residual_rms = float(np.sqrt(np.mean(np.square(rms)))) if rms else float("nan")
    return InPlaneResult(image, estimate, spent, 0.0 if denoise_only else 1.0, residual_rms, spread)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One slice of the measurement with its operator, for images (H, W) in scaled units."""

    measured: torch.Tensor
    linear: LinearOperator
    operator: Operator
    intensity: Intensity
    sigma: float
    axis: int

    def consistency(self, local: torch.Tensor, last: float) -> Consistency:
        """Projection of a batch of one; the last step weighs the residual as it is, not as the schedule expects."""
        noise, sigma = self.operator.noise, self.sigma
        magnitude, divisor = self.intensity.modality == "MR", self.intensity.divisor

        def consistent(estimate: torch.Tensor, at: float) -> torch.Tensor:
            x = (estimate[0, 0] * divisor).unsqueeze(self.axis)
            if at <= last:
                moved = project(
                    self.measured, x, linear=self.linear, noise=noise, sigma=sigma, magnitude=magnitude
                ).image
            else:
                difference = residual(
                    self.measured, x, linear=self.linear, noise=noise, sigma=sigma, magnitude=magnitude
                )
                moved = x + step_weight(at, local, sigma / divisor) * self.linear.pinv(difference)
            return moved.squeeze(self.axis)[None, None] / divisor

        return consistent

    def residual_rms(self, estimate: torch.Tensor) -> float:
        """Root mean square of y - E[y | A x], image units."""
        difference = residual(
            self.measured,
            (estimate * self.intensity.divisor).unsqueeze(self.axis),
            linear=self.linear,
            noise=self.operator.noise,
            sigma=self.sigma,
            magnitude=self.intensity.modality == "MR",
        )
        return float(difference.double().square().mean().sqrt())


def _draws(given: torch.Tensor, sampling: Sampling, part: _Part | None, memory_bytes: int, seed: int) -> list[Draw]:
    """K samples of one slice, images (H, W)."""
    regressor, bridge = sampling.regressor, sampling.bridge
    regressed = run_slice(regressor, given, config=regressor.network.config, memory_bytes=memory_bytes)[None, None]
    slices = regressor.network.config.slices
    local = residual_scale(given[None], regressed, sampling.settings.scale_weights, slices=slices)

    def predict(x: torch.Tensor) -> torch.Tensor:
        call: Callable[[torch.Tensor], torch.Tensor] = bridge.residual
        return run_slice(call, x[0], config=bridge.network.config, memory_bytes=memory_bytes)[None, None]

    consistent = part.consistency(local, sampling.settings.steps[-1]) if part is not None else None
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for noise in paired_noise(regressed.shape, sampling.samples, generator):
        drawn = sample(
            predict,
            given[None],
            regressed,
            local,
            steps=sampling.settings.steps,
            noise=noise,
            consistent=consistent,
        )
        draws.append(Draw(drawn.image[0, 0], drawn.estimate[0, 0]))
    return draws
