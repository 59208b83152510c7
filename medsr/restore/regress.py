"""The regressor, slice by slice: estimate, then projection onto the data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from medsr.models.generator import GeneratorConfig
from medsr.models.inputs import condition, neighbours
from medsr.physics import Operator
from medsr.restore.consistency import project
from medsr.restore.intensity import PADDING_HU, Intensity
from medsr.restore.tiles import run_slice
from medsr.volume import Volume

__all__ = ["InPlaneResult", "Lifted", "Progress", "put_slice", "restore_in_plane"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class InPlaneResult:
    """Image and estimate on the fine grid, in image units, and what it took; spread is the samples' sd, if any."""

    image: npt.NDArray[np.float32]
    estimate: npt.NDArray[np.float32]
    network_s: float
    projection_weight: float
    residual_rms: float
    spread: npt.NDArray[np.float32] | None = None


def restore_in_plane(
    measured: Volume,
    network: Callable[[torch.Tensor], torch.Tensor],
    *,
    config: GeneratorConfig,
    operator: Operator,
    intensity: Intensity,
    sigma: float,
    scale: float,
    denoise_only: bool,
    memory_bytes: int,
    progress: Progress | None = None,
) -> InPlaneResult:
    """Restore a volume whose operator leaves slices independent.

    Parameters
    ----------
    measured : y, on the coarse grid.
    network : maps (1, C, H, W) scaled input to (1, 1, H, W).
    sigma : noise to be removed, in image units.
    scale : in-plane factor that the network is told.
    denoise_only : True if A is the identity: there is no null space, and projecting would put the noise back.
    memory_bytes : above this a slice is tiled.

    Returns
    -------
    Image and estimate in (I, J, K), Fortran order, so that a slice is contiguous for the usual slice axis.
    """
    linear = operator.linear
    axis = measured.geometry.slice_axis
    count = measured.geometry.shape[axis]
    estimate = np.empty(linear.fine_shape, np.float32, order="F")
    image = estimate if denoise_only else np.empty_like(estimate)
    lifted = Lifted(measured, operator, intensity)
    magnitude = measured.modality == "MR"
    spent, weights, energies = 0.0, [], []
    for index in range(count):
        window = neighbours(index, count, config.slices // 2)
        slices = torch.stack([lifted.fine(neighbour) for neighbour in window])
        given = condition(slices, sigma=sigma / intensity.divisor, scale=scale, gap=0.0)
        started = time.process_time()
        output = run_slice(network, given, config=config, memory_bytes=memory_bytes) * intensity.divisor
        spent += time.process_time() - started
        put_slice(estimate, output, index, axis)
        if not denoise_only:
            corrected = project(
                lifted.coarse(index),
                output.unsqueeze(axis),
                linear=linear.slab(index, index + 1),
                noise=operator.noise,
                sigma=sigma,
                magnitude=magnitude,
            )
            put_slice(image, corrected.image.squeeze(axis), index, axis)
            weights.append(corrected.weight)
            energies.append(corrected.residual_rms**2)
        if progress:
            progress(index + 1, count)
    weight = float(np.mean(weights)) if weights else 0.0
    rms = float(np.sqrt(np.mean(energies))) if energies else float("nan")
    return InPlaneResult(image, estimate, spent, weight, rms)


class Lifted:
    """A+ y slice by slice, in scaled units, with the last few kept: each serves several neighbourhoods."""

    def __init__(self, measured: Volume, operator: Operator, intensity: Intensity) -> None:
        self._measured, self._operator, self._intensity = measured, operator, intensity
        self._axis = measured.geometry.slice_axis
        self._kept: dict[int, torch.Tensor] = {}

    def coarse(self, index: int) -> torch.Tensor:
        """Slice `index` of y as a (I', J', K') tensor of one slice, in image units, fill values replaced."""
        part = [slice(None)] * 3
        part[self._axis] = slice(index, index + 1)
        values = np.array(self._measured.values[tuple(part)], dtype=np.float32, order="C")
        if self._measured.padding is not None and self._measured.modality == "CT":
            values[self._measured.padding[tuple(part)]] = PADDING_HU
        return torch.from_numpy(values)

    def fine(self, index: int) -> torch.Tensor:
        """Slice `index` of A+ y, (H, W), in scaled units."""
        if index not in self._kept:
            while len(self._kept) > 8:
                self._kept.pop(next(iter(self._kept)))
            linear = self._operator.linear.slab(index, index + 1)
            self._kept[index] = linear.pinv(self.coarse(index)).squeeze(self._axis) / self._intensity.divisor
        return self._kept[index]


def put_slice(target: npt.NDArray[np.float32], values: torch.Tensor, index: int, axis: int) -> None:
    """Write one slice (H, W) into a volume."""
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = index
    target[tuple(place)] = values.numpy()
