"""The four functions of ``import medsr``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medsr.io import read as read_path
from medsr.pipeline.degrade import DegradeRequest
from medsr.pipeline.degrade import degrade as degrade_volume
from medsr.pipeline.walk import Result, restore_volume, validate_volume
from medsr.records import Judgement, Task
from medsr.restore.request import DEFAULT_SAMPLES, Method, RestoreRequest
from medsr.volume import Modality, Volume

__all__ = ["degrade", "read", "restore", "validate"]


def read(path: str | Path, *, modality: Modality | Literal["auto"] = "auto", pick: str | None = None) -> Volume:
    """Read a NIfTI file, or a DICOM file, folder or zip; see :func:`medsr.io.read`."""
    return read_path(Path(path), modality=modality, pick=pick)


def degrade(
    scan: Volume,
    task: Task,
    *,
    scale: float | None = None,
    through: float | None = None,
    noise: str | float | None = None,
    dose: float | None = None,
    keep: int | None = None,
    missing: tuple[int, ...] = (),
    seed: int = 0,
) -> Volume:
    """A degraded copy of a scan, with its operator recorded; see :class:`medsr.pipeline.degrade.DegradeRequest`."""
    request = DegradeRequest(
        task, scale=scale, through=through, noise=noise, dose=dose, keep=keep, missing=missing, seed=seed
    )
    return degrade_volume(scan, request)


def restore(
    scan: Volume,
    task: Task,
    *,
    scale: float | None = None,
    through: float | None = None,
    mask: tuple[int, ...] | None = None,
    method: Method = "regress",
    fidelity: float | None = None,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    noise: float | None = None,
    policy: str = "research",
    threads: int | None = None,
    second: Volume | None = None,
    probe: bool | None = None,
) -> Result:
    """Restore a scan and judge it. ``result.save(folder)`` writes what the gate allows.

    See :class:`medsr.restore.request.RestoreRequest` for the options, and :func:`medsr.pipeline.walk.restore_volume`
    for `second` and `probe`.
    """
    request = RestoreRequest(
        task,
        scale=scale,
        through=through,
        mask=mask,
        method=method,
        fidelity=fidelity,
        samples=samples,
        seed=seed,
        noise=noise,
        threads=threads,
    )
    return restore_volume(scan, request, policy=policy, second=second, probe=probe)


def validate(
    measured: Volume,
    candidate: Volume,
    *,
    reference: Volume | None = None,
    second: Volume | None = None,
    policy: str = "research",
) -> Judgement:
    """Judge anybody's restoration of a measurement, with a reference and a second scan where there are any."""
    return validate_volume(measured, candidate, policy=policy, reference=reference, second=second).judgement
