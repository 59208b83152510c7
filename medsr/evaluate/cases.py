"""From a scan to cases: a reference slab and its degraded twin, with a fixed seed per subject and level."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from medsr.evaluate.levels import REAL_LOW_DOSE, THICKEST_MM, WIDEST_GAP_MM, Level
from medsr.evaluate.metrics import body_mask_ct, foreground_mr
from medsr.evaluate.scans import EvaluationScan
from medsr.physics import Identity, Operator, ProjectionNoise
from medsr.physics.estimate import estimate_noise
from medsr.physics.support import cut_to_support, spectral_edges
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.volume import Volume

__all__ = ["Case", "cases_of", "cropped", "real_pair", "seed_of", "slab", "stack_of", "supported"]

Array = npt.NDArray[np.float32]

_CONTEXT = 2
_CONTEXT_THICK = 2


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A reference slab, its degraded twin, and the slices of the reference that are judged.

    Slices around the judged ones are context: methods that look at neighbours see them as they would in a scan.
    """

    scan: EvaluationScan
    level: Level
    reference: Volume
    degraded: Volume
    judged: tuple[int, ...]
    seed: int

    @property
    def operator(self) -> Operator:
        """The declared operator, whatever grid the degraded scan is stored on."""
        record = (self.degraded.degradation or {})["operator"]
        return Operator.from_record(record if isinstance(record, dict) else {})


def cases_of(
    scan: EvaluationScan, levels: tuple[Level, ...], *, slices: int, window: int | None = None
) -> Iterator[Case]:
    """Every level that fits the scan's modality and spacing; `slices` are judged, from the middle of the stack.

    With `window`, denoising cases are cut to a square of so many pixels around the middle of the foreground, after
    the noise was added: denoisers look no farther than some pixels, and BM4D takes two minutes a megapixel.
    """
    for level in levels:
        if level.modality != scan.volume.modality:
            continue
        placed = _placed(scan.volume, level, slices)
        if placed is None:
            continue
        first, last, judged = placed
        part = slab(scan.volume, first, last, multiple=4 if level.scale else 1)
        if level.scale and level.modality == "MR":
            part = supported(part)
        seed = seed_of(scan.subject, level.name)
        request = DegradeRequest(
            level.task,
            scale=level.scale,
            through=level.through,
            noise=level.noise,
            dose=level.dose,
            keep=level.keep,
            seed=seed,
        )
        case = Case(scan, level, part, degrade(part, request), judged, seed)
        yield cropped(case, window) if window and level.task == "denoise" else case


