"""Arithmetic of the challenge: where lesions are planted, how strong they are, and whether the gate found them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.physics import MagnitudeNoise
from medsr.physics.lesions import contrast_for, disc
from medsr.records import Finding, Restoration
from medsr.validation.residual import body_mask
from medsr.validation.spectrum import Spectrum, radial_spectrum, resampled

__all__ = [
    "Arm",
    "Lesion",
    "LocalNoise",
    "Outcome",
    "Twin",
    "choose_places",
    "found",
    "magnitude_noise",
    "plant",
    "true_noise",
]

Arm = Literal["insertion", "omission"]
Array = npt.NDArray[np.float32]

_RIM = 3
_DISTANCE = 4.0
_SIDE = 128
_LOCAL_PX = 8.0


@dataclass(frozen=True, slots=True)
class Lesion:
    """A disc on one slice: slice index, (row, column) in pixels, diameter in pixels, signed contrast in image units.

    The contrast is that of the restored image against the truth: positive where the image is too bright.
    """

    slice_index: int
    place: tuple[int, int]
    diameter: float
    contrast: float


@dataclass(frozen=True, slots=True, eq=False)
class LocalNoise:
    """The noise that a degradation put into a scan, known because both sides are at hand.

    Parameters
    ----------
    sigma : (S, N1, N2) of the measurement, in image units.
    spectrum : in rfft2 layout of 128 px, mean 1; None for white.
    signal, model : noise-free magnitudes and the law of their noise (MR), else None.
    """

    sigma: Array
    spectrum: Spectrum | None
    signal: Array | None = None
    model: MagnitudeNoise | None = None

    def change(
        self, dprime: float, diameter: float, slice_index: int, place: tuple[int, int], *, sign: int
    ) -> float | None:
        """Signed change of the signal that is detectable at `dprime` there; None where the signal cannot fall so far.

        Near the noise floor a magnitude answers a contrast with less than itself, so the contrast must be larger.
        """
        sigma = float(self.sigma[slice_index, place[0], place[1]])
        wanted = contrast_for(dprime, diameter, sigma=sigma, nps=self.spectrum, side=_SIDE)
        if self.model is None or self.signal is None:
            return sign * wanted
        start = float(self.signal[slice_index, place[0], place[1]])
        farthest = start if sign < 0 else start + 10 * wanted
        changes = np.linspace(0, farthest, 400)
        levels = torch.from_numpy(np.concatenate([[start], np.maximum(start + sign * changes, 0)]))
        means = self.model.mean_and_sd(levels, self.model.sigma)[0].numpy()
        answers = np.abs(means[1:] - means[0])
        return None if answers[-1] < wanted else sign * float(np.interp(wanted, answers, changes))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One planted lesion and whether a finding of the right sign lay on it."""

    scan: str
    subject: str
    modality: str
    level: str
    arm: Arm
    dprime: float
    diameter: float
    sign: int
    found: bool


@dataclass(frozen=True, slots=True)
class Twin:
    """A clean twin: what the gate made of an untouched restoration; `held` names channels that held it."""

    scan: str
    subject: str
    modality: str
    level: str
    slices: int
    findings: int
    largest_z: float
    held: str


def true_noise(reference: Array, degraded: Array, *, share: float) -> LocalNoise:
    """Local noise of stacks (S, N1, N2) from their difference.

    Parameters
    ----------
    share : variance of the added noise over that of all noise, the reference's own among it (1 - dose for a dose
        cut); the own noise is taken to vary in space as the added does.
    """
    added = degraded - reference
    local = np.stack([np.sqrt(ndimage.gaussian_filter(plane**2, _LOCAL_PX)) for plane in added])
    local = np.maximum(local, 1e-6)
    masks = [body_mask(plane, modality="CT", faintest=0.0, fill=None) for plane in reference]
    shape = (int(added.shape[1]), int(added.shape[2]))
    spectrum = radial_spectrum(zip(added / local, masks, strict=True), shape)
    return LocalNoise(local / np.float32(np.sqrt(share)), resampled(spectrum, _SIDE))


def magnitude_noise(reference: Array, model: MagnitudeNoise) -> LocalNoise:
    """Local noise of a stack of noise-free magnitudes under a declared model."""
    signal = torch.from_numpy(np.ascontiguousarray(reference))
    deviation = model.mean_and_sd(signal, model.sigma)[1].numpy()
    return LocalNoise(deviation, None, np.ascontiguousarray(reference), model)


def choose_places(
    masks: Sequence[npt.NDArray[np.bool_]], count: int, diameter: float, rng: np.random.Generator
) -> list[tuple[int, tuple[int, int]]]:
    """At most `count` places (slice, (row, column)) inside the masks, off their rims and four diameters apart.

    Slices take turns, so that places spread over the stack; fewer come back where there is no more room. The
    distance holds across slices too, since the gate joins structures of neighbouring slices.
    """
    inner = [ndimage.binary_erosion(mask, iterations=int(diameter / 2) + _RIM) for mask in masks]
    usable = [index for index, mask in enumerate(inner) if mask.any()]
    chosen: list[tuple[int, tuple[int, int]]] = []
    while usable and len(chosen) < count:
        for index in list(usable):
            if len(chosen) == count:
                break
            candidates = np.argwhere(inner[index])
            if not len(candidates):
                usable.remove(index)
                continue
            row, column = (int(value) for value in candidates[rng.integers(len(candidates))])
            chosen.append((index, (row, column)))
            rows, columns = np.ogrid[: inner[index].shape[0], : inner[index].shape[1]]
            far = (rows - row) ** 2 + (columns - column) ** 2 > (_DISTANCE * diameter) ** 2
            inner = [mask & far for mask in inner]
    return chosen


def plant(image: Array, lesions: Iterable[Lesion], axis: int) -> Array:
    """A copy of a volume with discs added on single slices along `axis`."""
    planted = np.array(image, np.float32, order="F")
    for lesion in lesions:
        small = disc(lesion.diameter)
        reach = small.shape[0] // 2
        row, column = lesion.place
        place: list[int | slice] = [slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)]
        place.insert(axis, lesion.slice_index)
        planted[tuple(place)] += np.float32(lesion.contrast) * small
    return planted


def found(lesion: Lesion, findings: Iterable[Finding], restoration: Restoration) -> bool:
    """True if a finding of the right sign lies within half the lesion's diameter and 2 px of its centre."""
    axis = restoration.geometry.slice_axis
    for finding in findings:
        low, high = finding.box_voxel
        middle = [(low[a] + high[a] - 1) / 2 for a in restoration.geometry.in_plane_axes]
        near = np.hypot(middle[0] - lesion.place[0], middle[1] - lesion.place[1]) <= lesion.diameter / 2 + 2
        if near and low[axis] <= lesion.slice_index < high[axis] and finding.contrast * lesion.contrast > 0:
            return True
    return False
