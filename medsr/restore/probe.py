"""Discs planted into a scan that is then restored again: what does the restorer keep of lesions that are known?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import fft, ndimage

from medsr.physics import LinearOperator, Operator, SliceProfile
from medsr.physics.lesions import disc
from medsr.records import ProbeDisc, Restoration
from medsr.restore.run import Run
from medsr.volume import Volume

__all__ = ["MOST_DISCS", "part_of", "probe_discs"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MOST_DISCS = 48
DPRIME = 8.0
"""The faintest lesion of which the scan says more than of noise: what it loses, the scan had shown."""
_DIAMETERS_PX = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
_PROBED_SLICES = 4
_SPACE_PX = 10.0
_TRIES = 200
_BODY_HU = -500.0
_DEEPEST_HU = -950.0
_BODY_SIGMAS, _BODY_SHARE = 5.0, 0.1
_FAINTEST_SIGMAS = 3.0
_RINGS, _FLOOR = 32, 0.05
_FEWEST_PIXELS = 400


@dataclass(frozen=True, slots=True)
class _Planted:
    """A disc on the restored grid of a part: its first slice, its place, and its signed contrast in image units."""

    slice_index: int
    place: tuple[int, int]
    diameter: float
    contrast: float
    dprime: float


def probe_discs(restoration: Restoration, run: Run) -> tuple[ProbeDisc, ...]:
    """Plant discs as y + A L into at most eight slices, restore those again, and read what is left of each.

    A disc has d' 8 in the scan, is one measured slice thick, and keeps its distance from all others: 3 to 16 px of
    the restored grid, brighter and darker in turn. kept = <x1 - x0, L> / <L, L>. A patient whose body holds no more
    gets fewer discs. Slices are restored with the scaling, noise and seeds of the whole scan; where a slice
    depends on its own slab alone, x0 is the restoration itself.
    """
    axis = restoration.geometry.slice_axis
    margin = run.painter.engine.network.config.slices // 2
    first, last = _window(restoration, margin)
    y, operator = part_of(restoration.measured, restoration.operator, first, last)
    alone = operator.linear.slices_are_independent or y is restoration.measured
    base = restoration.image if alone else run(y, operator).image
    begin = first if alone else 0
    inner = _inner(restoration, first, last, margin)
    plan = _plan(restoration, y, operator, _spectrum(restoration, first, last), inner=inner)
    if not plan:
        return ()
    height = _height(operator.linear)
    lesions = np.zeros(operator.linear.fine_shape, np.float32)
    for item in plan:
        _put(lesions, item, axis, height)
    planted = y.values + operator.linear.forward(torch.from_numpy(lesions)).numpy()
    if y.modality == "MR":
        planted = np.abs(planted)
    changed = run(replace(y, values=np.asfortranarray(planted.astype(np.float32))), operator, first=first).image
    spacing = restoration.geometry.spacing_mm
    pixel = math.sqrt(math.prod(spacing[a] for a in restoration.geometry.in_plane_axes))
    discs = []
    for item in plan:
        place = list(item.place)
        place.insert(axis, begin + item.slice_index)
        kept = _kept(changed, base, item, axis=axis, begin=begin, height=height)
        discs.append(
            ProbeDisc(
                (place[0], place[1], place[2]), item.diameter * pixel, item.dprime, int(np.sign(item.contrast)), kept
            )
        )
    return tuple(discs)


def part_of(measured: Volume, operator: Operator, first: int, last: int) -> tuple[Volume, Operator]:
    """Slices `first` to `last` of y with the operator that made them; the whole where nothing is left out.

    A part of thick slices has a thin stack of its own, which ends with its last slice.
    """
    geometry, linear = measured.geometry, operator.linear
    axis = geometry.slice_axis
    if (first, last) == (0, geometry.shape[axis]):
        return measured, operator
    place = [slice(None)] * 3
    place[axis] = slice(first, last)
    box = (place[0], place[1], place[2])
    part = replace(
        measured,
        values=np.asfortranarray(measured.values[box]),
        geometry=geometry.slices(first, last),
        padding=None if measured.padding is None else measured.padding[box],
    )
    if isinstance(linear, SliceProfile):
        shape = list(linear.shape)
        shape[axis] = math.ceil(linear.step * (last - first - 1) + linear.thickness - 1e-6)
        return part, replace(operator, linear=replace(linear, shape=(shape[0], shape[1], shape[2])))
    return part, replace(operator, linear=linear.slab(first, last))


def _window(restoration: Restoration, margin: int) -> tuple[int, int]:
    """The slices around the fullest one that are restored again: those probed, and a margin of neighbours."""
    measured = restoration.measured
    axis, count = measured.geometry.slice_axis, measured.geometry.shape[measured.geometry.slice_axis]
    side = min(count, _PROBED_SLICES + 2 * margin)
    level = _BODY_HU if measured.modality == "CT" else _BODY_SHARE * float(np.percentile(measured.values[::4, ::4], 99))
    others = tuple(a for a in range(3) if a != axis)
    filled = (measured.values > level).mean(others)
    sums = np.convolve(filled, np.ones(side), "valid")
    # Of equally full windows the middle one: the ends of a stack are the least like the rest.
    best = np.flatnonzero(sums >= 0.98 * sums.max())
    first = int(best[len(best) // 2])
    return first, first + side


def _inner(restoration: Restoration, first: int, last: int, margin: int) -> list[int]:
    """Slices of the part whose neighbours are those of the whole scan, counted in the part."""
    count = restoration.measured.geometry.shape[restoration.measured.geometry.slice_axis]
    low = 0 if first == 0 else margin
    high = last - first - (0 if last == count else margin)
    return list(range(low, high))


def _plan(
    restoration: Restoration, y: Volume, operator: Operator, spectrum: npt.NDArray[np.float64], *, inner: list[int]
) -> list[_Planted]:
    """Places by a fixed draw, all sizes in turn, the largest first, each disc away from the others."""
    axis, linear, sigma = y.geometry.slice_axis, operator.linear, restoration.noise.sigma
    planes = {index: np.array(np.moveaxis(y.values, axis, 0)[index], np.float32) for index in inner}
    bodies = {index: _body(plane, y, index, sigma) for index, plane in planes.items()}
    fine = [size for a, size in enumerate(linear.fine_shape) if a != axis]
    ratio = fine[0] / y.geometry.shape[y.geometry.in_plane_axes[0]]
    units = {diameter: _dprime_of(linear, y, diameter, spectrum, sigma) for diameter in _DIAMETERS_PX}
    rng = np.random.default_rng(0)
    found: list[_Planted] = []
    sizes = [diameter for diameter in sorted(_DIAMETERS_PX, reverse=True) if 0 < units[diameter] < math.inf]
    for number, diameter in enumerate(sizes * (MOST_DISCS // len(_DIAMETERS_PX))):
        index = inner[number % len(inner)]
        depth = math.ceil(diameter / 2 / ratio) + 2
        usable = np.argwhere(ndimage.binary_erosion(bodies[index], iterations=depth))
        for row, column in rng.permutation(usable)[:_TRIES]:
            place = (int((row + 0.5) * ratio), int((column + 0.5) * ratio))
            if all(_apart(place, diameter, item) for item in found):
                contrast = DPRIME / units[diameter] * (1 if number // len(sizes) % 2 else -1)
                if not _fits(float(planes[index][row, column]), contrast, y, sigma):
                    contrast = -contrast
                found.append(_Planted(_first_fine(linear, index), place, diameter, contrast, DPRIME))
                break
    return found


def _apart(place: tuple[int, int], diameter: float, other: _Planted) -> bool:
    """True if two discs do not touch what a restorer makes of each other, whatever slices they lie on."""
    distance = math.hypot(place[0] - other.place[0], place[1] - other.place[1])
    return distance >= (diameter + other.diameter) / 2 + _SPACE_PX


def _fits(local: float, contrast: float, y: Volume, sigma: float) -> bool:
    """True if a place of this value can bear the contrast: nothing is darker than air."""
    if contrast > 0:
        return True
    return local + contrast > (_DEEPEST_HU if y.modality == "CT" else _FAINTEST_SIGMAS * sigma)


def _body(plane: Plane, y: Volume, index: int, sigma: float) -> Mask:
    if y.modality == "CT":
        body = ndimage.binary_fill_holes(ndimage.binary_opening(plane > _BODY_HU, iterations=2)) & (plane > _BODY_HU)
    else:
        smooth = ndimage.gaussian_filter(plane, 1.5)
        body = smooth > max(_BODY_SIGMAS * sigma, _BODY_SHARE * float(np.percentile(plane, 99)))
    if y.padding is not None:
        body &= ~np.moveaxis(y.padding, y.geometry.slice_axis, 0)[index]
    return np.asarray(body)


def _height(linear: LinearOperator) -> int:
    """Thin slices that a lesion of one measured slice takes."""
    return max(1, round(linear.step)) if isinstance(linear, SliceProfile) else 1


def _first_fine(linear: LinearOperator, index: int) -> int:
    if not isinstance(linear, SliceProfile):
        return index
    middle = (linear.thickness - 1) / 2 + linear.step * index
    height = _height(linear)
    return min(max(0, round(middle - (height - 1) / 2)), linear.shape[linear.slice_axis] - height)


def _put(target: Plane, item: _Planted, axis: int, height: int) -> None:
    """Add a disc to its slices; parts outside the image are cut."""
    stack = np.moveaxis(target, axis, 0)
    rows, columns, shares = _cut(item, stack.shape[1:])
    stack[item.slice_index : item.slice_index + height, rows, columns] += np.float32(item.contrast) * shares


def _cut(item: _Planted, shape: tuple[int, ...]) -> tuple[slice, slice, Plane]:
    """Rows and columns of a disc, and its shares there."""
    shares = disc(item.diameter)
    reach = shares.shape[0] // 2
    corner = [place - reach for place in item.place]
    low = [max(0, at) for at in corner]
    high = [min(size, at + shares.shape[0]) for size, at in zip(shape, corner, strict=True)]
    rows, columns = (slice(a, b) for a, b in zip(low, high, strict=True))
    inside = shares[low[0] - corner[0] : high[0] - corner[0], low[1] - corner[1] : high[1] - corner[1]]
    return rows, columns, inside


def _kept(changed: Plane, base: Plane, item: _Planted, *, axis: int, begin: int, height: int) -> float:
    """<x1 - x0, L> / <L, L> over the disc."""
    after, before = np.moveaxis(changed, axis, 0), np.moveaxis(base, axis, 0)
    rows, columns, shares = _cut(item, after.shape[1:])
    first, last = item.slice_index, item.slice_index + height
    gained = after[first:last, rows, columns].astype(np.float64) - before[begin + first : begin + last, rows, columns]
    return float((gained * shares).sum()) / (height * float((shares.astype(np.float64) ** 2).sum()) * item.contrast)


def _spectrum(restoration: Restoration, first: int, last: int) -> npt.NDArray[np.float64]:
    """Noise power by ring of frequency, mean 1: white for MR; for CT of what the restoration took off the scan.

    Its level is that of the scan's noise, whatever the restoration took: only the kernel's shape is read here.
    """
    measured, linear = restoration.measured, restoration.operator.linear
    axis = measured.geometry.slice_axis
    flat = np.ones(_RINGS)
    if measured.modality == "MR":
        return flat
    whole = None if linear.slices_are_independent else linear.forward(torch.from_numpy(restoration.image))
    total, members = np.zeros(_RINGS), np.zeros(_RINGS)
    for index in range(first, last):
        plane = np.array(np.moveaxis(measured.values, axis, 0)[index], np.float32)
        if whole is None:
            fine = torch.from_numpy(np.array(np.moveaxis(restoration.image, axis, 0)[index], np.float32)).unsqueeze(
                axis
            )
            predicted = linear.slab(index, index + 1).forward(fine).squeeze(axis).numpy()
        else:
            predicted = whole.select(axis, index).numpy()
        body = _body(plane, measured, index, restoration.noise.sigma)
        if body.sum() < _FEWEST_PIXELS:
            continue
        residual = np.where(body, plane - predicted, 0).astype(np.float64)
        residual[body] -= residual[body].mean()
        power = np.abs(fft.rfft2(residual)) ** 2 / body.sum()
        rings = _rings((plane.shape[0], plane.shape[1])).ravel()
        total += np.bincount(rings, power.ravel(), _RINGS)
        members += np.bincount(rings, minlength=_RINGS)
    if not total.any():
        return flat
    power = total / np.maximum(members, 1)
    normal: npt.NDArray[np.float64] = power / max(float((power * members).sum() / members.sum()), 1e-30)
    floored: npt.NDArray[np.float64] = np.maximum(normal, _FLOOR * normal.max())
    return floored


def _rings(shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]) / math.sqrt(0.5)
    rings: npt.NDArray[np.intp] = np.minimum((radius * _RINGS).astype(np.intp), _RINGS - 1)
    return rings


def _dprime_of(
    linear: LinearOperator, y: Volume, diameter: float, spectrum: npt.NDArray[np.float64], sigma: float
) -> float:
    """d' in the scan of a disc of contrast 1: |S^(-1/2) A L|, for a disc in the middle of the grid."""
    axis = y.geometry.slice_axis
    lesion = np.zeros(linear.fine_shape, np.float32)
    fine = [size for a, size in enumerate(linear.fine_shape) if a != axis]
    middle = y.geometry.shape[axis] // 2
    item = _Planted(_first_fine(linear, middle), (fine[0] // 2, fine[1] // 2), diameter, 1.0, 0.0)
    _put(lesion, item, axis, _height(linear))
    seen = np.moveaxis(linear.forward(torch.from_numpy(lesion)).numpy(), axis, 0).astype(np.float64)
    power = np.abs(fft.rfft2(seen, norm="ortho")) ** 2
    weights = np.full(power.shape[1:], 2.0)
    weights[:, 0] = 1.0
    if seen.shape[2] % 2 == 0:
        weights[:, -1] = 1.0
    density = spectrum[_rings((seen.shape[1], seen.shape[2]))]
    return math.sqrt(float((power * weights / density).sum())) / sigma if sigma > 0 else math.inf
