"""What the study page's scripts need of a result: planes, windows, scales and findings, as plain JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from medsr.report.display import place_words
from medsr.report.document import FindingEntry, Report
from medsr.report.view import PLANES, ImageName, PlaneName, View
from medsr.report.words import FINDING_TITLES, contrast_words, millimetres, number, p_words
from medsr.service.page.pictures import colours, presets
from medsr.service.page.volumes import most_voxels
from medsr.volume import Modality

__all__ = ["FindingRow", "finding_rows", "scene"]

_DIVISOR = "divisor"
_IMAGE_WORDS: dict[ImageName, tuple[str, str]] = {
    "input": ("Input", "The scan as it was measured"),
    "restored": ("Restored", "Made by a computer model"),
    "difference": ("Difference", "Orange: restored is brighter; blue: restored is darker; slate: not measured"),
    "supplied": ("Supplied", "Bright: fine detail that the model supplied and no measurement stands behind"),
    "spread": ("Spread", "Bright: where repeated draws of the model differ"),
}
_ABSENT: dict[ImageName, str] = {
    "supplied": "Every voxel was measured, with noise: no part of this picture was supplied outside the measurement.",
    "spread": "The model was run once for this result, so there is no spread of repeated draws.",
}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding in the list, in words."""

    number: int
    kind: str
    title: str
    size: str
    contrast: str
    dprime: str
    p: str
    place: str
    remains: bool


def finding_rows(report: Report) -> tuple[FindingRow, ...]:
    """The findings in the order of the report, the clearest first."""
    return tuple(_row(place, item, report) for place, item in enumerate(report.findings, start=1))


def scene(view: View, report: Report) -> dict[str, object]:
    """The scene as JSON values."""
    facts = view.facts
    return {
        "shape": list(facts.shape),
        "affine": [list(row) for row in facts.affine],
        "unit": facts.unit,
        "main": view.main,
        "planes": {name: _plane(view, name) for name in PLANES},
        "synthetic": {"axis": facts.slice_axis, "slices": list(facts.synthetic)},
        "windows": [
            {"key": item.key, "title": item.title, "low": item.low, "high": item.high} for item in presets(facts)
        ],
        "images": {name: _image(view, name) for name in get_args(ImageName)},
        "findings": [
            {"number": place, "kind": item.type, "title": FINDING_TITLES[item.type], "box": _box(item)}
            for place, item in enumerate(report.findings, start=1)
        ],
        "limits": dict(facts.limits),
        "halve": math.prod(facts.shape) > most_voxels,
        "start": _start(view, report),
    }


def _plane(view: View, name: PlaneName) -> dict[str, object]:
    display = view.display(name)
    shape = view.facts.shape
    return {
        "title": display.title,
        "axis": view.axes[name],
        "rowAxis": display.row_axis,
        "columnAxis": display.column_axis,
        "rowsFlipped": display.rows_flipped,
        "columnsFlipped": display.columns_flipped,
        "rows": shape[display.row_axis],
        "columns": shape[display.column_axis],
        "count": shape[view.axes[name]],
        "pixelMm": list(display.pixel_mm),
        "letters": list(display.letters),
    }


def _image(view: View, name: ImageName) -> dict[str, object]:
    title, words = _IMAGE_WORDS[name]
    if name == "difference":
        words = f"{view.facts.difference_words}. {words}"
    held = name in view.images
    limit = view.facts.limits.get(name)
    end = "" if limit is None else f"{number(limit)} {view.facts.unit}".strip()
    return {
        "title": title,
        "words": words if held else _ABSENT.get(name, ""),
        "held": held,
        "colours": [f"rgb({r},{g},{b})" for r, g, b in colours(name)],
        "low": f"−{end}" if name == "difference" else "0",
        "high": f"+{end}" if name == "difference" else end,
    }


def _start(view: View, report: Report) -> list[int]:
    """The voxel that is shown first: the clearest finding, else the middle."""
    if report.findings:
        low, high = report.findings[0].box_voxel
        return [(start + stop - 1) // 2 for start, stop in zip(low, high, strict=True)]
    return [size // 2 for size in view.facts.shape]


def _box(item: FindingEntry) -> list[list[int]]:
    return [list(corner) for corner in item.box_voxel]


def _row(place: int, item: FindingEntry, report: Report) -> FindingRow:
    modality: Modality = report.input.modality
    divisor = report.intensity.get(_DIVISOR)
    reference = float(divisor) if isinstance(divisor, (int, float)) and divisor > 0 else None
    centre = None
    if item.box_mm is not None:
        centre = [(low + high) / 2 for low, high in zip(*item.box_mm, strict=True)]
    return FindingRow(
        number=place,
        kind=item.type,
        title=FINDING_TITLES[item.type],
        size=millimetres(math.nan if item.size_mm is None else item.size_mm),
        contrast=contrast_words(
            math.nan if item.contrast is None else item.contrast,
            modality,
            reference=None if modality == "CT" else reference,
        ),
        dprime=number(item.dprime, 2),
        p=p_words(item.p),
        place=place_words(centre) if centre is not None else "place not known",
        remains=item.remains,
    )
