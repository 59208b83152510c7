"""What deeds take and return: frozen records without a connection behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from medsr.jobs.states import JobState

__all__ = ["Claim", "IdempotencyKey", "Job", "JobKind", "JobRequest", "Json", "Pins", "Progress"]

Json = Mapping[str, object]
JobKind = Literal["restore", "validate"]


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is asked for.

    Parameters
    ----------
    parameters : plain JSON, checked by the caller: the fields of `restore.request.RestoreRequest` and the form of the
        output for ``restore``. Never text from a scan.
    candidate_sha256 : with ``validate``, the input that holds anybody's restored volume.
    """

    parameters: Json = field(default_factory=dict)
    kind: JobKind = "restore"
    candidate_sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True, slots=True)
class Pins:
    """What a job runs with, fixed when it is made: a job whose pins are no longer there is blocked, never rerouted.

    Parameters
    ----------
    bundle, policy : names, for people.
    configuration_sha256 : of the settings that alter pixels or verdicts.
    calibration_sha256 : of the record that matches the request, None without one.
    """

    policy: str
    policy_sha256: str
    configuration_sha256: str
    bundle: str | None = None
    bundle_sha256: str | None = None
    calibration_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's name for one request.

    Parameters
    ----------
    name : 1 to 255 printable characters.
    body_sha256 : of the request's body; the same name with another body is refused.
    """

    name: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a worker's child is.

    Parameters
    ----------
    stage : ``read``, ``restore``, ``judge``, ``report`` or the like.
    fraction : of the whole job, 0 to 1.
    counter : of the child's steps, any unit; a worker whose child's counter stands still must not beat.
    """

    stage: str
    fraction: float
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store has it.

    Parameters
    ----------
    version : counts the changes that a reader would want to know of; `etag` quotes it.
    owner, api_key : whose it is, and the key that submitted it.
    created, updated, started, finished : seconds since 1970.
    token : of the newest claim. attempts : claims that were begun and not handed back.
    stage, fraction : of the running claim.
    cancel : asked to stop, not stopped yet.
    reason : code of the failure, block or refusal to run.
    verdict : the gate's word. label : UNVERIFIED or empty.
    summary : figures of the result for lists and metrics; no text from the scan.
    output_sha256 : over the names and hashes of all result files (`publish.output_hash`).
    """

    id: str
    state: JobState
    version: int
    priority: int
    owner: str
    api_key: str
    created: float
    updated: float
    started: float | None
    finished: float | None
    request: JobRequest
    input_sha256: str
    pins: Pins
    token: int
    attempts: int
    worker: str | None
    stage: str | None
    fraction: float
    cancel: bool
    reason: str | None
    verdict: str | None
    label: str
    summary: Json
    output_sha256: str | None
    superseded_by: str | None

    @property
    def etag(self) -> str:
        """Changes with every change of state; a decision must name the one it was made on."""
        return f"{self.id[:8]}-{self.version}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to one job, until its lease ends or the token is outrun."""

    job: Job
    token: int
    worker: str
    lease_s: float

    @property
    def job_id(self) -> str:
        """Of the claimed job."""
        return self.job.id
