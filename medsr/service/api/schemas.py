"""What goes over the wire, as the OpenAPI document describes it. Unknown fields are refused, never passed over."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from medsr.jobs.events import EventKind
from medsr.jobs.states import JobState

__all__ = [
    "AuditOut", "AuditPage", "DecisionIn", "DriftOut", "EntryOut", "EventOut", "Health", "InputOut", "JobIn", "JobOut",
    "JobPage", "KeyIn", "KeyOut", "KeyPage", "ModelOut", "ModelPage", "NewKeyOut", "PolicyOut", "PolicyPage",
    "ProblemOut", "Ready", "ResultOut", "SessionIn", "SessionOut", "Sha256", "ValidationIn",
]  # fmt: skip

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["9f86d081884c7d659a2feaa0c55ad015" * 2])]
Scope = Literal["submit", "read", "review", "admin"]

_IN = ConfigDict(extra="forbid", frozen=True, strict=True)
_OUT = ConfigDict(frozen=True)


class ProblemOut(BaseModel):
    """An error (RFC 9457). `code` is stable; `detail` says what to do about it."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:medsr:result.not_released",
                    "title": "Conflict",
                    "status": 409,
                    "code": "result.not_released",
                    "detail": "wait until the gate or a reader has released it",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    places: list[str] = []


class InputOut(BaseModel):
    """An upload."""

    model_config = _OUT

    sha256: Sha256
    bytes: int
    kind: str
    created: float = Field(description="Seconds since 1970, UTC.")


class _Options(BaseModel):
    model_config = _IN

    policy: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="Gate policy; the service's own by default."
    )
    modality: Literal["auto", "ct", "mr"] = Field("auto", description="Of NIfTI files; DICOM says it.")
    pick: str | None = Field(None, pattern=r"^[0-9A-Za-z._-]{1,64}$", description="Which of several series.")
    noise: float | None = Field(None, ge=0, lt=1e6, description="Noise in image units (HU), else estimated.")
    priority: int = Field(0, ge=-10, le=10, description="Higher is taken first; above 0 needs scope admin.")


class JobIn(_Options):
    """A restoration."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {"input": "9f86d081884c7d659a2feaa0c55ad015" * 2, "task": "denoise"},
                {"input": "9f86d081884c7d659a2feaa0c55ad015" * 2, "task": "superres", "scale": 2.0},
            ]
        },
    )

    input: Sha256
    task: Literal["denoise", "superres", "inpaint"]
    scale: float | None = Field(None, ge=1.5, le=4, description="In-plane factor of super-resolution.")
    through: float | None = Field(None, ge=1.5, le=6, description="Through-plane factor of super-resolution.")
    mask: list[Annotated[int, Field(ge=0, lt=4096)]] | None = Field(
        None, min_length=1, max_length=4096, description="Lost slices to fill, counted from 0."
    )
    method: Literal["regress", "gan", "diffusion"] = "regress"
    fidelity: float | None = Field(None, ge=0, le=1, multiple_of=0.25, description="Of a GAN.")
    samples: int = Field(8, ge=1, le=64, description="Of a diffusion.")
    seed: int = Field(0, ge=0, lt=2**32)
    container: Literal["auto", "nifti", "dicom"] = Field("auto", description="Form of the result.")
    operator: dict[str, JsonValue] | None = Field(
        None, description="The sidecar that `medsr degrade` wrote beside the scan, as it is."
    )

    @field_validator("operator")
    @classmethod
    def _plain(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        """JSON that can be written again: Python reads NaN and half surrogates, which no other reader would."""
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return value


class ValidationIn(_Options):
    """Judge anybody's restored volume; nothing is restored."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "input": "9f86d081884c7d659a2feaa0c55ad015" * 2,
                    "candidate": "60303ae22b998861bce3b28f33eec1be" * 2,
                }
            ]
        },
    )

    input: Sha256
    candidate: Sha256


class ResultOut(BaseModel):
    """A file of a judged job. `url` answers once the job is released."""

    model_config = _OUT

    name: str
    sha256: Sha256
    bytes: int
    kind: str
    url: str


