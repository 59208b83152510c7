"""A picture of a scan small enough for a list."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medsr.records import Restoration
from medsr.report.display import Display
from medsr.report.panels import reduced
from medsr.report.planes import shown_slices, slice_planes
from medsr.report.png import png
from medsr.report.windows import window_for

__all__ = ["SIDE", "thumbnail"]

SIDE = 128
"""Longest side of each half, in pixels."""


def thumbnail(restoration: Restoration, *, restored: bool) -> bytes:
    """A grey PNG of the middle slice: the measurement, with the restored image at its right if `restored`.

    Both halves have one window, taken from the measurement, and SIDE pixels on their longest side at most.
    """
    planes = slice_planes(restoration, shown_slices((), restoration)[0])
    display = Display.of(restoration.geometry)
    measured = planes.restored if planes.measured is None else planes.measured
    window = window_for(restoration.measured.modality, measured)
    halves = [measured, planes.restored] if restored else [measured]
    pictures = [window.grey(reduced(display.picture(plane), SIDE)) for plane in halves]
    joined: npt.NDArray[np.uint8] = np.concatenate(pictures, axis=1)
    return png(joined)
