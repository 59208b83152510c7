"""The pictures of a report: panels as PNG with marks in mm, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.records import Finding, Judgement, Restoration
from medsr.report.display import Display
from medsr.report.map_panels import error_panels, map_panels
from medsr.report.marks import marks_on
from medsr.report.panels import COARSE_SIDE, FINE_SIDE, Panel, Scene, View, empty, panel, signed_legend
from medsr.report.planes import SlicePlanes, in_patient, slice_planes
from medsr.report.png import data_uri
from medsr.report.windows import DIVERGING, nice_limit, on_palette, window_for

__all__ = ["SliceFigure", "slice_figure"]

Plane = npt.NDArray[np.float32]

_DIFFERENCE_PERCENTILE = 97.0
_DETAIL_MM, _DETAIL_SIZES = 30.0, 5.0
_LARGEST_DETAIL = 160
_TABLE_PX = 4
_VIEW_SCALE = 3.0
_MOST_VIEWS = 4
_QUARTERS = (
    ("upper left", 0.25, 0.25),
    ("upper right", 0.75, 0.25),
    ("lower left", 0.25, 0.75),
    ("lower right", 0.75, 0.75),
)


@dataclass(frozen=True, slots=True)
class SliceFigure:
    """All panels of one slice.

    `detail` is a part at full resolution, `maps` what is contradicted, supplied and trusted, `errors` those against a
    reference; `views` are the parts that all of them can show at once.
    """

    index: int
    title: str
    window: str
    whole: tuple[Panel, ...]
    detail: tuple[Panel, ...]
    detail_title: str
    maps: tuple[Panel, ...]
    errors: tuple[Panel, ...] = ()
    views: tuple[View, ...] = ()


def slice_figure(
    restoration: Restoration, judgement: Judgement, numbered: Sequence[tuple[int, Finding]], index: int, *, main: bool
) -> SliceFigure:
    """The panels of slice `index`; the main slice at full size and with details, others smaller.

    Parameters
    ----------
    numbered : findings of the whole volume with their numbers in the table, the clearest first.
    """
    geometry = restoration.geometry
    axis = geometry.slice_axis
    here = tuple(
        (place, item) for place, item in numbered if item.box_voxel[0][axis] <= index < item.box_voxel[1][axis]
    )
    planes = slice_planes(restoration, index)
    display = Display.of(geometry)
    shown = planes.restored if planes.measured is None else planes.measured
    near = _near(here[0][1], geometry.in_plane_axes) if here else None
    unit = "HU" if restoration.measured.modality == "CT" else ""
    scene = Scene(
        display,
        planes,
        window_for(restoration.measured.modality, shown, near=near),
        _difference_limit(planes, here),
        unit,
        here,
        FINE_SIDE if main else COARSE_SIDE,
        _scan_threshold(judgement),
    )
    title = f"Slice {index + 1} of {geometry.shape[axis]}, {display.title}"
    maps = map_panels(scene, restoration, judgement, index, main=main)
    detail, words = _detail(scene, judgement, index) if main else ((), "")
    errors = error_panels(scene, judgement, index) if main else ()
    views = _views(scene) if main else ()
    return SliceFigure(index, title, scene.window.title, _whole(scene), detail, words, maps, errors, views)


def _whole(scene: Scene) -> tuple[Panel, ...]:
    planes = scene.planes
    missing = "not measured"
    return (
        _grey(scene, "input", "Input", planes.measured, missing),
        _grey(scene, "restored", "Restored", planes.restored, missing),
        _difference(scene),
    )


def _grey(scene: Scene, key: str, title: str, plane: Plane | None, missing: str) -> Panel:
    if plane is None:
        return empty(scene, key, title, missing)
    return panel(scene, key, title, "", plane, scene.window.grey)


def _difference(scene: Scene) -> Panel:
    if scene.planes.difference is None:
        return empty(scene, "difference", "Difference", scene.planes.difference_words)
    limit = scene.limit
    return panel(
        scene,
        "difference",
        "Difference",
        scene.planes.difference_words,
        scene.planes.difference,
        lambda plane: on_palette(plane, low=-limit, high=limit),
        palette=DIVERGING,
        legend=signed_legend(limit, scene.unit, "Orange: restored is brighter; blue: restored is darker"),
    )


def _detail(scene: Scene, judgement: Judgement, index: int) -> tuple[tuple[Panel, ...], str]:
    """A part at full resolution: around the clearest finding, else where the model supplied most."""
    display = scene.display
    supplied = judgement.maps.get("supplied", {}).get(index)
    if scene.findings:
        place, finding = scene.findings[0]
        left, top, wide, high = display.rectangle(finding.box_voxel)
        middle = (left + wide / 2, top + high / 2)
        side = max(_DETAIL_MM, _DETAIL_SIZES * max(wide, high))
        words = f"Around finding {place}"
    elif supplied is not None and supplied.shape == scene.planes.restored.shape and supplied.any():
        # Opened, since the table below a patient is thin and sharp, and nobody asks for it.
        inside = ndimage.binary_opening(in_patient(scene.planes), iterations=_TABLE_PX)
        picture = display.picture(np.where(inside, supplied, np.float32(0)))
        row, column = np.unravel_index(int(picture.argmax()), picture.shape)
        middle = ((column + 0.5) * display.pixel_mm[1], (row + 0.5) * display.pixel_mm[0])
        side, words = 2 * _DETAIL_MM, "Where the model supplied most"
    else:
        return (), ""
    view = _view(display, middle, side)
    panels = []
    for key, title, plane in (
        ("input-detail", "Input", scene.planes.measured),
        ("restored-detail", "Restored", scene.planes.restored),
        ("difference-detail", "Difference", scene.planes.difference),
    ):
        if plane is not None:
            panels.append(_cropped(scene, key, title, plane, view))
    return tuple(panels), f"{words}, {panels[0].width_mm:.0f} × {panels[0].height_mm:.0f} mm, every voxel shown"


def _view(display: Display, middle: tuple[float, float], side: float) -> tuple[slice, slice]:
    """Rows and columns of a square around `middle` (mm), moved inside the picture."""
    shape = (display.geometry.shape[display.row_axis], display.geometry.shape[display.column_axis])
    ranges = []
    for count, pixel, centre in zip(shape, display.pixel_mm, (middle[1], middle[0]), strict=True):
        size = min(count, _LARGEST_DETAIL, max(8, round(side / pixel)))
        start = min(max(0, round(centre / pixel - size / 2)), count - size)
        ranges.append(slice(start, start + size))
    return ranges[0], ranges[1]


def _cropped(scene: Scene, key: str, title: str, plane: Plane, view: tuple[slice, slice]) -> Panel:
    picture = scene.display.picture(plane)[view]
    high, wide = (size * mm for size, mm in zip(picture.shape, scene.display.pixel_mm, strict=True))
    frame = (view[1].start * scene.display.pixel_mm[1], view[0].start * scene.display.pixel_mm[0], wide, high)
    signed = key.startswith("difference")
    pixels = on_palette(picture, low=-scene.limit, high=scene.limit) if signed else scene.window.grey(picture)
    uri = data_uri(pixels, DIVERGING if signed else None)
    marks = marks_on(scene.display, scene.findings, view=frame)
    return Panel(key, title, "", uri, wide, high, marks=marks, pixelated=True)


def _views(scene: Scene) -> tuple[View, ...]:
    """The whole, the clearest findings, and the quarters of the picture."""
    width, height = scene.display.size_mm
    views = [View("whole", 1.0, 0.0, 0.0)]
    for place, finding in scene.findings[:_MOST_VIEWS]:
        left, top, wide, high = scene.display.rectangle(finding.box_voxel)
        scale = min(_VIEW_SCALE, 0.5 * min(width / max(wide, 1e-6), height / max(high, 1e-6)))
        if scale > 1:
            centre = (left + wide / 2, top + high / 2)
            views.append(_view_at(f"finding {place}", scale, centre, (width, height)))
    for title, across, down in _QUARTERS:
        views.append(_view_at(title, 2.0, (across * width, down * height), (width, height)))
    return tuple(views)


def _view_at(title: str, scale: float, centre: tuple[float, float], size: tuple[float, float]) -> View:
    """The picture enlarged with `centre` in the middle, moved so that no side shows beyond the picture."""
    shifts = [
        min(0.0, max(length * (1 - scale), length / 2 - scale * at)) for at, length in zip(centre, size, strict=True)
    ]
    return View(title, scale, shifts[0], shifts[1])


def _near(finding: Finding, axes: tuple[int, int]) -> tuple[slice, slice]:
    """The finding's box and as much again around it, in array order."""
    low, high = finding.box_voxel
    parts = []
    for axis in axes:
        margin = high[axis] - low[axis]
        parts.append(slice(max(0, low[axis] - margin), high[axis] + margin))
    return parts[0], parts[1]


def _difference_limit(planes: SlicePlanes, findings: Sequence[tuple[int, Finding]]) -> float:
    if planes.difference is None:
        return 1.0
    inside = np.abs(planes.difference[in_patient(planes)])
    usual = float(np.percentile(inside, _DIFFERENCE_PERCENTILE))
    contrasts = [abs(finding.contrast) for _, finding in findings if np.isfinite(finding.contrast)]
    return nice_limit(max([usual, *contrasts[:1]]))


def _scan_threshold(judgement: Judgement) -> float | None:
    return next((item.threshold for item in judgement.channels if item.name == "R4"), None)
