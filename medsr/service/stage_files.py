"""A job's restoration between its attempts: the files of `pipeline.stages`, kept as artefacts of the store."""

from __future__ import annotations

import shutil
from pathlib import Path

from medsr.jobs.nouns import Job
from medsr.jobs.stages import open_stage, save_stage
from medsr.jobs.store import Store, canonical, sha256_of
from medsr.pipeline.stages import STAGE_FILES, Kept, stage_key
from medsr.service.settings import ServiceSettings

__all__ = ["fetch_stage", "keep_stage", "stage_of"]


def stage_of(job: Job, settings: ServiceSettings, folder: Path) -> Kept:
    """Where a job's restoration lies while it runs, and for what: all that decides its pixels, and no policy."""
    asked = canonical(dict(job.request.parameters))
    configuration = sha256_of([job.pins.configuration_sha256, asked, settings.device, settings.precision])
    key = stage_key(
        input_sha256=job.input_sha256,
        bundle_sha256=job.pins.bundle_sha256 or "",
        configuration_sha256=configuration,
    )
    return Kept(folder, key)


def fetch_stage(store: Store, job: Job, kept: Kept) -> None:
    """Lay what an earlier attempt restored into the folder, if there is any; what is not whole is left out."""
    kept.folder.mkdir()
    for name in STAGE_FILES:
        stream = open_stage(store, job, name)
        if stream is not None:
            with stream, (kept.folder / name).open("wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)


def keep_stage(store: Store, job: Job, kept: Kept) -> None:
    """Take what was restored into the store, the record last: without it the arrays count for nothing."""
    for name in STAGE_FILES:
        save_stage(store, job, name, kept.folder / name)
