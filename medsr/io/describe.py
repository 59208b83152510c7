"""What `medsr info` says of a file or folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import MedsrError
from medsr.io.reader import read

__all__ = ["Description", "describe"]


@dataclass(frozen=True, slots=True)
class Description:
    """Facts of a scan in the order a person wants them, or why it is refused."""

    name: str
    facts: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {"name": self.name, **self.facts}

    def to_text(self) -> str:
        """One fact a line."""
        width = max(len(key) for key in self.facts)
        return "\n".join([self.name, *(f"  {key:<{width}}  {_text(value)}" for key, value in self.facts.items())])


def describe(path: Path) -> Description:
    """Read a scan and say what medsr sees; a refusal is a fact too."""
    try:
        volume = read(path)
    except MedsrError as error:
        return Description(path.name, {"refused": error.code, "why": error.fact, "remedy": error.remedy})
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
    if volume.notes:
        facts["notes"] = list(volume.notes)
    return Description(path.name, facts)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return "unknown" if value is None else str(value)
