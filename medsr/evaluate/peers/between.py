"""Classical slices between slices: linear, cubic, optical flow; and thin slices out of thick ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.registration import optical_flow_tvl1
from skimage.transform import warp

from medsr.evaluate.peers.peer import Peer
from medsr.evaluate.peers.problem import Problem
from medsr.physics import SliceMask, SliceProfile

__all__ = ["BETWEEN", "flow_between"]

Array = npt.NDArray[np.float32]


def linear(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """Linear interpolation along the slice axis."""
    return _along(problem, order=1)


def cubic(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """Cubic spline along the slice axis."""
    return _along(problem, order=3)


def flow(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """TVL1 optical flow between the known neighbours, each warped half way (or its share of the way), averaged.

    References
    ----------
    Zach et al., Pattern Recognition (DAGM), 214 (2007), doi 10.1007/978-3-540-74936-3_22.
    """
    positions = _positions(problem)
    result = _along(problem, order=1)
    for index, place in enumerate(positions):
        below = int(np.clip(np.floor(place), 0, len(problem.values) - 1))
        share = float(place - below)
        if 1e-6 < share < 1 - 1e-6 and below + 1 < len(problem.values):
            result[index] = flow_between(problem.values[below], problem.values[below + 1], share)
    return result


def flow_between(first: Array, second: Array, share: float) -> Array:
    """The image `share` of the way from `first` to `second`."""
    low, high = float(min(first.min(), second.min())), float(max(first.max(), second.max()))
    if high <= low:
        return first
    one, other = ((image - low) / (high - low) for image in (first, second))
    rows = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    there, back = optical_flow_tvl1(one, other), optical_flow_tvl1(other, one)
    early = warp(first, rows + share * back, mode="edge", preserve_range=True, order=1)
    late = warp(second, rows + (1 - share) * there, mode="edge", preserve_range=True, order=1)
    return np.asarray((1 - share) * early + share * late, np.float32)


def _positions(problem: Problem) -> npt.NDArray[np.float64]:
    """Where each slice of x lies, counted in slices of y."""
    index = np.arange(problem.fine_slices, dtype=np.float64)
    if isinstance(problem.linear, SliceMask):
        return np.asarray(np.interp(index, problem.linear.kept, np.arange(len(problem.linear.kept))), np.float64)
    if isinstance(problem.linear, SliceProfile):
        index = (index - (problem.linear.thickness - 1) / 2) / problem.linear.step
    return index


def _along(problem: Problem, *, order: int) -> Array:
    """Spline interpolation of the acquired slices at the positions of x; edges are held."""
    positions = np.clip(_positions(problem), 0, len(problem.values) - 1)
    order = min(order, len(problem.values) - 1)
    if order == 1:
        below = np.minimum(np.floor(positions).astype(int), len(problem.values) - 2)
        share = (positions - below).astype(np.float32)[:, None, None]
        return np.asarray((1 - share) * problem.values[below] + share * problem.values[below + 1], np.float32)
    weights = _cubic_matrix(positions, len(problem.values))
    return np.asarray(np.einsum("sk,kij->sij", weights, problem.values), np.float32)


def _cubic_matrix(positions: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """(S, count) weights of the cubic spline: its values for every unit vector."""
    columns = [ndimage.map_coordinates(np.eye(count)[k], [positions], order=3, mode="mirror") for k in range(count)]
    return np.stack(columns, 1)


BETWEEN: tuple[Peer, ...] = (
    Peer("linear", linear),
    Peer("cubic", cubic),
    Peer("TVL1 flow", flow, slow=True),
)
"""Peers for lost and for thick slices."""
