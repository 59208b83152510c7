"""R4: a matched-filter scan of the residual for structure that was added or omitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage
from scipy.stats import norm

from medsr.physics.lesions import disc_at
from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import floored

__all__ = ["DIAMETERS", "MOST_PEAKS", "THRESHOLD", "Peak", "Scan", "ScanTally", "Scanned"]

DIAMETERS = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Template diameters in measured pixels."""
THRESHOLD = 5.4
"""In units of noise, before any normalisation: where planted d' 8 discs are still found in 95 % (docs/validation.md).

A threshold in units of the residual's own spread would rise with whatever a model leaves in it, and a model that
smooths everything away would blind the gate.
"""
MOST_PEAKS = 40
"""A slice with more contradicts as a whole; the rest is not listed."""

_RING = 2.0
_CLIP_OUTSIDE, _CLIP_INSIDE = 4.5, 30.0
_BLOCK, _MEAN_BLOCKS, _FAR = 4, 3.0, 1e-3
_MAD = 1.4826
_SPREAD_SAMPLE = 4000
_SUPPRESSION = 0.75

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Peak:
    """A local maximum of |z|: place on the measured slice, template diameter in px, z in noise units (signed).

    amplitude is the disc contrast in units of the local noise, dprime its detectability, sigma the local noise in
    image units; positive means that the measurement is brighter than the image predicts. p is the chance of such a
    peak anywhere in the slice in pure noise (Bonferroni over its pixels).
    """

    slice_index: int
    place: tuple[int, int]
    diameter: float
    z: float
    amplitude: float
    dprime: float
    sigma: float
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """One slice after the scan: peaks, strongest first; the signed map of largest |z|; spread of z by scale."""

    index: int
    peaks: tuple[Peak, ...]
    best: Map
    spread: float


