"""The through-plane network: thin slices from thick ones, and lost slices from their neighbours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from medsr.models.generator import GeneratorConfig
from medsr.models.through import Start, bracketed, brackets, start_matrix, through_condition
from medsr.physics import Operator, SliceMask, SliceProfile
from medsr.restore.consistency import residual
from medsr.restore.intensity import PADDING_HU, Intensity
from medsr.restore.regress import InPlaneResult, Progress, put_slice
from medsr.restore.tiles import run_slice
from medsr.volume import Volume

__all__ = ["restore_through"]

_BLOCK_BYTES = 64 << 20
_SMALLEST_WEIGHT = 1e-6
_MOST_KEPT = 16


def restore_through(
    measured: Volume,
    network: Callable[[torch.Tensor], torch.Tensor],
    *,
    config: GeneratorConfig,
    operator: Operator,
    intensity: Intensity,
    sigma: float,
    allowed: float,
    start: Start,
    memory_bytes: int,
    progress: Progress | None = None,
) -> InPlaneResult:
    """Restore a volume whose operator acts along the slice axis.

    Parameters
    ----------
    measured : y, thick or acquired slices only.
    network : maps (1, C, H, W) scaled input to (1, 1, H, W).
    sigma : noise of y that the network is told of, in image units.
    allowed : noise of y that data consistency allows for; 0 projects hard.
    start : what the network was trained to start from.
    memory_bytes : above this a slice is tiled.

    Returns
    -------
    Of lost slices the acquired ones stand in image and estimate as they were measured. Thin slices are projected
    onto the thick ones as a whole stack, in blocks of columns: the operator does not mix columns.
    """
    linear, axis = operator.linear, operator.linear.slice_axis  # type: ignore[attr-defined]  # both kinds have one
    plan = brackets(linear)
    kept = set(linear.kept) if isinstance(linear, SliceMask) else set()
    thickness = linear.thickness if isinstance(linear, SliceProfile) else 1.0
    estimate = np.empty(linear.fine_shape, np.float32, order="F")
    known = _Known(measured, axis, intensity.divisor)
    begin, spent = start_matrix(linear, start), 0.0
    wanted = [index for index in range(len(plan)) if index not in kept]
    for done, index in enumerate(wanted, 1):
        slices = bracketed(torch.stack([known.scaled(k) for k in plan[index].known]), known.mixed(begin[index]))
        given = through_condition(slices, plan[index], sigma=float(sigma / intensity.divisor), thickness=thickness)
        started = time.process_time()
        output = run_slice(network, given, config=config, memory_bytes=memory_bytes) * intensity.divisor
        spent += time.process_time() - started
        put_slice(estimate, output, index, axis)
        if progress:
            progress(done, len(wanted))
    if isinstance(linear, SliceMask):
        for place, index in enumerate(linear.kept):
            put_slice(estimate, torch.from_numpy(np.array(np.moveaxis(measured.values, axis, 0)[place])), index, axis)
        return InPlaneResult(estimate, estimate, spent, 1.0, float("nan"))
    image, weight, rms = _projected(measured, estimate, operator, allowed)
    return InPlaneResult(image, estimate, spent, weight, rms)


class _Known:
    """Slices of y in scaled units, with the last few kept: each serves several thin ones."""

    def __init__(self, measured: Volume, axis: int, divisor: float) -> None:
        self._measured, self._axis, self._divisor = measured, axis, divisor
        self._kept: dict[int, torch.Tensor] = {}

    def scaled(self, index: int) -> torch.Tensor:
        """Slice `index` of y, (H, W), CT fill values replaced."""
        if index not in self._kept:
            while len(self._kept) > _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[index] = torch.from_numpy(_filled(self._measured, index, self._axis)) / self._divisor
        return self._kept[index]

    def mixed(self, weights: torch.Tensor) -> torch.Tensor:
        """The slices of y weighted and added, (H, W); weights below a millionth are left out."""
        places = torch.nonzero(weights.abs() > _SMALLEST_WEIGHT).flatten().tolist()
        total = weights[places[0]] * self.scaled(places[0])
        for place in places[1:]:
            total = total + weights[place] * self.scaled(place)
        return total


def _filled(measured: Volume, index: int, axis: int) -> npt.NDArray[np.float32]:
    values = np.array(np.moveaxis(measured.values, axis, 0)[index], dtype=np.float32, order="C")
    if measured.padding is not None and measured.modality == "CT":
        values[np.moveaxis(measured.padding, axis, 0)[index]] = PADDING_HU
    return values


def _projected(
    measured: Volume, estimate: npt.NDArray[np.float32], operator: Operator, sigma: float
) -> tuple[npt.NDArray[np.float32], float, float]:
    """x + w A+ (y - E[y | A x]) with one Wiener weight for the whole stack; see medsr.restore.consistency."""
    magnitude, energy, count = measured.modality == "MR", 0.0, 0
    for difference, _, _ in _differences(measured, estimate, operator, sigma, magnitude):
        energy += float(difference.double().square().sum())
        count += difference.numel()
    mean = energy / count
    weight = 1.0 if sigma <= 0 else max(mean - sigma**2, 0.0) / (max(mean - sigma**2, 0.0) + sigma**2)
    image = np.empty_like(estimate)
    for difference, linear, place in _differences(measured, estimate, operator, sigma, magnitude):
        image[place] = estimate[place] + weight * linear.pinv(difference).numpy()
    return image, weight, float(np.sqrt(mean))


def _differences(
    measured: Volume, estimate: npt.NDArray[np.float32], operator: Operator, sigma: float, magnitude: bool
) -> Iterator[tuple[torch.Tensor, SliceProfile, tuple[slice, slice, slice]]]:
    """Residuals of y block by block along an in-plane axis, with the operator on the block and its place."""
    linear = operator.linear
    if not isinstance(linear, SliceProfile):
        raise TypeError(f"{linear.kind} is not projected as thick slices")
    axis = next(axis for axis in (1, 0, 2) if axis != linear.slice_axis)
    whole = linear.fine_shape
    step = max(1, _BLOCK_BYTES * whole[axis] // (4 * whole[0] * whole[1] * whole[2]))
    for start in range(0, whole[axis], step):
        place = [slice(None)] * 3
        place[axis] = slice(start, min(start + step, whole[axis]))
        box = (place[0], place[1], place[2])
        part = torch.from_numpy(np.ascontiguousarray(estimate[box]))
        y = np.array(measured.values[box], dtype=np.float32, order="C")
        if measured.padding is not None and measured.modality == "CT":
            y[measured.padding[box]] = PADDING_HU
        block = replace(linear, shape=(int(part.shape[0]), int(part.shape[1]), int(part.shape[2])))
        yield (
            residual(torch.from_numpy(y), part, linear=block, noise=operator.noise, sigma=sigma, magnitude=magnitude),
            block,
            box,
        )
