"""report.json as typed models: names are stable under ``medsr.report/1`` and explained in docs/report.md.

Strict JSON: a number that is not finite is written as null, and the status beside it tells why. Every field carries
its description, from which the schema and the document are made.
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
    "MeasuredSize",
    "Model",
    "Noise",
    "OperatorEntry",
    "Reference",
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
    sha256: Annotated[Sha256, Field(description="Of the bytes as received; of a folder, of its files' sorted hashes.")]
    modality: Annotated[Modality, Field(description="CT or MR.")]
    modality_provenance: Annotated[
        Literal["declared", "header", "guessed", "estimated"],
        Field(description="How the modality is known; `guessed` is from the values."),
    ]
    shape: Annotated[Voxel, Field(description="Voxels along i, j, k.")]
    spacing: Annotated[Point, Field(description="Distance of voxel centres along i, j, k, mm.")]


class Reference(_Entry):
    """An image that counted as true: it can hold a result, never release it."""

    name: Annotated[str, Field(description="File or folder name, without its path.")]
    sha256: Annotated[Sha256, Field(description="Of its bytes.")]


class OperatorEntry(_Entry):
    """A of y = A x + n, and how it is known."""

    kind: Annotated[str, Field(description="Name of the operator, as in sidecars.")]
    parameters: Annotated[dict[str, JsonValue], Field(description="Arguments that build the operator again.")]
    provenance: Annotated[
        Literal["declared", "header", "estimated"],
        Field(description="`declared`: a sidecar or the user says so; else read from the header or the grids."),
    ]
    noise: Annotated[dict[str, JsonValue], Field(description="The noise model that the operator states.")]


class Noise(_Entry):
    """Noise of the measurement as the gate used it."""

    sigma: Annotated[float | None, Field(description="Standard deviation in image units, HU for CT.")]
    model: Annotated[str, Field(description="Distribution: `none`, `gaussian`, `rician`, `noncentral_chi`, ...")]
    provenance: Annotated[Literal["declared", "header", "estimated", "user"], Field(description="Who gave the figure.")]


class Model(_Entry):
    """Which weights made the image, and how they were run."""

    bundle: Annotated[str, Field(description="Name of the bundle.")]
    version: Annotated[str, Field(description="Version of the bundle.")]
    sha256: Annotated[str, Field(description="Of the weights.")]
    method: Annotated[str, Field(description="`regress`, `gan` or `diffusion`.")]
    fidelity: Annotated[float | None, Field(description="0 to 1, where the method has it.")]
    steps: Annotated[int | None, Field(description="Sampling steps, where the method has them.")]
    samples: Annotated[int | None, Field(description="Draws, where the method samples.")]
    seed: Annotated[int | None, Field(description="Of the draws.")]
    engine: Annotated[str, Field(description="What ran the network.")]
    precision: Annotated[str, Field(description="Arithmetic of the network.")]


class Channel(_Entry):
    """What one channel of the gate measured."""

    name: Annotated[str, Field(description="R: against the measurement; N: not measured; w: on the written pixels.")]
    kind: Annotated[ChannelKind, Field(description="Range channels may verify, null channels may only hold.")]
    status: Annotated[ChannelStatus, Field(description="`not_assessed` is no pass.")]
    value: Annotated[float | None, Field(description="In the channel's unit; null where there is no finite number.")]
    threshold: Annotated[float | None, Field(description="The channel holds beyond it.")]
    p: Annotated[Share | None, Field(description="Chance of such a value in pure noise, where the channel has one.")]
    required: Annotated[bool, Field(description="True if the policy needs this channel for the task.")]
    note: Annotated[str, Field(description="The figures behind the value, in words.")]
    words: Annotated[str, Field(description="What failed, as a clause for a reader; empty where nothing did.")]
    uncalibrated: Annotated[bool, Field(description="True if it was measured, but no limit was calibrated for it.")]


class FindingEntry(_Entry):
    """A place where the restored image contradicts the scan."""

    id: Annotated[str, Field(description="Stable within the report.")]
    type: Annotated[FindingType, Field(description="`added`: brighter than the scan allows; `omitted`: darker.")]
    box_voxel: Annotated[tuple[Voxel, Voxel], Field(description="Half open, array order of the restored image.")]
    box_mm: Annotated[tuple[Point, Point] | None, Field(description="Lowest and highest corner, RAS+, mm.")]
    size_mm: Annotated[float | None, Field(description="Diameter of the disc that fits best.")]
    contrast: Annotated[float | None, Field(description="Image units, HU for CT; sign as seen in the restored image.")]
    dprime: Annotated[float | None, Field(description="Detectability d' in the measurement.")]
    p: Annotated[Share | None, Field(description="Chance of such a peak in pure noise, in one slice.")]
    channel: Annotated[str, Field(description="Which channel found it.")]
    remains: Annotated[bool, Field(description="True if it still stands in the image after projection.")]


class MeasuredSize(_Entry):
    """How much of a disc the operator measured."""

    size_mm: Annotated[float, Field(gt=0, description="Diameter of the disc.")]
    share: Annotated[Share, Field(description="Of its energy, within the part that the operator sees.")]


class Calibration(_Entry):
    """The calibration record that the judgement was made under."""

    record: Annotated[str, Field(description="Name of the record.")]
    n: Annotated[int, Field(ge=0, description="Subjects in the record.")]
    guarantee: Annotated[str, Field(description="The sentence that the record allows; nothing beyond it is promised.")]
    made: Annotated[str, Field(description="Day of the calibration, ISO 8601; empty where the record does not say.")]
    threshold: Annotated[float | None, Field(description="Largest combined score that is released.")]
    score: Annotated[float | None, Field(description="The combined score of this result; larger is worse.")]


class Gate(_Entry):
    """The gate's word and why; never a reader's decision, which stands in release.json."""

    word: Annotated[Word, Field(description="What the gate says.")]
    reasons: Annotated[tuple[str, ...], Field(description="Stable codes; empty only for an unreserved release.")]
    policy: Annotated[str, Field(description="Name of the policy.")]
    policy_sha256: Annotated[str, Field(description="Of the policy file's bytes.")]
    sentence: Annotated[str, Field(description="Word and reason in one sentence, as the page shows it.")]
    channels_alone: Annotated[
        Word | None,
        Field(description="What the channels decide where no calibration record speaks; null where one does."),
    ]
    label: Annotated[str, Field(description="UNVERIFIED where no calibration record stands behind the word.")]
    alone: Annotated[
        Word | None, Field(description="What the channels alone, by fixed limits, decide; null under a record.")
    ]
    as_a_whole: Annotated[
        bool, Field(description="True if so much departs from the scan that single places mean nothing.")
    ]


class Report(_Entry):
    """report.json."""

    schema_: Annotated[
        Literal["medsr.report/1"], Field(alias="schema", description="Name and version of this schema.")
    ] = SCHEMA
    medsr_version: Annotated[str, Field(description="Of the program.")]
    task: Annotated[Task, Field(description="What was asked for.")]
    input: Annotated[Input, Field(description="The scan.")]
    operator: Annotated[OperatorEntry, Field(description="What the scan measured of the image.")]
    noise: Annotated[Noise, Field(description="Its noise.")]
    model: Annotated[Model | None, Field(description="null for a candidate of unknown making.")]
    channels: Annotated[tuple[Channel, ...], Field(description="Every channel, in the order of judging.")]
    findings: Annotated[tuple[FindingEntry, ...], Field(description="Where image and scan contradict each other.")]
    measured_fraction: Annotated[Share | None, Field(description="trace(A+ A) over the foreground's voxels.")]
    measured_words: Annotated[str, Field(description="What measured_fraction means.")]
    measured_sizes: Annotated[
        tuple[MeasuredSize, ...],
        Field(description="By size, how much of a structure was measured; empty where all was, or it is not known."),
    ]
    supplied_energy: Annotated[Share | None, Field(description="|P0 (x - l)|^2 / |x - l|^2, l = x smoothed.")]
    smallest_kept_mm: Annotated[
        float | None, Field(description="Diameter from which on probe lesions were kept; null without.")
    ]
    domain: Annotated[str, Field(description="How the scan differs from those that the model was made for, in words.")]
    reference: Annotated[Reference | None, Field(description="The image that counted as true, if one was given.")]
    synthetic_slices: Annotated[tuple[Index, ...], Field(description="Indices along the slice axis, from 0.")]
    calibration: Annotated[Calibration | None, Field(description="null: uncalibrated, nothing is promised.")]
    gate: Annotated[Gate, Field(description="The gate's word.")]
    timings: Annotated[dict[str, float], Field(description="Seconds by stage; alone not the same from run to run.")]
    resources: Annotated[dict[str, JsonValue], Field(description="Device, threads and the like.")]
    intensity: Annotated[dict[str, JsonValue], Field(description="Scaling before the network, exactly invertible.")]
    limits: Annotated[tuple[str, ...], Field(description="What cannot be known from this scan.")]
    notes: Annotated[tuple[str, ...], Field(description="What was noticed on reading.")]
    disclaimers: Annotated[tuple[str, ...], Field(description="To be shown wherever the result is shown.")]

    def to_bytes(self) -> bytes:
        """UTF-8 JSON with sorted keys; the same report always gives the same bytes."""
        data = self.model_dump(mode="json")
        text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read a report back; pydantic's ValidationError if it is none."""
        return cls.model_validate_json(data)
