"""R4: a matched-filter scan of the residual for structure that was added or omitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.stats import norm

from medsr.physics.lesions import disc_at
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import FLOOR

__all__ = ["DIAMETERS", "THRESHOLD", "Peak", "Scan"]

DIAMETERS = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Template diameters in measured pixels."""
THRESHOLD = 5.4
"""In units of noise: with the ring template, planted d' 8 discs are found above it in 95 % (docs/validation.md)."""

_RING = 2.0
_CLIP_OUTSIDE, _CLIP_INSIDE = 4.5, 30.0
_MAD = 1.4826
_SUPPRESSION = 0.75


@dataclass(frozen=True, slots=True)
class Peak:
    """A local maximum of |z|: place on the measured slice, template diameter in px, z in noise units (signed).

    amplitude is the disc contrast in units of the local noise, dprime its detectability; positive means that the
    measurement is brighter than the image predicts.
    """

    slice_index: int
    place: tuple[int, int]
    diameter: float
    z: float
    amplitude: float
    dprime: float
    p: float


class Scan:
    """Templates for slices of one shape and one noise spectrum.

    z = IFFT(conj(W T) W R) / |W T| with R the residual in units of its noise, W = 1 / sqrt(max(NPS, .05 max)) and T
    a disc minus the mean of the ring out to twice its diameter; z has sd 1 on noise of that spectrum.

    Parameters
    ----------
    shape : (N1, N2) of a slice.
    spectrum : noise power in rfft2 layout, mean 1.
    """

    def __init__(self, shape: tuple[int, int], spectrum: npt.NDArray[np.float64]) -> None:
        self.shape = shape
        self.whitening = (1 / np.sqrt(np.maximum(spectrum, FLOOR * spectrum.max()))).astype(np.float32)
        usable = [d for d in DIAMETERS if _RING * d + 4 < min(shape)]
        self.diameters = tuple(usable) or (3.0,)
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
        white_lesion, white = (np.fft.irfft2(fft.rfft2(image) * self.whitening, self.shape) for image in rolled)
        length = float(np.sqrt((white**2).sum()))
        self._templates.append((np.conj(fft.rfft2(rolled[1]) * self.whitening) / length).astype(np.complex64))
        # A disc of amplitude a answers with a <WT, WD> / |WT| and is detectable at a |WD|.
        self._gains.append((float((white * white_lesion).sum()) / length, float(np.sqrt((white_lesion**2).sum()))))

    def maps(self, item: SliceResidual) -> npt.NDArray[np.float32]:
        """z of every scale, (scales, N1, N2), before normalisation by its own spread.

        The residual is never cut at the mask: whitening turns that step into hundreds of false findings. It is
        clipped hard outside the body alone; a clip inside would hide small strong lesions.
        """
        u = item.u
        bounded = np.where(
            item.mask, np.clip(u, -_CLIP_INSIDE, _CLIP_INSIDE), np.clip(u, -_CLIP_OUTSIDE, _CLIP_OUTSIDE)
        )
        spectrum = fft.rfft2(bounded.astype(np.float32)) * self.whitening
        return np.stack([fft.irfft2(spectrum * template, self.shape) for template in self._templates])

    def spreads(self, maps: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """1.4826 MAD of each scale inside the body; about 1 on pure noise."""
        values = maps[:, mask][:, ::7]
        middle = np.median(values, axis=1, keepdims=True)
        return np.asarray(_MAD * np.median(np.abs(values - middle), axis=1), np.float64)

    def peaks(self, item: SliceResidual, threshold: float = THRESHOLD) -> tuple[list[Peak], npt.NDArray[np.float32]]:
        """Maxima above `threshold` in place and scale, strongest first, and the signed map of largest |z|."""
        if item.mask.sum() < 100:
            return [], np.zeros(self.shape, np.float32)
        z = self.maps(item)
        scale = np.abs(z).argmax(0)
        best = np.take_along_axis(z, scale[None], 0)[0] * item.mask
        places = np.argwhere(np.abs(best) > threshold)
        order = np.argsort(-np.abs(best[tuple(places.T)]))
        found: list[Peak] = []
        for row, column in places[order]:
            diameter = self.diameters[scale[row, column]]
            if all(_apart(peak, int(row), int(column), diameter) for peak in found):
                found.append(self._peak(item, int(row), int(column), int(scale[row, column]), float(best[row, column])))
        return found, best.astype(np.float32)

    def _peak(self, item: SliceResidual, row: int, column: int, scale: int, z: float) -> Peak:
        answer, detectability = self._gains[scale]
        amplitude = z / answer
        chances = min(1.0, 2 * float(norm.sf(abs(z))) * int(item.mask.sum()))
        return Peak(
            item.index, (row, column), self.diameters[scale], z, amplitude, abs(amplitude) * detectability, chances
        )


def _apart(peak: Peak, row: int, column: int, diameter: float) -> bool:
    distance = (peak.place[0] - row) ** 2 + (peak.place[1] - column) ** 2
    return distance > (_SUPPRESSION * max(diameter, peak.diameter) + 2) ** 2
