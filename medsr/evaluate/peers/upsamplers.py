"""Classical super-resolution in plane: interpolation, back-projection, and priors with data consistency."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from medsr.evaluate.peers.peer import Peer
from medsr.evaluate.peers.problem import Problem

__all__ = ["UPSAMPLERS", "interpolated", "lanczos_matrix"]

Array = npt.NDArray[np.float32]

_LANCZOS = 3
_TV_ROUNDS, _TV_ITERATIONS = 15, 30
_NLM_ROUNDS = 2


def zero_filled(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """A+ y: zero-filling for k-space, replication for area averages."""
    return problem.pinv(problem.values)


def cubic(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """Cubic spline interpolation, fields of view aligned."""
    return interpolated(problem.values, problem)


def interpolated(values: Array, problem: Problem) -> Array:
    """Cubic spline of a stack on the coarse grid at the centres of the fine one."""
    shape = _fine_plane(problem)
    positions = [(np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(shape, values.shape[1:], strict=True)]
    grid = np.meshgrid(*positions, indexing="ij")
    return np.asarray([ndimage.map_coordinates(image, grid, order=3, mode="nearest") for image in values], np.float32)


def lanczos(problem: Problem, strength: float) -> Array:  # noqa: ARG001  # every peer has a strength
    """Lanczos-3 interpolation."""
    rows, columns = _fine_plane(problem)
    first = lanczos_matrix(rows, problem.values.shape[1])
    second = lanczos_matrix(columns, problem.values.shape[2])
    return np.asarray(np.einsum("ij,bjk,lk->bil", first, problem.values, second), np.float32)


def lanczos_matrix(fine: int, coarse: int) -> npt.NDArray[np.float64]:
    """(fine, coarse) weights; rows sum to 1, indices beyond the edge are taken at the edge."""
    position = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    start = np.floor(position).astype(int)
    weights = np.zeros((fine, coarse))
    for offset in range(1 - _LANCZOS, _LANCZOS + 1):
        distance = position - (start + offset)
        value = np.where(np.abs(distance) < _LANCZOS, np.sinc(distance) * np.sinc(distance / _LANCZOS), 0.0)
        np.add.at(weights, (np.arange(fine), np.clip(start + offset, 0, coarse - 1)), value)
    normalised: npt.NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return normalised


def back_projection(problem: Problem, strength: float) -> Array:
    """Iterative back-projection with cubic upsampling of the residual, `strength` rounds.

    References
    ----------
    Irani and Peleg, CVGIP Graph Models Image Process 53, 231 (1991), doi 10.1016/1049-9652(91)90045-L.
    """
    image = interpolated(problem.values, problem)
    for _ in range(round(strength)):
        image = image + interpolated(problem.values - problem.forward(image), problem)
    return image


def tv_pocs(problem: Problem, strength: float) -> Array:
    """Total variation and projection onto the data in turn; weight `strength` thousandths of the image's range."""
    weight = strength / 1000
    image = problem.pinv(problem.values)
    for _ in range(_TV_ROUNDS):
        smooth = [
            denoise_tv_chambolle(plane / problem.unit, weight=weight, max_num_iter=_TV_ITERATIONS) for plane in image
        ]
        image = _consistent(np.stack(smooth).astype(np.float32) * np.float32(problem.unit), problem)
    return image


def nlm_with_data(problem: Problem, strength: float) -> Array:
    """Non-local means and projection onto the data in turn, from cubic; h in hundredths of the image's range."""
    image = _consistent(interpolated(problem.values, problem), problem)
    for _ in range(_NLM_ROUNDS):
        smooth = [
            denoise_nl_means(
                plane / np.float32(problem.unit), patch_size=5, patch_distance=6, h=strength / 100, fast_mode=True
            )
            for plane in image
        ]
        image = _consistent(np.stack(smooth).astype(np.float32) * np.float32(problem.unit), problem)
    return image


def _consistent(image: Array, problem: Problem) -> Array:
    """x + A+ (y - A x)."""
    return image + problem.pinv(problem.values - problem.forward(image))


def _fine_plane(problem: Problem) -> tuple[int, int]:
    first, second = (size for axis, size in enumerate(problem.linear.fine_shape) if axis != problem.axis)
    return first, second


UPSAMPLERS: tuple[Peer, ...] = (
    Peer("A+ y", zero_filled),
    Peer("cubic", cubic),
    Peer("Lanczos", lanczos),
    Peer("IBP", back_projection, (1.0, 3.0, 10.0, 30.0)),
    Peer("TV-POCS", tv_pocs, (1.0, 2.0, 4.0, 8.0, 16.0), slow=True),
    Peer("NLM + DC", nlm_with_data, (1.0, 2.0, 4.0, 8.0), slow=True),
)
"""In-plane super-resolution in the order of the tables."""
