"""N3: do two families of models supply the same, where nothing was measured?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from medsr.records import ChannelResult
from medsr.validation.null_space import NullSpace, uncalibrated
from medsr.validation.r4_scan import Scan
from medsr.validation.residual import FEWEST_PIXELS, SliceResidual
from medsr.validation.spectrum import radial_spectrum

__all__ = ["families_result"]

Plane = npt.NDArray[np.float32]

_SAMPLE_SLICES = 24
_MAD = 1.4826


def families_result(null: NullSpace, *, needed: bool) -> ChannelResult:
    """The channel: value is the largest |z| of a matched filter over P0 (x1 - x2), in units of the difference's spread.

    What both families invent alike stays unseen. Spectrum and spread are those of the difference itself, since
    nothing is known of it beforehand; how large a peak is usual, a calibration tells.

    Parameters
    ----------
    needed : the method has a second family at hand, so that its absence is worth a word.
    """
    family = null.restoration.family
    if family is None:
        note = "the second family was not run" if needed else "no second family is at hand"
        return ChannelResult("N3", "null", "not_assessed", None, None, may="hold", note=note)
    if null.empty:
        note = "every voxel was measured; the range channels judge them all"
        return ChannelResult("N3", "null", "passed", 0.0, None, may="hold", note=note)
    if family.image.shape != null.restoration.image.shape:
        return ChannelResult("N3", "null", "not_assessed", None, None, may="hold", note="the second family misfits")
    chosen = [index for index in null.supplied if np.count_nonzero(null.mask(index)) >= FEWEST_PIXELS]
    if not chosen:
        return ChannelResult("N3", "null", "not_assessed", None, None, may="hold", note="no voxel to judge")
    value, where = _largest(null, family.image, chosen)
    note = f"{family.method} beside it; clearest difference on slice {where[0]} at {where[1:]}"
    return uncalibrated("N3", value, note)


def _largest(null: NullSpace, other: Plane, chosen: list[int]) -> tuple[float, tuple[int, int, int]]:
    """The largest |z| inside the patient, and where; NaN where the difference is not finite."""
    image = null.restoration.image
    some = chosen[:: -(-len(chosen) // _SAMPLE_SLICES)]
    sample = {index: (plane, null.mask(index)) for index, plane in null.slices(image, minus=other, indices=some)}
    inside = np.concatenate([plane[mask] for plane, mask in sample.values()])
    if not np.isfinite(inside).all():
        return math.nan, (0, 0, 0)
    size = float(np.abs(inside).max())
    # Rounding of the same image twice is no difference.
    sigma = max(_MAD * float(np.median(np.abs(inside - np.median(inside)))), 1e-3 * size, 1e-6 * float(np.ptp(image)))
    if size <= 0 or sigma <= 0:
        return 0.0, (0, 0, 0)
    shape = next(iter(sample.values()))[0].shape
    parts = (((plane / sigma).astype(np.float32), mask) for plane, mask in sample.values())
    scan = Scan((shape[0], shape[1]), radial_spectrum(parts, (shape[0], shape[1])))
    value, where = 0.0, (0, 0, 0)
    for index, plane in null.slices(image, minus=other, indices=chosen):
        u = (plane / np.float32(sigma)).astype(np.float32)
        item = SliceResidual(index, plane, plane, np.full_like(u, sigma), u, null.mask(index))
        best = np.abs(scan.scan(item, math.inf).best)
        row, column = (int(at) for at in np.unravel_index(int(np.argmax(best)), best.shape))
        if not best[row, column] <= value:
            value, where = float(best[row, column]), (index, row, column)
    return value, where
