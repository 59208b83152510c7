"""Boxes of findings on a picture, with labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medsr.records import Finding
from medsr.report.display import Display
from medsr.report.words import millimetres

__all__ = ["Mark", "label_of", "marks_on"]

_TEXT_SHARE, _SMALL_TEXT_SHARE = 0.042, 0.052
"""Height of a label in widths of the picture."""
_LETTER = 0.56
"""Mean width of a letter in heights of the label."""
_GAP = 0.35
_MOST_LABELS = 6

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A box in mm from the upper left corner of the picture, and where its label starts (left end, baseline)."""

    kind: str
    left: float
    top: float
    width: float
    height: float
    label: str
    label_left: float
    label_base: float
    text_mm: float


def label_of(finding: Finding, number: int) -> str:
    """Number in the table and size."""
    return f"{number}: {millimetres(finding.size_mm)}"


def marks_on(
    display: Display,
    findings: Sequence[tuple[int, Finding]],
    *,
    view: Rectangle | None = None,
    small: bool = False,
) -> tuple[Mark, ...]:
    """Boxes of numbered findings, the clearest first; a label that finds no free place is left out.

    Parameters
    ----------
    view : left, top, width, height in mm of the part of the picture that is shown; all of it by default.
    small : the picture is shown small, so its labels must be larger.
    """
    left, top, width, height = view or (0.0, 0.0, *display.size_mm)
    text = (_SMALL_TEXT_SHARE if small else _TEXT_SHARE) * width
    boxes = []
    for number, finding in findings:
        x, y, w, h = _grown(display.rectangle(finding.box_voxel), least=0.02 * width, margin=0.25 * text)
        x, y = x - left, y - top
        if x < width and y < height and x + w > 0 and y + h > 0:
            boxes.append((number, finding, (x, y, w, h)))
    taken = [box for _, _, box in boxes]
    marks = []
    for place, (number, finding, box) in enumerate(boxes):
        label = label_of(finding, number) if place < _MOST_LABELS else ""
        spot = _label_place(box, len(label) * _LETTER * text, text, (width, height), taken)
        if spot is None and place > 0:
            label = ""
        spot = spot or (box[0], max(0.0, box[1] - text), 0.0, text)
        if label:
            taken.append(spot)
        marks.append(Mark(finding.type, *box, label, spot[0], spot[1] + 0.8 * text, text))
    return tuple(marks)


def _grown(box: Rectangle, *, least: float, margin: float) -> Rectangle:
    """A box with room around what it frames."""
    x, y, w, h = box
    wide, high = max(w + 2 * margin, least), max(h + 2 * margin, least)
    return x - (wide - w) / 2, y - (high - h) / 2, wide, high


def _label_place(
    box: Rectangle, length: float, text: float, size: tuple[float, float], taken: Sequence[Rectangle]
) -> Rectangle | None:
    """The first place around the box that is inside the picture and covers no box and no other label."""
    x, y, w, h = box
    gap = _GAP * text
    above, below, right, left = y - text - gap, y + h + gap, x + w + gap, x - length - gap
    wanted = (
        *((x, above), (x + w - length, above), (x, below), (x + w - length, below)),
        *((right, y), (left, y), (right, above), (left, above), (right, below), (left, below)),
    )
    for a, b in wanted:
        place = (min(max(a, 0.0), max(size[0] - length, 0.0)), min(max(b, 0.0), size[1] - text), length, text)
        if not any(_cover(place, other) for other in taken):
            return place
    return None


def _cover(one: Rectangle, other: Rectangle) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )
