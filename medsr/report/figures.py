"""The pictures of a report: panels as PNG with marks in mm, ready for the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.records import Finding, Judgement, Restoration
from medsr.report.display import Display
from medsr.report.marks import Mark, marks_on
from medsr.report.planes import SlicePlanes, in_patient, slice_planes
from medsr.report.png import data_uri
from medsr.report.windows import DIVERGING, SEQUENTIAL, WITH_MISSING, Window, nice_limit, on_palette, window_for
from medsr.report.words import number

__all__ = ["Legend", "Panel", "SliceFigure", "reduced", "slice_figure"]

Plane = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_DIFFERENCE_PERCENTILE = 97.0
_SUPPLIED_PERCENTILE = 99.5
_LARGEST_Z = 10.0
_DETAIL_MM, _DETAIL_SIZES = 30.0, 5.0
_LARGEST_DETAIL = 160
_FINE_SIDE, _COARSE_SIDE = 640, 256


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
class SliceFigure:
    """All panels of one slice; `detail` is a part at full resolution, `maps` what was supplied and contradicted."""

    index: int
    title: str
    window: str
    whole: tuple[Panel, ...]
    detail: tuple[Panel, ...]
    detail_title: str
    maps: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What all panels of a slice share."""

    display: Display
    planes: SlicePlanes
    window: Window
    limit: float
    unit: str
    findings: tuple[tuple[int, Finding], ...]
    side: int
    threshold: float | None


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
    scene = _Scene(
        display,
        planes,
        window_for(restoration.measured.modality, shown, near=near),
        _difference_limit(planes, here),
        unit,
        here,
        _FINE_SIDE if main else _COARSE_SIDE,
        _scan_threshold(judgement),
    )
    title = f"Slice {index + 1} of {geometry.shape[axis]}, {display.title}"
    maps = _maps(scene, judgement, index, supplied=main and restoration.operator.linear.kind != "identity")
    detail, words = _detail(scene, judgement, index) if main else ((), "")
    return SliceFigure(index, title, scene.window.title, _whole(scene), detail, words, maps)


def _whole(scene: _Scene) -> tuple[Panel, ...]:
    planes = scene.planes
    missing = "not measured"
    return (
        _grey(scene, "input", "Input", planes.measured, missing),
        _grey(scene, "restored", "Restored", planes.restored, missing),
        _difference(scene),
    )


def _grey(scene: _Scene, key: str, title: str, plane: Plane | None, missing: str) -> Panel:
    if plane is None:
        return _empty(scene, key, title, missing)
    return _panel(scene, key, title, "", plane, scene.window.grey)


def _difference(scene: _Scene) -> Panel:
    if scene.planes.difference is None:
        return _empty(scene, "difference", "Difference", scene.planes.difference_words)
    limit = scene.limit
    return _panel(
        scene,
        "difference",
        "Difference",
        scene.planes.difference_words,
        scene.planes.difference,
        lambda plane: on_palette(plane, low=-limit, high=limit),
        palette=DIVERGING,
        legend=_signed_legend(limit, scene.unit, "Orange: restored is brighter; blue: restored is darker"),
    )


def _maps(scene: _Scene, judgement: Judgement, index: int, *, supplied: bool) -> tuple[Panel, ...]:
    panels = []
    z = judgement.maps.get("contradicted", {}).get(index)
    if z is not None and z.shape == scene.planes.restored.shape:
        limit = _LARGEST_Z
        decides = f"; decides beyond ±{number(scene.threshold)}" if scene.threshold is not None else ""
        words = f"Orange: brighter than the scan allows; blue: darker{decides}; grey: not judged"
        # The judge's z is positive where the measurement is brighter; the picture follows the restored image.
        # It is exactly 0 where nothing was judged, which must not look like agreement.
        panels.append(
            _panel(
                scene,
                "contradicted",
                "Contradicted",
                "How far image and scan differ, in noise deviations",
                np.where(z == 0, np.nan, -z).astype(np.float32),
                lambda plane: on_palette(plane, low=-limit, high=limit, missing=True),
                palette=WITH_MISSING,
                legend=_signed_legend(limit, "sd", words),
            )
        )
    energy = judgement.maps.get("supplied", {}).get(index)
    if supplied and energy is not None and energy.shape == scene.planes.restored.shape:
        most = nice_limit(float(np.percentile(energy, _SUPPLIED_PERCENTILE)))
        panels.append(
            _panel(
                scene,
                "supplied",
                "Measured or supplied",
                "Local strength of fine detail that no measurement stands behind",
                energy,
                lambda plane: on_palette(plane, low=0, high=most),
                palette=SEQUENTIAL,
                legend=Legend(
                    _css(SEQUENTIAL),
                    "measured",
                    "",
                    f"{number(most)} {scene.unit}".strip(),
                    "Black: measured; bright: supplied by the model",
                ),
            )
        )
    return tuple(panels)


def _detail(scene: _Scene, judgement: Judgement, index: int) -> tuple[tuple[Panel, ...], str]:
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
        row, column = np.unravel_index(int(display.picture(supplied).argmax()), display.picture(supplied).shape)
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


def _cropped(scene: _Scene, key: str, title: str, plane: Plane, view: tuple[slice, slice]) -> Panel:
    picture = scene.display.picture(plane)[view]
    high, wide = (size * mm for size, mm in zip(picture.shape, scene.display.pixel_mm, strict=True))
    frame = (view[1].start * scene.display.pixel_mm[1], view[0].start * scene.display.pixel_mm[0], wide, high)
    signed = key.startswith("difference")
    pixels = on_palette(picture, low=-scene.limit, high=scene.limit) if signed else scene.window.grey(picture)
    uri = data_uri(pixels, DIVERGING if signed else None)
    marks = marks_on(scene.display, scene.findings, view=frame)
    return Panel(key, title, "", uri, wide, high, marks=marks, pixelated=True)


def _panel(
    scene: _Scene,
    key: str,
    title: str,
    words: str,
    plane: Plane,
    colour: Callable[[Plane], Bytes],
    *,
    palette: Bytes | None = None,
    legend: Legend | None = None,
) -> Panel:
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
        marks=marks_on(scene.display, scene.findings, small=scene.side == _COARSE_SIDE),
        legend=legend,
        pixelated=max(picture.shape) <= _COARSE_SIDE,
    )


def _empty(scene: _Scene, key: str, title: str, words: str) -> Panel:
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


def _signed_legend(limit: float, unit: str, words: str) -> Legend:
    ends = [f"{sign}{number(limit)} {unit}".strip() for sign in ("−", "+")]
    return Legend(_css(DIVERGING), ends[0], "0", ends[1], words)


def _css(palette: Bytes) -> tuple[str, ...]:
    return tuple(f"rgb({red},{green},{blue})" for red, green, blue in palette[::4].tolist())


def _scan_threshold(judgement: Judgement) -> float | None:
    return next((item.threshold for item in judgement.channels if item.name == "R4"), None)
