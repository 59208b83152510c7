"""The scans and levels that an evaluation runs over, with fixed seeds per subject and level."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medsr.errors import MedsrError, UsageError
from medsr.io import read
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Task
from medsr.volume import Volume

__all__ = ["LEVELS", "Case", "Level", "read_folder", "slab_of"]


@dataclass(frozen=True, slots=True)
class Level:
    """One degradation: its name in tables and what is done."""

    name: str
    task: Task
    modality: str
    noise: str | None = None
    dose: float | None = None
    scale: float | None = None


LEVELS: tuple[Level, ...] = (
    Level("MR denoise 3 %", "denoise", "MR", noise="3%"),
    Level("MR denoise 5 %", "denoise", "MR", noise="5%"),
    Level("MR denoise 9 %", "denoise", "MR", noise="9%"),
    Level("MR x2", "superres", "MR", scale=2.0),
    Level("CT quarter dose", "denoise", "CT", dose=0.25),
    Level("CT tenth dose", "denoise", "CT", dose=0.1),
    Level("CT x2", "superres", "CT", scale=2.0),
)
"""The levels that `medsr evaluate` runs by default."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A reference slab, its degraded twin, and the names of both."""

    name: str
    subject: str
    level: Level
    reference: Volume
    degraded: Volume


def read_folder(folder: Path, *, log_refused: list[str]) -> list[tuple[str, Volume]]:
    """Every NIfTI scan below `folder` that medsr reads; refusals are listed, not hidden.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, if there is none.
    """
    scans = []
    for path in sorted(folder.glob("*.nii.gz")):
        try:
            scans.append((path.name.removesuffix(".nii.gz"), read(path)))
        except MedsrError as error:
            log_refused.append(f"{path.name}: {error.code}")
    if not scans:
        raise UsageError("evaluate.no_scans", f"no readable .nii.gz scan in {folder.name}")
    return scans


def slab_of(volume: Volume, slices: int, *, even: bool) -> Volume:
    """The middle `slices` of a volume; with `even`, cut to an in-plane matrix that 4 divides.

    Cutting rows keeps the affine of voxel 0, so geometry stays true.
    """
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    first = max(0, count // 2 - slices // 2)
    last = min(count, first + slices)
    place = [slice(None)] * 3
    place[axis] = slice(first, last)
    geometry = volume.geometry.slices(first, last)
    if even:
        shape = list(geometry.shape)
        for other in geometry.in_plane_axes:
            shape[other] = shape[other] // 4 * 4
            place[other] = slice(0, shape[other])
        geometry = replace(geometry, shape=(shape[0], shape[1], shape[2]))
    padding = None if volume.padding is None else np.asfortranarray(volume.padding[tuple(place)])
    values = np.asfortranarray(volume.values[tuple(place)])
    return replace(volume, values=values, geometry=geometry, padding=padding, degradation=None)


def cases_of(name: str, volume: Volume, levels: tuple[Level, ...], *, subject: str, slices: int) -> Iterator[Case]:
    """Every level that fits the modality, each with a seed drawn from subject and level."""
    for level in levels:
        if level.modality != volume.modality:
            continue
        slab = slab_of(volume, slices, even=level.task == "superres")
        seed = int(hashlib.sha256(f"{subject} {level.name}".encode()).hexdigest()[:8], 16)
        request = DegradeRequest(level.task, scale=level.scale, noise=level.noise, dose=level.dose, seed=seed)
        yield Case(name, subject, level, slab, degrade(slab, request))
