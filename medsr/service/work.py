"""One claimed job, walked through the pipeline's own stages: read, restore, judge, publish. There is no other way."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Literal, cast

from medsr.errors import MedsrError, Refusal, UsageError
from medsr.io.encoding import Container
from medsr.io.sources import DicomSource
from medsr.jobs.claims import block, judging, note
from medsr.jobs.files import file_path, open_checked
from medsr.jobs.inputs import input_of, set_study
from medsr.jobs.nouns import Claim, Job
from medsr.jobs.publish import publish
from medsr.jobs.store import Store
from medsr.pipeline.stages import kept_or_restored
from medsr.pipeline.walk import (
    Result,
    candidate_restoration,
    form_of,
    judge_candidate,
    judge_restoration,
    read_with_operator,
)
from medsr.records import Restoration
from medsr.release import Release
from medsr.report.viewing import VIEW, write_view
from medsr.resources.failpoints import failpoint
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.service.estimates import estimate_s
from medsr.service.pace import Pace
from medsr.service.pins import pins_of
from medsr.service.settings import ServiceSettings
from medsr.service.stage_files import fetch_stage, keep_stage, stage_of
from medsr.volume import Modality, Volume

__all__ = ["restore_request", "work"]

_OWN = frozenset({"device", "precision", "threads"})
"""How a network runs is the service's to say."""
_READING = frozenset({"modality", "pick", "operator"})
_CONTAINERS = ("auto", "nifti", "dicom")
_PINNED = (
    ("pin.bundle", "bundle_sha256"),
    ("pin.policy", "policy_sha256"),
    ("pin.configuration", "configuration_sha256"),
    ("pin.calibration", "calibration_sha256"),
)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def work(store: Store, claim: Claim, *, settings: ServiceSettings, pace: Pace, folder: Path) -> Job:
    """Walk a claimed job to its end; returns the job as it then stands.

    Parameters
    ----------
    folder : empty, this job's alone, on the store's file system.

    Raises
    ------
    Stopped : if the job was cancelled or lost on the way.
    Conflict : ``job.lost``.
    MedsrError : what reading, restoring and publishing refuse.
    """
    job = claim.job
    moved = _moved_pin(job)
    if moved is not None:
        return block(store, claim, moved)
    if job.request.kind == "validate":
        result = _validated(store, claim, pace=pace, settings=settings, folder=folder)
    else:
        result = _restored(store, claim, pace=pace, settings=settings, folder=folder)
    failpoint("work.verdict")
    _tell_findings(store, claim, result)
    with pace.entering("publish"):
        release = result.save(folder / "out")
        failpoint("work.release")
        view = _view(result, release, folder)
        return publish(store, claim, release, label=result.verdict.label, summary=_summary(result), view=view)


def _view(result: Result, release: Release, folder: Path) -> Path | None:
    """What the review page shows of an image that a reader may see; a rejected one is told by its report alone."""
    if result.stored is None or release.word not in ("released", "review"):
        return None
    write_view(folder / VIEW, result.restoration)
    return folder / VIEW


def restore_request(parameters: Mapping[str, object], settings: ServiceSettings) -> RestoreRequest:
    """The restoration that a job's parameters ask for, on this service's device.

    Raises
    ------
    UsageError : ``job.request``, for a parameter that is not known; ``restore.*`` for one that does not fit.
    """
    known = {item.name for item in fields(RestoreRequest)} - _OWN
    unknown = sorted(set(parameters) - known - _READING - {"container"})
    if unknown:
        raise UsageError("job.request", f"a restoration has no parameter {unknown[0][:40]!r}")
    given = {name: value for name, value in parameters.items() if name in known and value is not None}
    if isinstance(given.get("mask"), list):
        given["mask"] = tuple(cast("list[int]", given["mask"]))
    try:
        return RestoreRequest(
            **given,  # type: ignore[arg-type]  # checked when made
            device=settings.device,
            precision=settings.precision,
            threads=1,
        )
    except TypeError as error:
        raise UsageError("job.request", "the parameters of the restoration do not fit") from error


def _moved_pin(job: Job) -> str | None:
    """Reason code of the first pin that no longer stands; None if what would run is what was asked for."""
    try:
        found = pins_of(job.request, policy=job.pins.policy)
    except MedsrError as error:
        return "pin.policy" if error.code.startswith("policy.") else "pin.bundle"
    for code, name in _PINNED:
        if getattr(job.pins, name) != getattr(found, name):
            return code
    return None


def _restored(store: Store, claim: Claim, *, pace: Pace, settings: ServiceSettings, folder: Path) -> Result:
    """Restore, or take what an earlier attempt restored; then judge."""
    job = claim.job
    request, form = restore_request(job.request.parameters, settings), _container(job)
    kept = stage_of(job, settings, folder / "stage")
    fetch_stage(store, job, kept)

    def made() -> Restoration:
        failpoint("work.begin")
        with pace.entering("read"):
            volume = _scan(store, job, job.input_sha256, folder, "scan", gaps=request.task == "inpaint")
            form_of(volume, form)
            _note_study(store, job, volume)
            failpoint("work.read")
        pace.wall_until = time.monotonic() + max(
            settings.wall_least_s, settings.wall_factor * estimate_s(volume, request)
        )
        with pace.entering("restore"):
            failpoint("work.restore")
            return restore(volume, request, progress=pace.tick)

    restoration, resumed = kept_or_restored(made, kept)
    if not resumed:
        keep_stage(store, job, kept)
        failpoint("work.stage")
    judging(store, claim)
    with pace.entering("judge"):
        failpoint("work.judge")
        return judge_restoration(restoration, policy=job.pins.policy, container=form)


