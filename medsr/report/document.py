"""report.json as typed models: names are stable under ``medsr.report/1`` and documented in docs/report.md.

Strict JSON: a number that is not finite is written as null, and the status beside it tells why.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from medsr.records import ChannelKind, ChannelStatus, FindingType, Task, Word
from medsr.volume import Modality

__all__ = [
    "SCHEMA",
    "Calibration",
    "Channel",
    "FindingEntry",
    "Gate",
    "Input",
    "Model",
    "Noise",
    "OperatorEntry",
    "Report",
]

SCHEMA: Literal["medsr.report/1"] = "medsr.report/1"

Index = Annotated[int, Field(ge=0)]
Voxel = tuple[Index, Index, Index]
Point = tuple[float, float, float]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, serialize_by_alias=True
    )


class Input(_Entry):
    """The scan as it was read."""

    name: Annotated[str, Field(description="File or folder name, without its path.")]
    sha256: Annotated[str, Field(description="Of the bytes as received; of a folder, of its files' sorted hashes.")]
    modality: Modality
    modality_provenance: Literal["declared", "header", "guessed", "estimated"]
    shape: Annotated[Voxel, Field(description="Voxels along i, j, k.")]
    spacing: Annotated[Point, Field(description="Distance of voxel centres along i, j, k, mm.")]


class OperatorEntry(_Entry):
    """A of y = A x + n, and how it is known."""

    kind: str
    parameters: dict[str, JsonValue]
    provenance: Literal["declared", "header", "estimated"]
    noise: Annotated[dict[str, JsonValue], Field(description="The noise model that the operator states.")]


class Noise(_Entry):
    """Noise of the measurement as the gate used it."""

    sigma: Annotated[float | None, Field(description="Standard deviation in image units, HU for CT.")]
    model: str
    provenance: Literal["declared", "header", "estimated", "user"]


class Model(_Entry):
    """Which weights made the image, and how they were run."""

    bundle: str
    version: str
    sha256: str
    method: str
    fidelity: float | None
    steps: int | None
    samples: int | None
    seed: int | None
    engine: str
    precision: str


class Channel(_Entry):
    """What one channel of the gate measured."""

    name: str
    kind: ChannelKind
    status: ChannelStatus
    value: Annotated[float | None, Field(description="In the channel's unit; null where there is no finite number.")]
    threshold: float | None
    p: Share | None
    required: Annotated[bool, Field(description="True if the policy needs this channel for task and method.")]
    note: str


class FindingEntry(_Entry):
    """A place where the restored image contradicts the scan."""

    id: str
    type: FindingType
    box_voxel: Annotated[tuple[Voxel, Voxel], Field(description="Half open, array order of the restored image.")]
    box_mm: Annotated[tuple[Point, Point], Field(description="RAS+, mm.")]
    size_mm: float | None
    contrast: Annotated[float | None, Field(description="Image units, HU for CT; sign as seen in the restored image.")]
    dprime: Annotated[float | None, Field(description="Detectability in the measurement.")]
    p: Annotated[Share | None, Field(description="Chance of such a peak in pure noise, in one slice.")]
    channel: str


class Calibration(_Entry):
    """The calibration record that the judgement was made under."""

    record: str
    n: Annotated[int, Field(ge=0, description="Subjects in the record.")]
    guarantee: str
    threshold: float | None
    score: float | None


class Gate(_Entry):
    """The gate's word and why."""

    word: Word
    reasons: tuple[str, ...]
    policy: str
    policy_sha256: str
    sentence: str
    label: Annotated[str, Field(description="UNVERIFIED where no calibration record stands behind the word.")]


class Report(_Entry):
    """report.json."""

    schema_: Annotated[Literal["medsr.report/1"], Field(alias="schema")] = SCHEMA
    medsr_version: str
    task: Task
    input: Input
    operator: OperatorEntry
    noise: Noise
    model: Annotated[Model | None, Field(description="null for a candidate of unknown making.")]
    channels: tuple[Channel, ...]
    findings: tuple[FindingEntry, ...]
    measured_fraction: Annotated[Share | None, Field(description="trace(A+ A) over the foreground's voxels.")]
    measured_words: str
    supplied_energy: Annotated[Share | None, Field(description="|P0 (x - l)|^2 / |x - l|^2, l = x smoothed.")]
    synthetic_slices: Annotated[tuple[Index, ...], Field(description="Indices along the slice axis.")]
    calibration: Calibration | None
    gate: Gate
    timings: Annotated[dict[str, float], Field(description="Seconds.")]
    resources: dict[str, JsonValue]
    limits: Annotated[tuple[str, ...], Field(description="What cannot be known from this scan.")]
    notes: Annotated[tuple[str, ...], Field(description="What was noticed on reading.")]
    disclaimers: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """UTF-8 JSON with sorted keys; the same report always gives the same bytes."""
        data = self.model_dump(mode="json")
        text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read a report back; pydantic's ValidationError if it is none."""
        return cls.model_validate_json(data)
