"""Jobs as they are answered."""

from __future__ import annotations

from collections.abc import Sequence

from medsr.jobs.listing import queue_position, typical_s
from medsr.jobs.nouns import Job
from medsr.jobs.results import ResultFile, result_files
from medsr.jobs.states import COMPUTING, JUDGED
from medsr.jobs.store import Store
from medsr.remedies import REMEDIES
from medsr.service.api.schemas import JobOut, ResultOut

__all__ = ["job_out", "shown_job"]


def shown_job(store: Store, job: Job, *, alone: bool = True) -> JobOut:
    """A job with its place in the queue and its files; in lists (not `alone`) without what costs a query each."""
    if not alone:
        return job_out(job)
    position = queue_position(store, job)
    usual = typical_s(store) if position is not None or job.state in COMPUTING else None
    files = result_files(store, job.id) if job.state in JUDGED else ()
    return job_out(job, position=position, eta_s=_eta(store, job, position, usual), files=files)


def job_out(
    job: Job, *, position: int | None = None, eta_s: float | None = None, files: Sequence[ResultFile] = ()
) -> JobOut:
    """A job from what is known of it."""
    pins = job.pins
    return JobOut(
        id=job.id,
        state=job.state,
        kind=job.request.kind,
        etag=f'"{job.etag}"',
        created=job.created,
        updated=job.updated,
        started=job.started,
        finished=job.finished,
        input=job.input_sha256,
        candidate=job.request.candidate_sha256,
        request=dict(job.request.parameters),
        policy=pins.policy,
        bundle=pins.bundle,
        pins={
            "bundle": pins.bundle_sha256,
            "policy": pins.policy_sha256,
            "configuration": pins.configuration_sha256,
            "calibration": pins.calibration_sha256,
        },
        priority=job.priority,
        attempts=job.attempts,
        stage=job.stage,
        fraction=job.fraction,
        queue_position=position,
        eta_s=eta_s,
        cancel=job.cancel,
        reason=job.reason,
        remedy=REMEDIES.get(job.reason or ""),
        verdict=job.verdict,
        label=job.label,
        summary=dict(job.summary),
        output_sha256=job.output_sha256,
        superseded_by=job.superseded_by,
        results=[_result(job, file) for file in files if file.kept],
    )


def _eta(store: Store, job: Job, position: int | None, usual: float | None) -> float | None:
    """Of a running job from its own pace, once it has one; else from the typical job and the queue before it."""
    if job.state in COMPUTING and job.started is not None:
        spent = max(store.now() - job.started, 0.0)
        if job.fraction > 0.05:
            return round(spent * (1 - job.fraction) / job.fraction, 1)
        return None if usual is None else round(max(usual - spent, 0.0), 1)
    return None if usual is None or position is None else round(usual * position, 1)


def _result(job: Job, file: ResultFile) -> ResultOut:
    return ResultOut(
        name=file.name,
        sha256=file.sha256,
        bytes=file.bytes,
        kind=file.kind,
        url=f"/v1/jobs/{job.id}/result/{file.name}",
    )
