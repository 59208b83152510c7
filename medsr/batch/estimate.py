"""How long a run will take and how much memory a scan needs: from headers and a two-second trial."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from medsr.batch.item import BatchOptions, Item
from medsr.io import describe, is_nifti
from medsr.pipeline.walk import restore_volume
from medsr.volume import Geometry, Source, Volume

__all__ = ["Estimate", "estimate_run"]

_TRIAL_S = 2.0
_TRIAL_SHAPE = (128, 128, 4)
_BASE_MB = 650.0
"""Of a worker that has loaded torch, before any scan (tools/measure_memory.py)."""
_BYTES_A_VOXEL = 12.0
"""Measurement, estimate and restored image, float32 each; in-plane super-resolution has its own factor."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a run that was not made.

    Parameters
    ----------
    scans, unreadable : how many; the headers of the unreadable ones say nothing.
    voxels : of all readable scans, as they will be restored.
    seconds : of the whole run on the workers asked for.
    peak_mb : of the worker that takes the largest scan.
    """

    scans: int
    unreadable: int
    voxels: int
    seconds: float
    peak_mb: float

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {name: getattr(self, name) for name in self.__slots__}


def estimate_run(items: Sequence[Item], options: BatchOptions, *, workers: int) -> Estimate:
    """Voxels from headers, seconds a voxel from a trial on made-up noise with the method asked for."""
    growth = _growth(options)
    sizes = [size * growth for item in items if (size := _voxels(item)) is not None]
    rate = _seconds_a_voxel(options)
    largest = max(sizes, default=0.0)
    return Estimate(
        scans=len(items),
        unreadable=len(items) - len(sizes),
        voxels=round(sum(sizes)),
        seconds=round(sum(sizes) * rate / max(1, workers), 1),
        peak_mb=round(_BASE_MB + largest * _BYTES_A_VOXEL / 2**20, 0),
    )


def _growth(options: BatchOptions) -> float:
    request = options.request
    return (request.scale or 1.0) ** 2 * (request.through or 1.0)


def _voxels(item: Item) -> float | None:
    path = Path(item.path)
    if path.is_file() and is_nifti(path):
        try:
            shape = nibabel.Nifti1Image.from_filename(path).shape
        except (OSError, ValueError, nibabel.filebasedimages.ImageFileError):
            return None
        return float(math.prod(shape)) if len(shape) == 3 else None
    stated = describe(path, pick=item.pick).facts.get("shape")
    return float(math.prod(stated)) if isinstance(stated, list) else None


def _seconds_a_voxel(options: BatchOptions) -> float:
    """Of a trial that is long enough to mean something: the slices double until it is."""
    rng = np.random.default_rng(0)
    rows, columns, slices = _TRIAL_SHAPE
    started, spent, voxels = time.monotonic(), 0.0, 1.0
    while spent < _TRIAL_S:
        values = np.abs(rng.normal(100, 5, (rows, columns, slices))).astype(np.float32)
        values[: rows // 4] = np.abs(rng.normal(0, 5, (rows // 4, columns, slices)))
        geometry = Geometry(values.shape, np.diag([1.0, 1.0, 2.0, 1.0]), 2)
        volume = Volume(values, geometry, "MR", "arbitrary", Source("trial", "0" * 64, "memory"))
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            restore_volume(volume, options.request, policy=options.policy).save(folder)
        spent = time.monotonic() - started
        voxels, slices = values.size * _growth(options), slices * 2
        once = time.monotonic() - begun
    return once / voxels
