"""Slices of a view as PNG: grey at one window, or a colour scale that is the same for the whole volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.errors import UsageError
from medsr.report.png import png
from medsr.report.view import ImageName, PlaneName, View, ViewFacts
from medsr.report.windows import DIVERGING, SEQUENTIAL, WITH_MISSING, Window, on_palette

__all__ = ["Preset", "picture", "presets"]

Bytes = npt.NDArray[np.uint8]

_FAST = 1
"""Compression of pictures that are made on request: a tenth of the time of the smallest, for a third more bytes."""
_MISSING = (74, 80, 88)
_GREYS = np.concatenate([np.repeat(np.arange(255, dtype=np.uint8)[:, None], 3, 1), np.array([_MISSING], np.uint8)])


@dataclass(frozen=True, slots=True)
class Preset:
    """A window by number: key 1 to 5, a short title, and what is black and what white in image units."""

    key: int
    title: str
    low: float
    high: float


def presets(facts: ViewFacts) -> tuple[Preset, ...]:
    """Five windows for the modality; those of MR are shares of the scan's own bright end."""
    if facts.modality == "CT":
        levels = (
            ("Soft tissue", 40, 400),
            ("Lung", -600, 1500),
            ("Bone", 500, 2000),
            ("Brain", 40, 80),
            ("Liver", 60, 160),
        )
        return tuple(
            Preset(place, title, level - width / 2, level + width / 2)
            for place, (title, level, width) in enumerate(levels, start=1)
        )
    shares = (("Full", 0.0, 1.0), ("Bright", 0.5, 1.1), ("Dark", 0.0, 0.5), ("Wide", 0.0, 1.6), ("Noise", 0.0, 0.15))
    return tuple(
        Preset(place, title, low * facts.bright, high * facts.bright)
        for place, (title, low, high) in enumerate(shares, start=1)
    )


def picture(
    view: View, image: ImageName, plane: PlaneName, index: int, *, window: tuple[float, float] | None = None
) -> bytes:
    """PNG of a slice, turned for reading.

    Parameters
    ----------
    index : of the slice along the plane's axis, from 0.
    window : black and white in image units; the first preset by default. Colour scales do not take one.

    Raises
    ------
    UsageError : ``preview.none``, if there is no such image or slice; ``preview.window``, if white is not above black.
    """
    if image not in view.images:
        raise UsageError("preview.none", f"this result has no picture {image}")
    count = view.facts.shape[view.axes[plane]]
    if not 0 <= index < count:
        raise UsageError("preview.none", f"slice {index} of {count}")
    turned = view.display(plane).picture(view.slice_of(image, plane, index))
    if image in ("input", "restored"):
        return _grey(turned, _window(view, window))
    limit = view.facts.limits[image]
    if image == "difference":
        return png(on_palette(turned, low=-limit, high=limit, missing=True), WITH_MISSING, level=_FAST)
    return png(on_palette(turned, low=0, high=limit), SEQUENTIAL, level=_FAST)


def colours(image: ImageName) -> tuple[tuple[int, int, int], ...]:
    """The colour scale of an image from low to high; empty for grey ones."""
    table = {"difference": DIVERGING, "supplied": SEQUENTIAL, "spread": SEQUENTIAL}.get(image)
    return () if table is None else tuple((int(r), int(g), int(b)) for r, g, b in table[::4])


def _window(view: View, window: tuple[float, float] | None) -> Window:
    first = presets(view.facts)[0]
    low, high = window or (first.low, first.high)
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise UsageError("preview.window", "the window's white is not above its black")
    return Window(low, high, "")


def _grey(plane: npt.NDArray[np.float32], window: Window) -> bytes:
    """Grey where it was measured, slate where it was not."""
    missing = np.isnan(plane)
    grey = window.grey(plane)
    if not missing.any():
        return png(grey, level=_FAST)
    levels = np.rint(grey.astype(np.float32) * (254 / 255)).astype(np.uint8)
    return png(np.where(missing, 255, levels).astype(np.uint8), _GREYS, level=_FAST)
