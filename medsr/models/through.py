"""What the through-plane generator is fed: two known slices a side, a start between them, and maps.

One plan serves thick slices (SliceProfile) and lost ones (SliceMask), in training and in restoration alike: every
thin slice lies somewhere among known slices, and is asked for from the four nearest of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from medsr.errors import Refusal
from medsr.models.inputs import NOISE_GAIN, neighbours
from medsr.physics import LinearOperator, SliceMask, SliceProfile

__all__ = [
    "THROUGH_MAPS_TEXT",
    "Bracket",
    "Start",
    "bracketed",
    "brackets",
    "row_norms",
    "start_matrix",
    "through_condition",
]

THROUGH_MAPS_TEXT = (
    "10 sigma of the noise in the known slices, scaled units",
    "log2 of the slice thickness in thin slices",
    "log2 of the distance of the known neighbours in thin slices",
    "place of the centre between its neighbours, -0.5 at the one before, 0.5 at the one after",
)
"""What the condition maps of a through-plane network hold, in input order."""

Start = Literal["linear", "consistent"]
"""What a network was trained to start from; its bundle says which."""

_NEIGHBOURS = 4


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where one thin slice lies among the known ones.

    Parameters
    ----------
    known : indices into y of the second slice before, the one before, the one after and the second after; mirrored
        at the ends of the stack.
    place : position between the one before (0) and the one after (1); outside 0 to 1 beyond the outermost centres.
    distance : between the one before and the one after, in thin slices.
    """

    known: tuple[int, int, int, int]
    place: float
    distance: float

    @property
    def share(self) -> float:
        """The place as interpolation takes it; nothing is extrapolated."""
        return min(1.0, max(0.0, self.place))

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """Cubic interpolation from the four known slices; their sum is 1.

        Better than linear interpolation on held-out training scans, so the network starts from it
        (docs/decisions/0401).

        References
        ----------
        Keys, IEEE Trans Acoust Speech Signal Process 29, 1153 (1981), doi 10.1109/TASSP.1981.1163711, eq. 15.
        """
        t = self.share
        return (
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        )


def brackets(linear: LinearOperator) -> list[Bracket]:
    """The bracket of every slice of x along the operator's slice axis.

    Raises
    ------
    Refusal : ``operator.parameter``, for an operator that does not act along the slice axis.
    """
    if isinstance(linear, SliceMask):
        centres = np.asarray(linear.kept, float)
    elif isinstance(linear, SliceProfile):
        centres = (linear.thickness - 1) / 2 + linear.step * np.arange(linear.count)
    else:
        raise Refusal("operator.parameter", f"{linear.kind} does not act along the slice axis")
    count = len(centres)
    if count == 1:
        return [Bracket((0, 0, 0, 0), 0.5, 1.0) for _ in range(linear.fine_shape[linear.slice_axis])]
    found = []
    for index in range(linear.fine_shape[linear.slice_axis]):
        before = int(np.clip(np.searchsorted(centres, index + 1e-6) - 1, 0, count - 2))
        distance = float(centres[before + 1] - centres[before])
        window = neighbours(before, count, 2)[1:]
        place = float(index - centres[before]) / distance
        found.append(Bracket((window[0], window[1], window[2], window[3]), place, distance))
    return found


def start_matrix(linear: LinearOperator, start: Start = "consistent") -> torch.Tensor:
    """(S, K) float32 map from the K slices of y to where the network starts.

    ``linear`` interpolates between the two nearest. ``consistent`` is W + A+ (I - A W) with the cubic interpolation
    W: it agrees with the measurement; lost slices are interpolated, acquired ones are themselves.
    """
    if isinstance(linear, SliceMask):
        return _start(SliceMask((1, 1, linear.shape[linear.slice_axis]), linear.kept, 2), start)
    if isinstance(linear, SliceProfile):
        size = linear.shape[linear.slice_axis]
        return _start(SliceProfile((1, 1, size), linear.thickness, linear.step, linear.profile, 2), start)
    raise Refusal("operator.parameter", f"{linear.kind} does not act along the slice axis")


@lru_cache(maxsize=64)
def _start(linear: SliceMask | SliceProfile, start: Start) -> torch.Tensor:
    """The matrix for one column of voxels."""
    size = linear.shape[2]
    plan, count = brackets(linear), linear.coarse_shape[2]
    weights = torch.zeros(size, count, dtype=torch.float64)
    for index, bracket in enumerate(plan):
        share = bracket.share
        terms = (0.0, 1 - share, share, 0.0) if start == "linear" else bracket.weights
        for known, weight in zip(bracket.known, terms, strict=True):
            weights[index, known] += weight
    if start == "linear":
        return weights.float().contiguous()
    unit = torch.eye(count, dtype=torch.float64)
    columns = weights.T[:, None, None, :]
    missed = unit[:, None, None, :] - linear.forward(columns)
    return (columns + linear.pinv(missed))[:, 0, 0, :].T.float().contiguous()


def bracketed(known: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """(5, H, W) input slices: the four known ones (4, H, W) with the start (H, W) in their middle."""
    if known.shape[0] != _NEIGHBOURS:
        raise ValueError(f"four known slices, not {known.shape[0]}")
    return torch.stack([known[0], known[1], centre, known[2], known[3]])


def through_condition(
    slices: torch.Tensor, bracket: Bracket, *, sigma: float | torch.Tensor, thickness: float
) -> torch.Tensor:
    """Append the condition maps to the five slices (5, H, W) in scaled units; returns (9, H, W).

    sigma is the noise of the known slices in scaled units; thickness that of the slice profile in thin slices, 1
    for lost slices.
    """
    maps = slices.new_empty((len(THROUGH_MAPS_TEXT), *slices.shape[-2:]))
    maps[0] = NOISE_GAIN * sigma
    maps[1] = math.log2(thickness)
    maps[2] = math.log2(max(bracket.distance, 1.0))
    maps[3] = bracket.place - 0.5
    return torch.cat([slices, maps])


def row_norms(linear: LinearOperator) -> float:
    """Noise of one known slice relative to independent noise of sd 1 in the thin ones; 1 for lost slices."""
    if not isinstance(linear, SliceProfile):
        return 1.0
    size = linear.shape[linear.slice_axis]
    alone = SliceProfile((1, 1, size), linear.thickness, linear.step, linear.profile, 2)
    spread = alone.adjoint(torch.eye(linear.count)[:, None, None, :])
    return float(spread.square().sum(-1).sqrt().mean())