def real_pair(low: EvaluationScan, full: EvaluationScan, *, slices: int, window: int | None = None) -> Case:
    """A scan taken (or published) at a fraction of the dose, against the same slices at full dose.

    The noise that the lower dose added is told to all methods: the difference of the two blind estimates.
    """
    count = _count(full.volume)
    first = max(0, count // 2 - slices // 2)
    judged = tuple(range(first, min(count, first + slices)))
    before, after = estimate_noise(full.volume).sigma, estimate_noise(low.volume).sigma
    added = math.sqrt(max(after**2 - before**2, 0.0))
    geometry = low.volume.geometry
    operator = Operator(
        Identity(geometry.shape, geometry.slice_axis), ProjectionNoise(added, low.dose), "declared"
    ).to_record()
    measured = replace(low.volume, degradation={"operator": operator})
    level = Level(REAL_LOW_DOSE, "denoise", "CT", dose=low.dose)
    case = Case(low, level, full.volume, measured, judged, seed_of(low.subject, level.name))
    return cropped(case, window) if window else case


def seed_of(subject: str, level: str) -> int:
    """The seed of a subject's noise at a level: the same in every run, on every machine."""
    return int(hashlib.sha256(f"{subject} {level}".encode()).hexdigest()[:8], 16)


def supported(volume: Volume) -> Volume:
    """An MR slab without the frequencies that the scanner interpolated: k-space cut to what was measured.

    A zero-filled reference flatters super-resolution (Shimron et al., PNAS 119, e2117203119, 2022).
    """
    stack = stack_of(volume.values, volume)
    cut = cut_to_support(stack, spectral_edges(stack))
    geometry = volume.geometry.resized(_shape(cut, volume))
    rows, columns = (size // 4 * 4 for size in cut.shape[1:])
    cut = cut[:, :rows, :columns]
    values = np.asfortranarray(np.moveaxis(cut, 0, volume.geometry.slice_axis))
    return replace(volume, values=values, geometry=replace(geometry, shape=_shape(cut, volume)), padding=None)


def stack_of(values: Array, like: Volume) -> Array:
    """(I, J, K) values as (S, N1, N2)."""
    return np.ascontiguousarray(np.moveaxis(values, like.geometry.slice_axis, 0))


def _shape(stack: Array, like: Volume) -> tuple[int, int, int]:
    """Shape in voxel axes of a stack (S, N1, N2)."""
    first, second, third = np.moveaxis(stack, 0, like.geometry.slice_axis).shape
    return first, second, third


def _count(volume: Volume) -> int:
    return volume.geometry.shape[volume.geometry.slice_axis]


def _placed(volume: Volume, level: Level, slices: int) -> tuple[int, int, tuple[int, ...]] | None:
    """First and last slice of the slab, and the judged ones within it; None where the level does not fit."""
    count = _count(volume)
    if not level.through_plane:
        middle = max(0, count // 2 - slices // 2)
        first, last = max(0, middle - _CONTEXT), min(count, middle + slices + _CONTEXT)
        return first, last, tuple(range(middle - first, min(count, middle + slices) - first))
    spacing = volume.geometry.spacing_mm[volume.geometry.slice_axis]
    if level.keep:
        return _placed_between(count, level.keep, slices) if spacing * level.keep <= WIDEST_GAP_MM else None
    if spacing > THICKEST_MM:
        return None
    thick = int(level.through or 1)
    wanted = math.ceil(slices / thick) + 2 * _CONTEXT_THICK
    length = min(wanted, count // thick) * thick
    if length < 3 * thick:
        return None
    first = (count - length) // 2
    edge = max(thick, (length - slices) // 2)
    return first, first + length, tuple(range(edge, length - edge))


def _placed_between(count: int, keep: int, slices: int) -> tuple[int, int, tuple[int, ...]] | None:
    """A slab that begins and ends with kept slices; judged are lost slices with two kept ones on either side."""
    wanted = (math.ceil(slices / (keep - 1)) + 2) * keep + 1
    length = min(wanted, (count - 1) // keep * keep + 1)
    judged = tuple(index for index in range(keep, length - keep) if index % keep)
    if not judged:
        return None
    first = (count - length) // 2
    return first, first + length, judged


def slab(volume: Volume, first: int, last: int, *, multiple: int = 1) -> Volume:
    """Slices first to last; with `multiple`, cut to an in-plane matrix that it divides (the affine stays true)."""
    axis = volume.geometry.slice_axis
    place = [slice(None)] * 3
    place[axis] = slice(first, last)
    geometry = volume.geometry.slices(first, last)
    shape = list(geometry.shape)
    for other in geometry.in_plane_axes:
        shape[other] = shape[other] // multiple * multiple
        place[other] = slice(0, shape[other])
    geometry = replace(geometry, shape=(shape[0], shape[1], shape[2]))
    padding = None if volume.padding is None else np.asfortranarray(volume.padding[tuple(place)])
    values = np.asfortranarray(volume.values[tuple(place)])
    return replace(volume, values=values, geometry=geometry, padding=padding, degradation=None)


def cropped(case: Case, side: int) -> Case:
    """The case within a square of at most `side` pixels around the middle of its foreground, noise and all."""
    stack = stack_of(case.reference.values, case.reference)
    mask = _foreground(stack, case.reference.modality).any(0)
    geometry = case.reference.geometry
    place, shape = [slice(None)] * 3, list(geometry.shape)
    for axis, centre, size in zip(geometry.in_plane_axes, np.argwhere(mask).mean(0), stack.shape[1:], strict=True):
        first = int(np.clip(round(centre) - side // 2, 0, max(0, size - side)))
        place[axis] = slice(first, first + side)
        shape[axis] = min(side, size)
    small = replace(geometry, shape=(shape[0], shape[1], shape[2]))
    operator = case.operator
    record = Operator(Identity(small.shape, small.slice_axis), operator.noise, operator.provenance).to_record()

    def cut(volume: Volume, degradation: dict[str, object] | None) -> Volume:
        values = np.asfortranarray(volume.values[tuple(place)])
        return replace(volume, values=values, geometry=small, padding=None, degradation=degradation)

    return replace(case, reference=cut(case.reference, None), degraded=cut(case.degraded, {"operator": record}))


def _foreground(stack: Array, modality: str) -> npt.NDArray[np.bool_]:
    return body_mask_ct(stack) if modality == "CT" else foreground_mr(stack)
