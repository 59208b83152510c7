"""Restorations whose fault is known: a lesion invented by the restorer, left out by it, or put before it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import fft

from medsr.evaluate.cases import stack_of
from medsr.io.encoding import as_stored
from medsr.models.bundle import Bundle
from medsr.physics import Identity, MagnitudeNoise, Operator, ProjectionNoise
from medsr.physics.ct_noise import noise_fields
from medsr.physics.lesions import disc_at
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Restoration
from medsr.restore.consistency import project
from medsr.restore.operators import declared_operator
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import removable_sigma, restore
from medsr.validation.challenge import Lesion, LocalNoise, magnitude_noise, plant, true_noise
from medsr.validation.spectrum import floored, resampled
from medsr.volume import Volume

__all__ = [
    "declared",
    "fine_place",
    "input_side",
    "invented",
    "left_out",
    "lesion_change",
    "one_slice",
    "restored",
    "scan_noise",
    "seen_with",
    "written",
]

Array = npt.NDArray[np.float32]

_SIDE = 128
_FIELD_SEED = 20


def restored(
    reference: Volume, request: DegradeRequest, options: RestoreRequest, bundle: Bundle, *, stated: bool = True
) -> Restoration:
    """A degraded and restored scan with the values that would be written; `stated` leaves the operator beside it."""
    measured = degrade(reference, request)
    result = restore(measured if stated else replace(measured, degradation=None), options, bundle=bundle)
    return replace(result, image=written(result.image, result))


def written(image: Array, restoration: Restoration) -> Array:
    """The image as the file will hold it."""
    stored = as_stored(image, restoration.geometry, restoration.measured, sigma=restoration.noise.sigma)
    return stored.values


def declared(measured: Volume) -> Operator:
    """The operator that a degraded scan carries.

    Raises
    ------
    ValueError : if it carries none.
    """
    operator = declared_operator(measured)
    if operator is None:
        raise ValueError("lesions are planted into scans that were degraded here")
    return operator


def scan_noise(reference: Volume, clean: Restoration, operator: Operator) -> LocalNoise:
    """The noise of the measurement, known as well as it can be.

    What the degradation added, where it added any: its declared sigma (MR) or the difference to the reference (CT). A
    scan that was only made coarser holds its own noise: the level is then the blind estimate, for CT with the course
    and the spectrum that projections give it.
    """
    if isinstance(operator.noise, MagnitudeNoise) and isinstance(operator.linear, Identity):
        return magnitude_noise(stack_of(reference.values, reference), operator.noise)
    measured = stack_of(clean.measured.values, clean.measured)
    if isinstance(operator.noise, ProjectionNoise) and isinstance(operator.linear, Identity):
        share = 1 - operator.noise.dose_fraction
        return true_noise(stack_of(reference.values, reference), measured, share=share)
    if clean.measured.modality == "MR":
        return LocalNoise(np.full_like(measured, clean.noise.sigma), None)
    spacing = clean.measured.geometry.spacing_mm[clean.measured.geometry.in_plane_axes[0]]
    rng = np.random.default_rng(_FIELD_SEED)
    field = np.concatenate([noise_fields(plane, spacing, rng) for plane in measured])
    noisy: Array = (measured + clean.noise.sigma * field).astype(np.float32)
    return true_noise(measured, noisy, share=1.0)


def lesion_change(
    noise: LocalNoise,
    clean: Restoration,
    lesion: tuple[float, float],
    where: tuple[int, tuple[int, int]],
    *,
    signal: Array,
    sign: int,
) -> float | None:
    """Signed contrast on the fine grid that is detectable in the scan as wanted; None where the signal is too faint.

    Parameters
    ----------
    lesion : d' and diameter in fine pixels.
    where : slice and place in measured pixels.
    signal : the reference (S, N1, N2) on the fine grid.
    """
    dprime, diameter = lesion
    index, place = where
    if clean.operator.linear.kind == "identity":
        return noise.change(dprime, diameter, index, place, sign=sign)
    fine = fine_place(clean, place)
    contrast = dprime * float(noise.sigma[index, place[0], place[1]]) / _response(clean, diameter, fine, noise)
    if clean.measured.modality == "MR" and sign < 0:  # magnitudes do not fall below zero
        reach = int(diameter / 2) + 1
        rows, columns = (slice(max(0, middle - reach), middle + reach + 1) for middle in fine)
        if float(signal[index, rows, columns].min()) < contrast:
            return None
    return sign * contrast


def fine_place(restoration: Restoration, place: tuple[int, int]) -> tuple[int, int]:
    """The fine pixel at the middle of a measured one."""
    fine, coarse = restoration.geometry, restoration.measured.geometry
    row, column = (
        min(fine.shape[axis] - 1, int((at + 0.5) * fine.shape[axis] / coarse.shape[axis]))
        for axis, at in zip(fine.in_plane_axes, place, strict=True)
    )
    return row, column


def one_slice(restoration: Restoration, index: int) -> Restoration:
    """Slice `index` alone: what the gate promises of, since a volume is released only if every slice passes."""
    measured, axis = restoration.measured, restoration.geometry.slice_axis
    part: list[slice] = [slice(None)] * 3
    part[axis] = slice(index, index + 1)
    place = tuple(part)

    def cut(values: Array) -> Array:
        return np.asfortranarray(values[place])

    small = replace(
        measured,
        values=cut(measured.values),
        geometry=measured.geometry.slices(index, index + 1),
        padding=None if measured.padding is None else np.asfortranarray(measured.padding[place]),
    )
    image, estimate = cut(restoration.image), restoration.estimate
    return replace(
        restoration,
        measured=small,
        image=image,
        estimate=None if estimate is None else image if estimate is restoration.image else cut(estimate),
        geometry=restoration.geometry.slices(index, index + 1),
        operator=replace(restoration.operator, linear=restoration.operator.linear.slab(index, index + 1)),
        spread=None if restoration.spread is None else cut(restoration.spread),
    )


def invented(clean: Restoration, lesions: list[Lesion]) -> Restoration:
    """The restorer made up lesions that the scan never showed: in its estimate, then corrected as it corrects."""
    if clean.estimate is None:
        raise ValueError("an estimate is needed to plant into")
    estimate = plant(clean.estimate, lesions, clean.geometry.slice_axis)
    return _corrected(replace(clean, estimate=estimate), sorted({item.slice_index for item in lesions}))


def left_out(reference: Volume, clean: Restoration, lesions: list[Lesion], request: DegradeRequest) -> Restoration:
    """The scan shows lesions that the restorer missed: the same noise, and an estimate without them."""
    measured = seen_with(reference, clean, lesions, request)
    return _corrected(replace(clean, measured=measured), sorted({item.slice_index for item in lesions}))


def input_side(
    reference: Volume,
    clean: Restoration,
    lesions: list[Lesion],
    request: DegradeRequest,
    options: RestoreRequest,
    bundle: Bundle,
) -> Restoration:
    """The scan shows lesions, and the restorer sees that scan: what becomes of them?"""
    measured = seen_with(reference, clean, lesions, request)
    result = restore(measured, options, bundle=bundle)
    return replace(result, image=written(result.image, result))


def seen_with(reference: Volume, clean: Restoration, lesions: list[Lesion], request: DegradeRequest) -> Volume:
    """The measurement of a patient who has what the image lacks; `lesions` hold the contrast of the image's error.

    `request` made the scan and states its noise in image units: a lesion may move the quantity that per cent count.
    """
    inverse = [replace(lesion, contrast=-lesion.contrast) for lesion in lesions]
    axis = reference.geometry.slice_axis
    shown = plant(reference.values, inverse, axis)
    if request.dose is not None:
        # The noise of a lower dose follows the image: a new draw would be other noise, so the lesion alone is added.
        change = np.ascontiguousarray(shown - reference.values)
        values = clean.measured.values + clean.operator.linear.forward(torch.from_numpy(change)).numpy()
    else:
        values = degrade(replace(reference, values=shown), request).values
    return replace(clean.measured, values=np.asfortranarray(values))


def _corrected(restoration: Restoration, indices: list[int]) -> Restoration:
    """The written image of an estimate: projected again on the slices that changed."""
    operator, axis = restoration.operator, restoration.geometry.slice_axis
    if restoration.estimate is None:
        raise ValueError("an estimate is needed to be corrected")
    if isinstance(operator.linear, Identity):
        image = written(restoration.estimate, restoration)
        return replace(restoration, image=image, estimate=image)
    values = np.array(restoration.image, np.float32, order="F")
    known = restoration.noise.provenance != "estimated" or isinstance(operator.noise, ProjectionNoise)
    allowed = removable_sigma(operator, restoration.noise) if known else 0.0
    for index in indices:
        part: list[slice] = [slice(None)] * 3
        part[axis] = slice(index, index + 1)
        y, x = (
            torch.from_numpy(np.ascontiguousarray(whole[tuple(part)]))
            for whole in (restoration.measured.values, restoration.estimate)
        )
        magnitude = restoration.measured.modality == "MR"
        linear = operator.linear.slab(index, index + 1)
        corrected = project(y, x, linear=linear, noise=operator.noise, sigma=allowed, magnitude=magnitude)
        values[tuple(part)] = corrected.image.numpy()
    return replace(restoration, image=written(values, restoration))


def _response(clean: Restoration, diameter: float, fine: tuple[int, int], noise: LocalNoise) -> float:
    """|S^(-1/2) A D| of a disc of contrast 1, for noise of sd 1."""
    axis = clean.geometry.slice_axis
    first, second = (clean.geometry.shape[number] for number in clean.geometry.in_plane_axes)
    shown = torch.from_numpy(disc_at((first, second), fine, diameter)).unsqueeze(axis)
    answer = clean.operator.linear.slab(0, 1).forward(shown).squeeze(axis).numpy().astype(np.float64)
    if noise.spectrum is None:
        return float(np.sqrt((answer**2).sum()))
    side: int = max(_SIDE, 2 * (max(answer.shape) // 2 + 1))
    density = floored(noise.spectrum if side == _SIDE else resampled(noise.spectrum, side))
    weights: npt.NDArray[np.float64] = np.full(density.shape, 2.0)
    weights[:, 0] = weights[:, -1] = 1.0
    power = np.abs(fft.rfft2(answer, (side, side))) ** 2
    length: float = math.sqrt(float(np.sum(weights * power / density)))
    return length / side
