"""Discs planted into a restored image before projection, and whether the scan of R4 sounds an alarm at their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.physics.lesions import disc_at
from medsr.records import Restoration
from medsr.validation.r3_audit import audit
from medsr.validation.r4_scan import THRESHOLD, Scan, Scanned
from medsr.validation.residual import Measurement, Residuals, SliceResidual
from medsr.validation.spectrum import radial_spectrum

__all__ = ["Alarm", "ScannedSlice", "alarms_of", "scanned_slice"]

Plane = npt.NDArray[np.float32]

CNR, DIAMETER_PX = 2.0, 8.0
_HIGH_PASS_PX = 3.0
_MAD = 1.4826
_MARGIN = 3
_LEAST_THRESHOLD, _LARGEST_THRESHOLD = 6.0, 60.0
_FLAGS_A_SLICE = 1
_TOLERANCE_PX = 2.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """How often planted discs raised an alarm of the right sign at their place.

    Three limits on one residual: 5.4 noise sd with the noise that the residual leaves room for; 5.4 with the noise
    that the restoration states (`stated_hits`); and, in units of the former, the smallest limit of 6 or more with at
    most one flag a slice on the other slices (`learned_hits`). The flags are those of the untouched slices.
    """

    kernel: str
    network: str
    planted: int
    hits: int
    stated_hits: int
    learned_hits: int
    slices: int
    flags: int
    stated_flags: int
    learned_flags: int
    learned: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ScannedSlice:
    """One slice of a restoration before projection, scanned untouched; contrast is that of the discs, in HU.

    ratio : the noise that the restoration states over the noise that its residual leaves room for.
    """

    part: Restoration
    scan: Scan
    untouched: Scanned
    body: npt.NDArray[np.bool_]
    contrast: float
    ratio: float


def scanned_slice(part: Restoration, reference: Plane, *, stated: float) -> ScannedSlice:
    """Scan a restoration of one slice; `reference` tells the noise that CNR refers to, `stated` is its own level."""
    item = _left(part)
    spectrum = radial_spectrum([(item.u, item.mask)], (item.u.shape[0], item.u.shape[1]))
    scan = Scan((item.u.shape[0], item.u.shape[1]), spectrum)
    high = reference - ndimage.gaussian_filter(reference, _HIGH_PASS_PX)
    fine = ndimage.zoom(item.mask, [a / b for a, b in zip(reference.shape, item.mask.shape, strict=True)], order=0)
    noise = _MAD * float(np.median(np.abs(high[fine] - np.median(high[fine]))))
    body = np.asarray(ndimage.binary_erosion(item.mask, iterations=_MARGIN))
    return ScannedSlice(part, scan, scan.scan(item), body, CNR * noise, stated / max(part.noise.sigma, 1e-9))


def alarms_of(kernel: str, network: str, slices: Sequence[ScannedSlice], *, seed: int, places: int) -> Alarm:
    """Plant `places` discs into each slice, one at a time, and count alarms under the three limits."""
    rng = np.random.default_rng(seed)
    learned = tuple(_learned([other for other in slices if other is not item]) for item in slices)
    planted, hits, stated_hits, learned_hits = 0, 0, 0, 0
    for item, limit in zip(slices, learned, strict=True):
        candidates = np.argwhere(item.body)
        for _ in range(places if len(candidates) else 0):
            place = candidates[rng.integers(len(candidates))]
            z = _answer(item, place, int(rng.choice((-1, 1))), rng)
            planted += 1
            hits += z > THRESHOLD
            stated_hits += z > THRESHOLD * item.ratio
            learned_hits += z > limit
    flags, stated_flags, learned_flags = (
        sum(_flags(item, limit) for item, limit in zip(slices, limits, strict=True))
        for limits in ([THRESHOLD] * len(slices), [THRESHOLD * item.ratio for item in slices], learned)
    )
    return Alarm(
        kernel,
        network,
        planted,
        hits,
        stated_hits,
        learned_hits,
        len(slices),
        flags,
        stated_flags,
        learned_flags,
        learned,
    )


def _answer(item: ScannedSlice, place: npt.NDArray[np.intp], sign: int, rng: np.random.Generator) -> float:
    """Largest |z| of the right sign near a disc planted at `place` of the measured grid; 0 where there is none."""
    fine, coarse = item.part.geometry.shape, item.part.measured.geometry.shape
    ratio = np.array([fine[0] / coarse[0], fine[1] / coarse[1]])
    centre = (place * ratio + rng.integers(0, np.maximum(1, ratio.astype(int)))).astype(int)
    lesion = sign * item.contrast * disc_at((fine[0], fine[1]), (int(centre[0]), int(centre[1])), DIAMETER_PX)
    scanned = item.scan.scan(_left(item.part, lesion.astype(np.float32)))
    rows, columns = np.ogrid[: coarse[0], : coarse[1]]
    middle = (centre + 0.5) / ratio - 0.5
    reach = DIAMETER_PX / 2 / float(ratio.mean()) + _TOLERANCE_PX
    near = np.hypot(rows - middle[0], columns - middle[1]) <= reach
    # The residual is scan minus image: what was added to the image is negative in it.
    return float(np.max(-sign * scanned.best[near], initial=0.0))


def _left(part: Restoration, lesion: Plane | None = None) -> SliceResidual:
    """What the audit leaves of the residual before projection, with a structure added to the image."""
    image = part.image if part.estimate is None else part.estimate
    if lesion is not None:
        image = np.asfortranarray(image + lesion[:, :, None])
    item = Residuals(Measurement(part), image).slice(0)
    fit = audit([item], identity=False)
    return fit.subtracted(item, identity=False) if fit else item


def _learned(others: Sequence[ScannedSlice]) -> float:
    """The smallest limit of 6 or more with at most one flag a slice on the other slices."""
    for limit in np.arange(_LEAST_THRESHOLD, _LARGEST_THRESHOLD):
        if sum(_flags(item, float(limit)) for item in others) <= _FLAGS_A_SLICE * len(others):
            return float(limit)
    return _LARGEST_THRESHOLD


def _flags(item: ScannedSlice, limit: float) -> int:
    return sum(abs(peak.z) > limit for peak in item.untouched.peaks)
