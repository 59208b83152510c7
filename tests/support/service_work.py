"""A store, a tiny scan and a tiny model, for tests that walk real jobs through a worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medsr.jobs.claims import claim
from medsr.jobs.files import keep
from medsr.jobs.inputs import add_input
from medsr.jobs.nouns import Claim, Job, JobRequest
from medsr.jobs.store import Store
from medsr.jobs.submit import submit
from medsr.service.pace import Heart
from medsr.service.pins import pins_of
from medsr.service.settings import ServiceSettings
from medsr.service.worker import _one
from support import bundles
from support.nifti import header, write
from support.volumes import head

__all__ = ["SETTINGS", "asked", "one", "site", "tiny_scan"]

SETTINGS = ServiceSettings(precision="fp32", lease_s=1.0, heartbeat_s=0.1, poll_s=0.05, drain_s=5.0)


def site(folder: Path) -> Path:
    """A folder of models whose first one, by name, is small and random."""
    bundles.write(folder / "models" / "aa-tiny")
    return folder / "models"


def tiny_scan(path: Path, *, seed: int = 0, shape: tuple[int, int, int] = (40, 36, 4)) -> Path:
    """A noisy head of a few thousand voxels, int16."""
    noise = np.abs(np.random.default_rng(seed).normal(0, 30, shape))
    values = np.rint(head(shape, seed=seed) + noise).astype("<i2")
    return write(path, header(shape, pixdim=(1.0, 1.0, 1.0, 2.0)), values.tobytes(order="F"))


def asked(
    store: Store, data: bytes, parameters: dict[str, object] | None = None, *, policy: str = "research",
    candidate: bytes | None = None,
) -> Job:  # fmt: skip
    """A queued job over these bytes."""
    kept = keep(store.files, [data])
    add_input(store, kept, owner="sender", kind="nifti")
    if candidate is None:
        request = JobRequest({"task": "denoise"} if parameters is None else parameters)
    else:
        other = keep(store.files, [candidate])
        add_input(store, other, owner="sender", kind="nifti")
        request = JobRequest(parameters or {}, "validate", other.sha256)
    pins = pins_of(request, policy=policy)
    return submit(store, owner="sender", request=request, input_sha256=kept.sha256, pins=pins)


def one(store: Store, settings: ServiceSettings = SETTINGS) -> Claim:
    """Claim the next job and let a worker without a heartbeat bring it to its end."""
    held = claim(store, "worker")
    assert held is not None
    _one(store, held, settings=settings, heart=Heart(store, settings, lambda: None))
    return held
