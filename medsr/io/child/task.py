"""What is asked of a reader child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of the child.

    Parameters
    ----------
    verb : ``nifti``, ``dicom`` or ``survey``.
    name : what the input is called in messages: a file or folder name without its path.
    files : absolute paths; a single one may be a zip archive of DICOM objects.
    modality : ``auto``, ``CT`` or ``MR``.
    pick : series UID, number of the stack in the survey, ``thinnest`` or ``longest``; None if nothing is chosen.
    gaps : go on where slices are missing, with those slices blank.
    """

    verb: str
    name: str
    files: tuple[str, ...]
    modality: str = "auto"
    pick: str | None = None
    gaps: bool = False

    def to_record(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: object) -> Task:
        """From the asking process, which is trusted."""
        values = dict(record) if isinstance(record, Mapping) else {}
        return cls(**{**values, "files": tuple(values["files"])})
