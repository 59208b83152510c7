"""Job stores on a made clock, and results to publish into them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from medsr.jobs.claims import claim, judging
from medsr.jobs.clock import Clock, Random
from medsr.jobs.files import keep
from medsr.jobs.inputs import add_input
from medsr.jobs.keys import Principal
from medsr.jobs.nouns import Claim, Job, JobRequest, Pins
from medsr.jobs.publish import publish
from medsr.jobs.store import Limits, Store
from medsr.jobs.submit import submit
from medsr.release.publication import _SEAL, Release

__all__ = [
    "LIMITS", "PINS", "READER", "SCAN", "FakeTime", "fake_random", "held_job", "queued", "release_of", "run",
    "upload",
]  # fmt: skip

POLICY_SHA256 = "a" * 64
PINS = Pins(
    policy="clinical", policy_sha256=POLICY_SHA256, configuration_sha256="c" * 64, bundle="mr-inplane@1",
    bundle_sha256="b" * 64,
)  # fmt: skip
SCAN = b"not a scan: nothing in the store parses one"
READER = Principal("reader-key", "reader", "reading room", frozenset({"read", "review"}))
# A shared test disk may be nearly full; the watermark has tests of its own.
LIMITS = Limits(min_free_bytes=0, min_free_fraction=0.0, ballast_bytes=1 << 16, busy_s=2.0)


@dataclass
class FakeTime:
    """Both clocks, moved by the test alone."""

    wall: float = 1_800_000_000.0
    steady: float = 1_000.0
    epoch: str = "first boot"
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.wall, lambda: self.steady, lambda: self.epoch)

    def sleep(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += seconds
        self.steady += seconds


def fake_random(seed: int = 0) -> Random:
    """Bytes that a test can foresee, never the same twice."""
    count = iter(range(1 << 30))

    def token(size: int) -> bytes:
        return hashlib.shake_256(f"{seed}/{next(count)}".encode()).digest(size)

    return Random(token)


def upload(store: Store, data: bytes = SCAN, *, owner: str = "ward") -> str:
    """An input of an owner; returns its hash."""
    return add_input(store, keep(store.files, [data]), owner=owner, kind="nifti").sha256


def queued(store: Store, data: bytes = SCAN, *, owner: str = "ward", priority: int = 0) -> Job:
    """A job that waits."""
    sha256 = upload(store, data, owner=owner)
    request = JobRequest({"task": "denoise"})
    return submit(store, owner=owner, request=request, input_sha256=sha256, pins=PINS, priority=priority)


def release_of(folder: Path, word: str = "review", *, image: bytes = b"pixels") -> Release:
    """A Release as `advance` makes it, of a few bytes; the seal is its module's own, since nothing is judged here."""
    place = folder / "held" if word == "review" else folder
    files = {folder / "report.json": b'{"gate": {}}\n', folder / "report.html": b"<!doctype html>\n"}
    if word in ("released", "review"):
        files |= {place / "made_restored.nii.gz": image, place / "made_restored.medsr.json": b"{}\n" + image}
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    listed = tuple(
        (path.relative_to(folder).as_posix(), hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())
    )
    reasons = () if word == "released" else ("uncalibrated",)
    return Release(word, reasons, folder, listed, "d" * 64, POLICY_SHA256, seal=_SEAL)  # type: ignore[arg-type]


def run(store: Store, folder: Path, word: str = "review", *, image: bytes = b"pixels", worker: str = "w") -> Job:
    """Claim the next job and publish a result."""
    held = claim(store, worker)
    assert isinstance(held, Claim)
    judging(store, held)
    return publish(store, held, release_of(folder, word, image=image))


def held_job(store: Store, folder: Path) -> Job:
    """A job that waits for a reader."""
    queued(store)
    return run(store, folder)
