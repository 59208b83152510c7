"""What is in a folder, a list or an archive of DICOM: a row for each stack, from headers alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from medsr.errors import Refusal
from medsr.io.dicom.frames import CLASSES, number_of, text_of
from medsr.io.dicom.read import find
from medsr.io.dicom.record import acquisition_record
from medsr.io.dicom.split import Stack, split
from medsr.io.dicom.stack import grid_of
from medsr.io.planes import Reply
from medsr.io.text import shown

__all__ = ["survey_dicom"]


def survey_dicom(paths: Sequence[Path], *, name: str) -> Reply:
    """Every stack with its number for `pick`, its geometry, or why it would be refused; and what was skipped.

    Raises
    ------
    Refusal : what :func:`medsr.io.dicom.read.find` refuses.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = find(paths, name=name, survey=True)
        rows = [_row(stack) for stack in split(found.frames)]
    return Reply({"stacks": rows, "skipped": found.skipped})


def _row(stack: Stack) -> dict[str, object]:
    first = stack.first
    acquisition = acquisition_record(stack.frames)
    row: dict[str, object] = {
        "number": stack.number,
        "series_uid": stack.series_uid,
        "series_number": number_of(first.get("SeriesNumber")),
        "description": shown(text_of(first.get("SeriesDescription"))),
        "modality": CLASSES[first.instance.sop_class][0],
        "multi_frame": CLASSES[first.instance.sop_class][1],
        "slices": len(stack.frames),
        "shape": [first.form.columns, first.form.rows, len(stack.frames)],
        "transfer_syntax": first.instance.structure.syntax,
        "lossy": acquisition["lossy"],
        "spacing_mm": None,
        "slice_thickness_mm": number_of(first.get("SliceThickness")),
        "refused": None,
    }
    try:
        geometry = grid_of(stack.frames).geometry
    except Refusal as error:
        row["refused"] = {"code": error.code, "fact": error.fact}
    else:
        row["shape"] = list(geometry.shape)
        row["spacing_mm"] = [round(size, 6) for size in geometry.spacing_mm]
    return row
