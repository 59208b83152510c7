"""What `medsr info` says of a file or folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from medsr.errors import MedsrError, Refusal
from medsr.io.child.client import ask
from medsr.io.child.records import StackRecord, SurveyRecord
from medsr.io.child.task import Task
from medsr.io.reader import files_of, is_nifti, read
from medsr.io.text import shown
from medsr.remedies import REMEDIES
from medsr.volume import Volume

__all__ = ["Description", "describe", "stacks_of"]

_COLUMNS = ("pick", "modality", "slices", "matrix", "spacing mm", "thickness mm", "description", "verdict")


@dataclass(frozen=True, slots=True)
class Description:
    """Facts of a scan in the order a person wants them, a row for each DICOM stack, or why it is refused.

    Parameters
    ----------
    name : file or folder name.
    facts : of the volume that `medsr.read` would give, or the reason why it would give none.
    stacks : of DICOM, every stack with its number for ``--pick``; empty for NIfTI.
    skipped : DICOM files left aside, by reason code.
    """

    name: str
    facts: Mapping[str, object]
    stacks: Sequence[Mapping[str, object]] = ()
    skipped: Mapping[str, int] | None = None

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        record: dict[str, object] = {"name": self.name, **self.facts}
        if self.skipped is not None:
            record["stacks"] = [dict(row) for row in self.stacks]
            record["skipped"] = dict(self.skipped)
        return record

    def to_text(self) -> str:
        """One fact a line, after a table of the stacks where there are several or one is refused."""
        lines = [self.name]
        if len(self.stacks) > 1 or any(row["refused"] for row in self.stacks):
            lines += [f"  {line}" for line in _table([_cells(row) for row in self.stacks])]
        width = max(len(key) for key in self.facts)
        lines += [f"  {key:<{width}}  {_said(key, value)}" for key, value in self.facts.items()]
        lines += [f"  skipped: {count} of {code}" for code, count in sorted((self.skipped or {}).items())]
        return "\n".join(lines)


def describe(path: Path, *, pick: str | None = None) -> Description:
    """Say what medsr sees in a scan; a refusal is a fact too."""
    name = shown(path.name, longest=200)
    try:
        files, _ = files_of(path)
        if is_nifti(files[0]) and len(files) == 1:
            return Description(name, _facts(read(path)))
        survey = _survey(files, name)
    except MedsrError as error:
        return Description(name, _refused(error))
    stacks = [_row(stack) for stack in survey.stacks]
    try:
        facts = _facts(read(path, pick=pick))
    except MedsrError as error:
        facts = _refused(error)
    return Description(name, facts, stacks, survey.skipped)


def stacks_of(path: Path) -> list[str]:
    """What ``pick`` takes for each stack of a DICOM folder, file or zip: its number.

    Raises
    ------
    UsageError, Refusal : if nothing can be surveyed.
    """
    files, name = files_of(path)
    return [str(stack.number) for stack in _survey(files, name).stacks]


def _survey(files: Sequence[Path], name: str) -> SurveyRecord:
    answer = ask(Task("survey", name, tuple(str(file) for file in files)))
    try:
        return SurveyRecord.model_validate(dict(answer.record))
    except ValidationError as error:
        fact = f"the reader's survey does not hold together ({error.error_count()} faults)"
        raise Refusal("reader.failed", fact) from error


def _row(stack: StackRecord) -> dict[str, object]:
    row = stack.model_dump(mode="json")
    if stack.refused is not None:
        row["refused"]["remedy"] = REMEDIES.get(stack.refused.code, "")
    return row


def _facts(volume: Volume) -> dict[str, object]:
    geometry = volume.geometry
    facts: dict[str, object] = {
        "format": volume.source.format,
        "modality": f"{volume.modality} ({volume.modality_provenance})",
        "shape": list(geometry.shape),
        "spacing_mm": [round(size, 6) for size in geometry.spacing_mm],
        "slice_axis": "ijk"[geometry.slice_axis],
        "slice_thickness_mm": geometry.slice_thickness_mm,
        "gap_mm": None if geometry.gap_mm is None else round(geometry.gap_mm, 4),
        "stored": volume.source.dtype,
        "values": [float(volume.values.min()), float(volume.values.max())],
        "fill_voxels": 0 if volume.padding is None else int(volume.padding.sum()),
        "degradation": "declared beside it" if volume.degradation else None,
        "sha256": volume.source.sha256,
    }
    if volume.acquisition.lossy:
        facts["lossy"] = True
    if volume.notes:
        facts["notes"] = list(volume.notes)
    return facts


def _refused(error: MedsrError) -> dict[str, object]:
    return {"refused": error.code, "why": error.fact, "remedy": error.remedy}


def _cells(row: Mapping[str, object]) -> list[str]:
    shape, spacing, refused = row["shape"], row["spacing_mm"], row["refused"]
    matrix = f"{shape[0]} x {shape[1]}" if isinstance(shape, list) else ""
    grid = " x ".join(f"{size:.4g}" for size in spacing) if isinstance(spacing, list) else "unknown"
    verdict = f"refused: {refused['code']}, {refused['fact']}" if isinstance(refused, dict) else "read"
    return [
        str(row["number"]), str(row["modality"]), str(row["slices"]), matrix, grid,
        _text(row["slice_thickness_mm"]), str(row["description"]), verdict,
    ]  # fmt: skip


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [zip(row, widths, strict=True) for row in [_COLUMNS, *rows]]
    return ["  ".join(f"{cell:<{width}}" for cell, width in line).rstrip() for line in lines]


def _said(key: str, value: object) -> str:
    if key == "values" and isinstance(value, list):
        return " to ".join(f"{item:g}" for item in value)
    return "none declared" if key == "degradation" and value is None else _text(value)


def _text(value: object) -> str:
    if isinstance(value, list):
        between = "; " if any(isinstance(item, str) for item in value) else " x "
        return between.join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return "unknown" if value is None else str(value)