class JobOut(BaseModel):
    """A job."""

    model_config = _OUT

    id: str
    state: JobState
    kind: str
    etag: str = Field(description="For If-Match of a decision.")
    created: float
    updated: float
    started: float | None
    finished: float | None
    input: Sha256
    candidate: Sha256 | None
    request: dict[str, object]
    policy: str
    bundle: str | None
    pins: dict[str, str | None] = Field(description="Hashes of bundle, policy, configuration and calibration.")
    priority: int
    attempts: int
    stage: str | None
    fraction: float = Field(description="0 to 1.")
    queue_position: int | None = Field(description="Jobs that are taken before this one; null unless queued.")
    eta_s: float | None = Field(description="Seconds until the end, if it can be told.")
    cancel: bool
    reason: str | None = Field(description="Code of a failure or block.")
    remedy: str | None = Field(description="What to do about the reason.")
    verdict: str | None = Field(description="The gate's word.")
    label: str = Field(description="UNVERIFIED without a calibration record.")
    summary: dict[str, object]
    output_sha256: Sha256 | None
    superseded_by: str | None
    results: list[ResultOut]


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    model_config = _OUT

    jobs: list[JobOut]
    next: str | None = Field(description="Cursor of the next page, null on the last.")


class EventOut(BaseModel):
    """The data of one event of a stream; its number is the stream's id."""

    model_config = _OUT

    job: str
    seq: int
    at: float
    kind: EventKind
    data: dict[str, object]


class DecisionIn(BaseModel):
    """A reader's decision on exactly these bytes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "verdict": "released",
                    "reason": "compared with the original, finding 1 is a vessel",
                    "output_sha256": "9f86d081884c7d659a2feaa0c55ad015" * 2,
                }
            ]
        },
    )

    verdict: Literal["released", "rejected", "withdrawn"]
    reason: str = Field(max_length=500, description="Why, in a line.")
    output_sha256: Sha256
    reader: str | None = Field(None, max_length=200, description="The reader's name; the key's label by default.")


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"label": "reading room 2", "scopes": ["read", "review"], "days": 90}]},
    )

    label: str = Field(min_length=1, max_length=100)
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    owner: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="Whose jobs it sees.")
    days: float | None = Field(None, gt=0, le=3650, description="Until it expires.")


class KeyOut(BaseModel):
    """A key, without its secret."""

    model_config = _OUT

    id: str
    owner: str
    label: str
    scopes: list[str]
    created: float
    expires: float | None
    revoked: float | None


class NewKeyOut(KeyOut):
    """A new key; the secret is shown once."""

    secret: str


class KeyPage(BaseModel):
    """All keys."""

    model_config = _OUT

    keys: list[KeyOut]


class SessionIn(BaseModel):
    """Log in to the page with a key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"key": "msr_0123456789abcdef_ShownOnceByMedsrKeysAdd"}]},
    )

    key: str = Field(pattern=r"^[!-~]{1,200}$")


class SessionOut(BaseModel):
    """Who is logged in. `csrf` goes into X-CSRF-Token of every request that changes something."""

    model_config = _OUT

    key: str
    owner: str
    label: str
    scopes: list[str]
    csrf: str | None
    expires: float | None


class ModelOut(BaseModel):
    """An installed bundle."""

    model_config = _OUT

    name: str
    version: str
    modality: str
    method: str
    plane: str
    tasks: list[str]
    sha256: Sha256
    domain: dict[str, object]
    description: str


class ModelPage(BaseModel):
    """The installed bundles."""

    model_config = _OUT

    models: list[ModelOut]


class PolicyOut(BaseModel):
    """A policy of the gate."""

    model_config = _OUT

    name: str
    version: str
    description: str
    sha256: Sha256
    waive_uncalibrated: bool
    required: dict[str, list[str]]
    default: bool


class PolicyPage(BaseModel):
    """The policies."""

    model_config = _OUT

    policies: list[PolicyOut]


class EntryOut(BaseModel):
    """An entry of the audit."""

    model_config = _OUT

    seq: int
    at: float
    actor: str
    deed: str
    subject: str = Field(description="Id of a job or key, hash of an input.")
    data: dict[str, Any]
    prev_hash: str
    hash: str


class AuditPage(BaseModel):
    """Entries of the audit, oldest first."""

    model_config = _OUT

    entries: list[EntryOut]
    next: int | None


class AuditOut(BaseModel):
    """What a check of the chain found."""

    model_config = _OUT

    whole: bool
    seq: int
    hash: str
    code: str | None


class Health(BaseModel):
    """The process answers."""

    model_config = _OUT

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """Whether work can be taken: each check with its word, ``ok`` or a reason code."""

    model_config = _OUT

    ready: bool
    checks: dict[str, str]


class DriftOut(BaseModel):
    """Scores of the last days by stratum, beside the records they are compared with."""

    model_config = _OUT

    days: int
    strata: list[dict[str, object]]
    records: list[dict[str, object]]
