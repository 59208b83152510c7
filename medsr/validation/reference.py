"""The channels with a reference, one walk over its slices. A reference can hold a result, never release it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from medsr.records import ChannelResult, ChannelStatus, Restoration
from medsr.validation.comparison import Compared, compared, measured_only, not_comparable
from medsr.validation.error_scan import ErrorScan
from medsr.validation.flat_bias import FlatBias
from medsr.validation.haarpsi import haarpsi
from medsr.validation.likeness import Likeness
from medsr.validation.local_noise import plane_of
from medsr.validation.noise_power import NoisePower
from medsr.validation.recovery import Recovery
from medsr.validation.registration import LARGEST_SHIFT_PX, Displacement, displacement
from medsr.validation.ring_correlation import RingCorrelation
from medsr.validation.sfrc import TILE_PX, SfrcSettings, sfrc

__all__ = ["REFERENCE_CHANNELS", "Comparison", "compare"]

REFERENCE_CHANNELS = ("F0", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10")

_REGISTERED_SLICES = 3
_PUBLISHED_SHARE = 0.33 * 2 * 0.48
"""The authors' highest frequency, .33 cycles a mm at .48 mm, in units of the Nyquist frequency."""
_WATER = 1024.0


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the reference says: channels, and the error of the shown slices in the measured and the supplied part."""

    channels: tuple[ChannelResult, ...] = ()
    maps: Mapping[str, Mapping[int, npt.NDArray[np.float32]]] = field(default_factory=dict)


def compare(restoration: Restoration, *, largest_bias: float, shown: Sequence[int]) -> Comparison:
    """Every channel with a reference; nothing where there is none.

    Parameters
    ----------
    largest_bias : mean error below this is too small to hold, in image units.
    shown : slices of which the error maps are kept.
    """
    if restoration.reference is None:
        return Comparison()
    slices = restoration.geometry.shape[restoration.geometry.slice_axis]
    registered, comparable = _registration(restoration, slices)
    if not comparable:
        why = "not comparable: image and reference do not lie in one place"
        return Comparison((registered, *(not_comparable(name, why) for name in REFERENCE_CHANNELS[1:])))
    geometry = restoration.geometry
    pixel_mm = float(np.mean([geometry.spacing_mm[axis] for axis in geometry.in_plane_axes]))
    tiles, likeness = _Tiles(restoration.measured.modality, pixel_mm), Likeness()
    errors, recovery, rings = ErrorScan(restoration), Recovery(pixel_mm), RingCorrelation(pixel_mm)
    power, bias = NoisePower(), FlatBias(restoration.measured.modality, largest_bias)
    perceived: list[float] = []
    takers: tuple[Callable[[Compared], None], ...] = (
        tiles.add, likeness.add, recovery.add, power.add, rings.add, bias.add,
    )  # fmt: skip
    for index in range(slices):
        item = compared(restoration, index)
        if item is None:
            continue
        for take in takers:
            take(item)
        errors.add(item, shown=index in shown)
        perceived.append(haarpsi(item.image[None], item.reference[None], item.body[None], window=item.window))
    similar = float(np.mean(perceived)) if perceived else None
    channels = (
        registered, tiles.result(), *likeness.results(),
        measured_only("F4", similar, "perceptual similarity (HaarPSI), 1 for equal images"),
        *errors.results(), recovery.result(), power.result(), rings.result(), bias.result(),
    )  # fmt: skip
    return Comparison(tuple(_closed(item) for item in channels), errors.maps)


def _registration(restoration: Restoration, slices: int) -> tuple[ChannelResult, bool]:
    """F0: the largest displacement of a few slices."""
    reference = restoration.reference
    found: list[Displacement] = []
    axis = restoration.geometry.slice_axis
    for index in np.unique(np.linspace(0, slices - 1, _REGISTERED_SLICES + 2)[1:-1].round().astype(int)).tolist():
        planes = (
            [plane_of(values, index, axis) for values in (restoration.image, reference.values)] if reference else []
        )
        if planes and all(plane.any() for plane in planes):
            found.append(displacement(planes[0], planes[1]))
    if not found:
        return not_comparable("F0", "not comparable: no slice to register"), False
    worst = max(found, key=lambda item: math.inf if math.isnan(item.rows) else math.hypot(item.rows, item.columns))
    size = math.hypot(worst.rows, worst.columns)
    note = f"image against reference {worst.rows:+.2f} {worst.columns:+.2f} px, likeness {worst.likeness:.2f}"
    comparable = all(item.comparable for item in found)
    status: ChannelStatus = "passed" if comparable else "not_assessed"
    return ChannelResult("F0", "reference", status, size, LARGEST_SHIFT_PX, note=note), comparable


class _Tiles:
    """F1: sFRC, with a true window and to the authors' letter."""

    def __init__(self, modality: str, pixel_mm: float) -> None:
        self._ct = modality == "CT"
        self._settings = SfrcSettings(
            published=False,
            threshold=0.5 if self._ct else 0.75,
            highest=_PUBLISHED_SHARE / (2 * pixel_mm),
            spacing_mm=pixel_mm,
            offset=_WATER if self._ct else 0.0,
        )
        self._flagged, self._judged, self._published, self._published_judged = 0, 0, 0, 0

    def add(self, item: Compared) -> None:
        """Take in one slice; levels of tissue are the authors' for CT, the same shares of the bright end for MR."""
        if min(item.image.shape) < TILE_PX:
            return
        settings = self._settings
        if not self._ct:
            bright = item.window[1]
            level, mean = (bright * value / _WATER for value in (settings.tissue_level, settings.tissue_mean))
            settings = replace(settings, tissue_level=level, tissue_mean=mean)
        tiles = sfrc(item.image, item.reference, settings)
        self._flagged += int(tiles.flagged.sum())
        self._judged += int(tiles.judged.sum())
        tiles = sfrc(item.image, item.reference, replace(settings, published=True))
        self._published += int(tiles.flagged.sum())
        self._published_judged += int(tiles.judged.sum())

    def result(self) -> ChannelResult:
        """The channel: value is the number of decorrelated tiles."""
        if self._judged == 0:
            return not_comparable("F1", f"no tile of {TILE_PX} px holds tissue")
        status: ChannelStatus = "held" if self._flagged else "passed"
        note = (
            f"{self._flagged} of {self._judged} tiles decorrelate from the reference, {self._published} of "
            f"{self._published_judged} as published; noise alone does that, too"
        )
        words = f"{self._flagged} of {self._judged} tiles decorrelate from the reference" if self._flagged else ""
        return ChannelResult(
            "F1", "reference", status, float(self._flagged), 0.0, note=note, words=words,
            extent=self._flagged / self._judged,
        )  # fmt: skip


def _closed(item: ChannelResult) -> ChannelResult:
    """A channel without a finite number has not passed."""
    if item.status == "passed" and (item.value is None or not math.isfinite(item.value)):
        return replace(item, status="held")
    return item
