"""Training scans in memory: stacks of slices with their variants, split by subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.errors import MedsrError, UsageError
from medsr.io import read
from medsr.io.subjects import subjects_of
from medsr.physics.support import cut_to_support, spectral_edges
from medsr.volume import Volume

__all__ = ["Scan", "Stack", "mr_scan", "read_scans"]

Log = Callable[[str], None]

_ISOTROPIC = 1.3
_SMALLEST_SIDE = 64
_K_SPACE_CUTS = (0.75, 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of one scan at one sampling.

    values : (S, N1, N2), MR float16 in units of the 99.9th percentile, CT int16 in HU.
    full_support : True where every frequency up to Nyquist was measured, as super-resolution pairs need.
    noise : (F, S, N1, N2) float16 noise fields of local sd 1, CT only.
    sigma : of the scan's own noise, in the units of values (CT: HU), 0 where it is not used.
    """

    values: npt.NDArray[np.float16] | npt.NDArray[np.int16]
    full_support: bool
    noise: npt.NDArray[np.float16] | None = None
    sigma: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One training file: its subject and its stacks; weight is its share in the draw."""

    name: str
    subject: str
    stacks: tuple[Stack, ...]
    weight: float
    spacing_mm: tuple[float, float, float]


def read_scans(folder: Path, prepare: Callable[[Volume, str, str], Scan | None], *, log: Log) -> list[Scan]:
    """Read every NIfTI file below `folder` and prepare it; what cannot be read is said and left out.

    Raises
    ------
    UsageError : ``train.no_scans``, if nothing usable is there.
    """
    subjects = subjects_of(folder)
    scans = []
    for path in sorted(folder.rglob("*.nii.gz")):
        key = path.relative_to(folder).as_posix()
        subject = subjects.get(key) or subjects.get(path.name) or path.name.split(".")[0]
        try:
            scan = prepare(read(path), path.name.removesuffix(".nii.gz"), subject)
        except MedsrError as error:
            log(f"left out {path.name}: {error}")
            continue
        if scan is not None:
            scans.append(scan)
    if not scans:
        raise UsageError("train.no_scans", f"no usable NIfTI scan below {folder.name}")
    log(f"{len(scans)} scans of {len({scan.subject for scan in scans})} subjects")
    return scans


def mr_scan(volume: Volume, name: str, subject: str) -> Scan | None:
    """Stacks of an MR scan: as acquired, with interpolated frequencies cut, at coarser matrices, other planes.

    Spacing is augmented by k-space cuts to 3/4 and 1/2; a near-isotropic scan also gives its other two planes.
    Returns None where no slice is at least 64 pixels wide.
    """
    base = np.ascontiguousarray(np.moveaxis(volume.values, volume.geometry.slice_axis, 0))
    positive = base[base > 0]
    base = np.divide(np.maximum(base, 0), np.percentile(positive, 99.9), dtype=np.float32)
    middle = base[len(base) // 4 : 3 * len(base) // 4 + 1]
    edges = spectral_edges(middle)
    supported = cut_to_support(base, edges)
    stacks = [] if supported is base else [_stack(base, full_support=False)]
    stacks.append(_stack(supported, full_support=True))
    stacks += [_stack(cut_to_support(supported, (cut, cut)), full_support=True) for cut in _K_SPACE_CUTS]
    spacing = volume.geometry.spacing_mm
    isotropic = max(spacing) < _ISOTROPIC * min(spacing)
    if isotropic:
        stacks += [
            _stack(
                np.ascontiguousarray(np.moveaxis(supported, axis, 0)),
                full_support=False,
            )
            for axis in (1, 2)
        ]
    usable = tuple(stack for stack in stacks if min(stack.values.shape[1:]) >= _SMALLEST_SIDE)
    if not usable:
        return None
    weight = float(np.sqrt(base.size) * (2.0 if isotropic else 1.0))
    return Scan(name, subject, usable, weight, spacing)


def _stack(values: npt.NDArray[np.float32], *, full_support: bool) -> Stack:
    return Stack(values.astype(np.float16), full_support)
