"""A panel: one picture of a slice with its marks and colour scale, and what all panels of a slice share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.records import Finding
from medsr.report.display import Display
from medsr.report.marks import Mark, marks_on
from medsr.report.planes import SlicePlanes
from medsr.report.png import data_uri
from medsr.report.windows import DIVERGING, Window
from medsr.report.words import number

__all__ = [
    "COARSE_SIDE",
    "FINE_SIDE",
    "Legend",
    "Panel",
    "Scene",
    "View",
    "colours",
    "empty",
    "panel",
    "reduced",
    "signed_legend",
]

Plane = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

FINE_SIDE, COARSE_SIDE = 640, 256
"""Pixels of the longer side of a large and of a small picture."""


@dataclass(frozen=True, slots=True)
class Legend:
    """A colour scale: CSS colours from low to high, the words at its ends and below it."""

    colours: tuple[str, ...]
    low: str
    middle: str
    high: str
    words: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture: its title, PNG, size in mm, rim letters, marks and colour scale; no PNG where there is no picture."""

    key: str
    title: str
    words: str
    uri: str
    width_mm: float
    height_mm: float
    letters: tuple[str, str, str, str] | None = None
    marks: tuple[Mark, ...] = ()
    legend: Legend | None = None
    pixelated: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A part that all panels of a slice show at once, so that one point lies at one place: title, scale, shift in mm.

    A point p of the picture is drawn at scale * p + (left, top).
    """

    title: str
    scale: float
    left: float
    top: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What all panels of a slice share."""

    display: Display
    planes: SlicePlanes
    window: Window
    limit: float
    unit: str
    findings: tuple[tuple[int, Finding], ...]
    side: int
    threshold: float | None


def panel(
    scene: Scene,
    key: str,
    title: str,
    words: str,
    plane: Plane,
    colour: Callable[[Plane], Bytes],
    *,
    palette: Bytes | None = None,
    legend: Legend | None = None,
) -> Panel:
    """A plane as a picture, with the findings of its slice."""
    picture = reduced(scene.display.picture(plane), scene.side)
    pixels = colour(picture)
    width, height = scene.display.size_mm
    return Panel(
        key=key,
        title=title,
        words=words,
        uri=data_uri(pixels, palette),
        width_mm=width,
        height_mm=height,
        letters=scene.display.letters,
        marks=marks_on(scene.display, scene.findings, small=scene.side == COARSE_SIDE),
        legend=legend,
        pixelated=max(picture.shape) <= COARSE_SIDE,
    )


def empty(scene: Scene, key: str, title: str, words: str) -> Panel:
    """Words in place of a picture."""
    width, height = scene.display.size_mm
    return Panel(key, title, words, "", width, height)


def reduced(picture: Plane, side: int) -> Plane:
    """Means over blocks, so that no side has more than `side` pixels."""
    factor = -(-max(picture.shape) // side)
    if factor <= 1:
        return picture
    result = picture.astype(np.float64)
    for axis, size in enumerate(picture.shape):
        edges = np.linspace(0, size, -(-size // factor) + 1).astype(np.intp)
        counts = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        result = np.add.reduceat(result, edges[:-1], axis) / counts
    return result.astype(np.float32)


def signed_legend(limit: float, unit: str, words: str) -> Legend:
    """The scale of a signed map, from -limit to +limit."""
    ends = [f"{sign}{number(limit)} {unit}".strip() for sign in ("−", "+")]
    return Legend(colours(DIVERGING), ends[0], "0", ends[1], words)


def colours(palette: Bytes) -> tuple[str, ...]:
    """A palette as CSS colours."""
    return tuple(f"rgb({red},{green},{blue})" for red, green, blue in palette[::4].tolist())