class Scan:
    """Templates for slices of one shape and one noise spectrum.

    z = IFFT(conj(W T) W R) / |W T| with R the residual in units of its noise, W = 1 / sqrt(max(NPS, .05 max)) and T
    a disc minus the mean of the ring out to twice its diameter; z has sd 1 on noise of that spectrum.

    Parameters
    ----------
    shape : (N1, N2) of a slice.
    spectrum : noise power in rfft2 layout, mean 1.
    level_air : give pixels outside the mask the local mean of those inside (magnitudes; see :meth:`white`).
    """

    def __init__(self, shape: tuple[int, int], spectrum: npt.NDArray[np.float64], *, level_air: bool = False) -> None:
        self.shape, self.level_air = shape, level_air
        self.whitening = (1 / np.sqrt(floored(spectrum))).astype(np.float32)
        self.diameters = tuple(d for d in DIAMETERS if _RING * d + 4 < min(shape)) or DIAMETERS[:1]
        self._templates: list[npt.NDArray[np.complex64]] = []
        self._gains: list[tuple[float, float]] = []
        for diameter in self.diameters:
            self._add(diameter)

    def _add(self, diameter: float) -> None:
        middle = (self.shape[0] // 2, self.shape[1] // 2)
        lesion = disc_at(self.shape, middle, diameter).astype(np.float64)
        ring = disc_at(self.shape, middle, _RING * diameter + 2) * (1 - lesion)
        template = lesion - ring * lesion.sum() / ring.sum()
        rolled = [np.roll(image, (-middle[0], -middle[1]), (0, 1)) for image in (lesion, template)]
        white_lesion, white = (fft.irfft2(fft.rfft2(image) * self.whitening, self.shape) for image in rolled)
        length = float(np.sqrt((white**2).sum()))
        self._templates.append((np.conj(fft.rfft2(rolled[1]) * self.whitening) / length).astype(np.complex64))
        # A disc of amplitude a answers with a <WT, WD> / |WT| and is detectable at a |WD|.
        self._gains.append((float((white * white_lesion).sum()) / length, float(np.sqrt((white_lesion**2).sum()))))

    def scan(
        self, item: SliceResidual, threshold: float = THRESHOLD, *, spectrum: npt.NDArray[np.complex64] | None = None
    ) -> Scanned:
        """Maxima of |z| above `threshold` in place and scale; `spectrum` is that of :meth:`white`, if it is at hand."""
        spectrum = self.white(item) if spectrum is None else spectrum
        inside = np.flatnonzero(item.mask)
        sample = inside[:: max(1, inside.size // _SPREAD_SAMPLE)]
        answers: list[Map] = []
        spreads = []
        for template in self._templates:
            z = fft.irfft2(spectrum * template, self.shape)
            if sample.size:
                spreads.append(_spread(z.ravel()[sample]))
            answers.append(z)
        highest, lowest = answers[0].copy(), answers[0].copy()
        for z in answers[1:]:
            np.maximum(highest, z, out=highest)
            np.minimum(lowest, z, out=lowest)
        best = np.where(highest > -lowest, highest, lowest)
        best[~item.mask] = 0
        broken = not spreads or not all(math.isfinite(value) for value in spreads)
        spread = math.nan if broken else float(np.median(spreads))
        return Scanned(item.index, self._peaks(item, best, answers, threshold), best, spread)

    def white(self, item: SliceResidual) -> npt.NDArray[np.complex64]:
        """Whitened spectrum of u.

        The residual is never cut at the mask: whitening turns that step into hundreds of false findings. It is
        clipped hard outside the body alone; a clip inside would hide small strong lesions. The air of a magnitude
        takes the local mean of the body beside it: its own, under a noise level that is too high, makes a step at the
        rim. The air of CT has no such mean, and a table in it must not be spread.
        """
        bound = np.where(item.mask, np.float32(_CLIP_INSIDE), np.float32(_CLIP_OUTSIDE))
        clipped = np.clip(item.u, -bound, bound)
        outside = ~item.mask
        if self.level_air and outside.any():
            np.subtract(clipped, _step_at_rim(clipped, item.mask), out=clipped, where=outside)
        white: npt.NDArray[np.complex64] = fft.rfft2(clipped) * self.whitening
        return white

    def _peaks(self, item: SliceResidual, best: Map, answers: Sequence[Map], threshold: float) -> tuple[Peak, ...]:
        size = np.abs(best)
        if not (size > threshold).any():
            return ()
        places = np.argwhere((size > threshold) & (size == ndimage.maximum_filter(size, 3)))
        order = np.argsort(-size[tuple(places.T)], kind="stable")
        places = places[order]
        scale = np.abs([z[tuple(places.T)] for z in answers]).argmax(0)
        diameters = np.array(self.diameters)[scale]
        found: list[Peak] = []
        left = np.ones(len(places), bool)
        while left.any() and len(found) < MOST_PEAKS:
            first = int(np.argmax(left))
            row, column = (int(value) for value in places[first])
            found.append(self._peak(item, row, column, int(scale[first]), float(best[row, column])))
            reach = _SUPPRESSION * np.maximum(diameters, diameters[first]) + 2
            left &= np.hypot(places[:, 0] - row, places[:, 1] - column) > reach
        return tuple(found)

    def _peak(self, item: SliceResidual, row: int, column: int, scale: int, z: float) -> Peak:
        answer, detectability = self._gains[scale]
        amplitude = z / answer
        return Peak(
            slice_index=item.index,
            place=(row, column),
            diameter=self.diameters[scale],
            z=z,
            amplitude=amplitude,
            dprime=abs(amplitude) * detectability,
            sigma=float(item.sigma[row, column]),
            p=min(1.0, 2 * float(norm.sf(abs(z))) * int(item.mask.sum())),
        )


@dataclass(slots=True)
class ScanTally:
    """What the scans of all slices add up to."""

    peaks: list[Peak] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    largest: float = 0.0
    _judged: int = 0

    def add(self, item: SliceResidual, scanned: Scanned) -> None:
        """Take in one slice."""
        if item.judgeable:
            self._judged += 1
            self.peaks += scanned.peaks
            self.spreads.append(scanned.spread)
            self.largest = max(self.largest, float(np.abs(scanned.best).max()))

    def result(self, name: str, note: str) -> ChannelResult:
        """The channel: value is the largest |z| inside the body in noise units, whether or not it passes as a peak."""
        if self._judged == 0:
            return ChannelResult(name, "range", "not_assessed", None, THRESHOLD, may="verify", note="no voxel to judge")
        spread = float(np.median(self.spreads))
        finite = all(math.isfinite(value) for value in self.spreads)
        value = self.largest if finite else math.nan
        p = min(1.0, min((peak.p for peak in self.peaks), default=1.0) * self._judged)
        words = f"{len(self.peaks)} places beyond {THRESHOLD} noise sd; spread of the scan {spread:.2f} noise sd"
        status: ChannelStatus = "passed" if finite and not self.peaks else "held"
        return ChannelResult(
            name, "range", status, value, THRESHOLD, p, may="verify", note=f"{words}; {note}", spread=spread
        )


def _step_at_rim(values: Map, mask: npt.NDArray[np.bool_]) -> Map:
    """Local mean outside the mask minus that inside, smooth, on the whole grid."""
    step = _block_mean(values, ~mask) - _block_mean(values, mask)
    whole = np.repeat(np.repeat(step, _BLOCK, 0), _BLOCK, 1)[: values.shape[0], : values.shape[1]]
    smooth: Map = ndimage.uniform_filter(whole, _BLOCK, mode="nearest")
    return smooth


def _block_mean(values: Map, inside: npt.NDArray[np.bool_]) -> Map:
    """Mean of the values `inside` within some 12 px, of all of them where none is near; on blocks of 4 px."""
    rows, columns = (-(-size // _BLOCK) * _BLOCK for size in values.shape)
    padded = np.zeros((2, rows, columns), np.float32)
    np.copyto(padded[0, : values.shape[0], : values.shape[1]], values, where=inside)
    padded[1, : values.shape[0], : values.shape[1]] = inside
    blocks = padded.reshape(2, rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK).mean((2, 4))
    total, weight = ndimage.gaussian_filter(blocks, (0, _MEAN_BLOCKS, _MEAN_BLOCKS))
    overall = total.sum() / max(weight.sum(), _FAR)
    mean: Map = ((total + _FAR * overall) / (weight + _FAR)).astype(np.float32)
    return mean


def _spread(values: Map) -> float:
    """1.4826 median absolute deviation; about 1 on pure noise."""
    return _MAD * float(np.median(np.abs(values - np.median(values))))
