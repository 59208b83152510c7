"""Honest denoising figures from repeated scans: real noise, and no reference is made up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from medsr.evaluate.cases import stack_of
from medsr.evaluate.metrics import foreground_mr
from medsr.evaluate.peers.denoisers import NLM
from medsr.evaluate.peers.peer import Setting, finished
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.scans import EvaluationScan
from medsr.physics import Identity
from medsr.physics.estimate import estimate_noise
from medsr.restore.intensity import percentile_of_positive
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.volume import Volume

__all__ = ["RepeatRow", "repeat_rows", "sigma_of_pair", "squared_error"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CONTEXT = 2


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """A method on one repetition, judged by the others.

    error is the estimated RMSE against the noise-free scan, in % of q, and gain that of the input over it in dB;
    pairs is the number of ordered pairs (input, target) it is the mean of.
    """

    group: str
    method: str
    error: float
    gain: float
    pairs: int


def repeat_rows(scans: list[EvaluationScan], *, slices: int, log: Callable[[str], None]) -> list[RepeatRow]:
    """Every group of at least three repetitions (``NAME_rep1``, ``NAME_rep2``, ...) with the role ``repeats``.

    Restorations know nothing but the one repetition: noise is estimated from it.
    """
    groups: dict[str, list[EvaluationScan]] = {}
    for scan in scans:
        name, _, number = scan.name.rpartition("_rep")
        if scan.role == "repeats" and name and number.isdigit():
            groups.setdefault(name, []).append(scan)
    rows = []
    for name, members in groups.items():
        if len(members) >= 3:
            found = _group_rows(name, [scan.volume for scan in members], slices=slices)
            log(f"{name}: " + ", ".join(f"{row.method} {row.gain:+.2f} dB" for row in found))
            rows += found
    return rows


def _group_rows(name: str, volumes: list[Volume], *, slices: int) -> list[RepeatRow]:
    slabs = [_middle(volume, slices) for volume in volumes]
    stacks = [stack_of(slab.values, slab) for slab in slabs]
    q = percentile_of_positive(volumes[0].values)
    outputs = {
        "input": stacks,
        "NLM 3-D": [_nlm(slab) for slab in slabs],
        "restored": [stack_of(restore(slab, RestoreRequest("denoise")).image, slab) for slab in slabs],
    }
    errors = {method: _mean_squared_errors(images, stacks) for method, images in outputs.items()}
    return [
        RepeatRow(
            name,
            method,
            math.sqrt(max(value, 0.0)) / q * 100,
            10 * math.log10(errors["input"] / max(value, 1e-12)) if value > 0 else float("inf"),
            len(stacks) * (len(stacks) - 1),
        )
        for method, value in errors.items()
    ]


def _mean_squared_errors(images: list[Array], stacks: list[Array]) -> float:
    """Mean over ordered pairs (i, j): |image_i - scan_j|^2 - sigma_j^2, sigma_j from scan j and a third scan."""
    count, found = len(stacks), []
    for i in range(count):
        for j in range(count):
            if i != j:
                third = next(k for k in range(count) if k not in (i, j))
                sigma = sigma_of_pair(stacks[j], stacks[third])
                found.append(squared_error(images[i], stacks[j], sigma))
    return float(np.mean(found))


def squared_error(image: Array, target: Array, sigma: float) -> float:
    """Estimate of the mean squared error of `image` against what `target` would be without its noise `sigma`.

    The target's noise is independent of the image, so |image - target|^2 = error^2 + sigma^2 in the mean; its
    scale is fitted to the image's slice by slice.

    References
    ----------
    Lehtinen et al., Noise2Noise, ICML 2018, arXiv 1803.04189, section 2.
    """
    total, count = 0.0, 0
    for one, other, inside in zip(image, target, _usable(target), strict=True):
        gain = _gain(one, other, inside)
        difference = (one - gain * other)[inside].astype(np.float64)
        total += float((difference**2).sum() - (gain * sigma) ** 2 * difference.size)
        count += difference.size
    return total / max(count, 1)


def sigma_of_pair(first: Array, second: Array) -> float:
    """Noise of one of two repetitions: rms of their difference over sqrt(2), scales fitted slice by slice."""
    squares = []
    for one, other, inside in zip(first, second, _usable(first), strict=True):
        gain = _gain(one, other, inside)
        difference = (one - gain * other)[inside].astype(np.float64)
        squares.append((difference**2).mean() / (1 + gain**2))
    return float(np.sqrt(np.mean(squares)))


def _usable(stack: Array) -> Mask:
    """Foreground without values at the maximum, which a window may have clipped."""
    usable: Mask = foreground_mr(stack) & (stack < stack.max())
    return usable


def _gain(one: Array, other: Array, inside: Mask) -> float:
    """Factor of `other` at which it lies nearest to `one`; total least squares, since both are noisy."""
    first, second = one[inside].astype(np.float64), other[inside].astype(np.float64)
    a, b, c = float(first @ first), float(second @ second), float(first @ second)
    return (a - b + math.sqrt((a - b) ** 2 + 4 * c**2)) / (2 * c)


def _middle(volume: Volume, slices: int) -> Volume:
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    wanted = min(count, slices + 2 * _CONTEXT)
    first = (count - wanted) // 2
    place = [slice(None)] * 3
    place[axis] = slice(first, first + wanted)
    values = np.asfortranarray(volume.values[tuple(place)])
    return replace(volume, values=values, geometry=volume.geometry.slices(first, first + wanted), padding=None)


def _nlm(slab: Volume) -> Array:
    """Non-local means at its usual strength with Rician correction, told the same blind estimate."""
    sigma = estimate_noise(slab).sigma
    axis = slab.geometry.slice_axis
    problem = Problem(
        values=stack_of(slab.values, slab),
        linear=Identity(slab.geometry.shape, axis),
        axis=axis,
        sigma=sigma,
        magnitude=True,
        dose=None,
        unit=percentile_of_positive(slab.values),
        spacing_mm=slab.geometry.spacing_mm[0],
        seed=0,
    )
    setting = Setting(NLM.usual, corrected=True)
    return finished(NLM.run(problem, setting.strength), problem, setting)
