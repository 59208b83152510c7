"""How long a job should take, to tell one that hangs from one that is large."""

from __future__ import annotations

from math import prod

from medsr.restore.request import RestoreRequest
from medsr.volume import Volume

__all__ = ["estimate_s"]

_START_S = 10.0
_RESTORE_S = 8e-6
"""A voxel of the restored grid through one network on one core in float32, with data consistency."""
_STEPS = 5
"""Networks a voxel passes for each sample of a diffusion."""
_JUDGE_S = 4e-6
"""A voxel of the restored grid through every channel, with report and files."""


def estimate_s(volume: Volume, request: RestoreRequest | None) -> float:
    """Wall clock of one thread for a job, on the generous side; request is None where nothing is restored."""
    factor = 1.0
    if request is not None:
        factor = (request.scale or 1.0) ** 2 * (request.through or 1.0)
    voxels = prod(volume.geometry.shape) * factor
    if request is None:
        return _START_S + _JUDGE_S * voxels
    networks = _STEPS * request.samples if request.method == "diffusion" else 1
    return _START_S + (_RESTORE_S * networks + _JUDGE_S) * voxels