def _validated(store: Store, claim: Claim, *, pace: Pace, settings: ServiceSettings, folder: Path) -> Result:
    """Judge anybody's candidate; only reports come of it."""
    job, parameters = claim.job, claim.job.request.parameters
    unknown = sorted(set(parameters) - _READING - {"noise"})
    if unknown:
        raise UsageError("job.request", f"a validation has no parameter {unknown[0][:40]!r}")
    if job.request.candidate_sha256 is None:
        raise UsageError("job.request", "a validation needs a candidate")
    with pace.entering("read"):
        measured = _scan(store, job, job.input_sha256, folder, "scan")
        candidate = _scan(store, job, job.request.candidate_sha256, folder, "candidate", modality=measured.modality)
        _note_study(store, job, measured)
        failpoint("work.read")
    pace.wall_until = time.monotonic() + max(settings.wall_least_s, settings.wall_factor * estimate_s(candidate, None))
    judging(store, claim)
    with pace.entering("judge"):
        failpoint("work.judge")
        noise = parameters.get("noise")
        if noise is not None and not isinstance(noise, (int, float)):
            raise UsageError("job.request", "the noise of a validation is a number")
        restoration = candidate_restoration(measured, candidate, noise=None if noise is None else float(noise))
        return judge_candidate(restoration, policy=job.pins.policy)


def _scan(
    store: Store,
    job: Job,
    sha256: str,
    folder: Path,
    name: str,
    *,
    gaps: bool = False,
    modality: Modality | None = None,
) -> Volume:
    """Read an input in the reader child, under a name that says its form and nothing of the patient."""
    given = input_of(store, sha256, owner=job.owner)
    with open_checked(store.files, sha256) as stream:
        head = stream.read(4)
    path = folder / f"{name}{_suffix(given.kind, head)}"
    os.link(file_path(store.files, sha256), path)
    if modality is not None:
        return read_with_operator(path, modality=modality)
    stated = str(job.request.parameters.get("modality") or "auto")
    if stated.lower() not in ("auto", "ct", "mr"):
        raise UsageError("job.request", "the modality of a job is auto, ct or mr")
    pick = job.request.parameters.get("pick")
    return read_with_operator(
        path,
        modality=None if stated.lower() == "auto" else cast("Modality", stated.upper()),
        operator=_operator(job, folder),
        pick=None if pick is None else str(pick),
        gaps=gaps,
    )


def _suffix(kind: str, head: bytes) -> str:
    if kind == "nifti":
        return ".nii.gz" if head.startswith(_GZIP) else ".nii"
    return ".zip" if head.startswith(_ZIP) else ".dcm"


def _operator(job: Job, folder: Path) -> Path | None:
    """The operator record of the request as the sidecar that the command line takes."""
    record = job.request.parameters.get("operator")
    if record is None:
        return None
    if not isinstance(record, Mapping):
        raise Refusal("operator.sidecar", "the operator of the request is not a JSON object")
    path = folder / "operator.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def _note_study(store: Store, job: Job, volume: Volume) -> None:
    """Whose study an input is, as a hash, so that a patient's data can be purged; the api parses no scan."""
    if isinstance(volume.source, DicomSource) and volume.source.study_uid:
        set_study(store, job.input_sha256, volume.source.study_uid)


def _container(job: Job) -> Container | Literal["auto"]:
    form = job.request.parameters.get("container") or "auto"
    if form not in _CONTAINERS:
        raise UsageError("job.request", f"the container of a job is one of {', '.join(_CONTAINERS)}")
    return cast("Container | Literal['auto']", form)


def _tell_findings(store: Store, claim: Claim, result: Result) -> None:
    """Findings as events, so that a page shows them before the report is open."""
    for finding in result.judgement.findings[:100]:
        data = {
            "id": finding.id, "type": finding.type, "box_voxel": [list(corner) for corner in finding.box_voxel],
            "size_mm": round(finding.size_mm, 3), "dprime": round(finding.dprime, 3), "p": _finite(finding.p),
            "channel": finding.channel,
        }  # fmt: skip
        note(store, claim, "finding", data)


def _summary(result: Result) -> dict[str, object]:
    """Figures for lists and metrics."""
    judgement, measured = result.judgement, result.restoration.measured
    return {
        "modality": measured.modality, "task": result.restoration.task,
        "model": result.restoration.model.bundle if result.restoration.model else None,
        "findings": len(judgement.findings), "score": _finite(judgement.score),
        "measured_fraction": _finite(judgement.measured_fraction),
        "supplied_energy": _finite(judgement.supplied_energy),
        "calibration": judgement.calibration.record if judgement.calibration else None,
        "channels": {item.name: {"status": item.status, "value": _finite(item.value)} for item in judgement.channels},
        "shape": list(result.restoration.geometry.shape),
        "spacing_mm": [round(size, 4) for size in measured.geometry.spacing_mm],
        "noise_sigma": _finite(result.restoration.noise.sigma), "timings": dict(result.restoration.timings),
    }  # fmt: skip


def _finite(value: float | None) -> float | None:
    """JSON has no NaN; a figure that is none is left out."""
    return value if value is not None and math.isfinite(value) else None
