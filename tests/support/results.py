"""Made restorations, judgements and policies, for tests of what comes after judging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medsr.io.encoding import Stored
from medsr.physics import Identity, NoNoise, Operator
from medsr.records import (
    CalibrationUse,
    ChannelResult,
    ChannelStatus,
    Finding,
    Judgement,
    ModelIdentity,
    NoiseLevel,
    Restoration,
    Verdict,
    pixels_sha256,
)
from medsr.release import decide
from medsr.release.rendered import Rendered
from medsr.validation.policy import Policy
from support.volumes import mr_volume

RENDERED = Rendered(b'{"gate": {"word": "review"}}\n', b"<!doctype html>\n", b"{}\n")

RECORD = CalibrationUse("made", 59, "One lesion in each of 59 subjects: 0 released unseen.", 6.0)


def policy(
    *, waive: bool = True, required: tuple[str, ...] = ("R1", "R4"), most: float = 5, strong: float = 12
) -> Policy:
    """A policy that needs R1 and R4."""
    return Policy(
        name="made", version="1", required={"denoise": required, "superres": required}, waive_uncalibrated=waive,
        most_findings_a_slice=most, reject_dprime=strong, sha256="a" * 64,
    )  # fmt: skip


def channel(name: str, status: ChannelStatus = "passed", value: float | None = 0.5, **changes: object) -> ChannelResult:
    """One channel's result."""
    return replace(ChannelResult(name, "range", status, value, 1.0, may="verify"), **changes)  # type: ignore[arg-type]


def finding(
    *, at: tuple[int, int, int] = (20, 20, 2), dprime: float = 8.0, remains: bool = True, name: str = "R4-1"
) -> Finding:
    """An added structure of 8 voxels in one slice."""
    high = (at[0] + 8, at[1] + 8, at[2] + 1)
    return Finding(
        id=name, type="added", box_voxel=(at, high), box_mm=((0.0, 0.0, 0.0), (8.0, 8.0, 2.0)), size_mm=7.0,
        contrast=50.0, dprime=dprime, p=1e-6, channel="R4", remains=remains,
    )  # fmt: skip


def restoration() -> Restoration:
    """A denoised made head."""
    measured = mr_volume(sigma=30.0)
    image = mr_volume().values
    return Restoration(
        measured=measured, image=image, estimate=image, geometry=measured.geometry,
        operator=Operator(Identity(measured.geometry.shape), NoNoise(), "declared"), task="denoise",
        model=ModelIdentity("made-model", "1.0", "b" * 64, "regress"),
        noise=NoiseLevel(30.0, "rician", "declared"),
    )  # fmt: skip


def stored_of(made: Restoration) -> Stored:
    """The image as float32."""
    return Stored(made.image, np.dtype(np.float32), 1.0, 0.0)


def judgement(made: Restoration, **changes: object) -> Judgement:
    """A judgement without any complaint and without calibration, with changes."""
    clean = Judgement(
        pixels_sha256=pixels_sha256(made.image, made.geometry), channels=(channel("R1"), channel("R4")), findings=(),
        score=None, calibration=None, measured_fraction=1.0, supplied_energy=0.0,
    )  # fmt: skip
    return replace(clean, **changes)  # type: ignore[arg-type]


def verdict(made: Restoration, judged: Judgement, rules: Policy) -> Verdict:
    """What the policy says."""
    return decide(
        judged, rules, task=made.task, slice_axis=made.geometry.slice_axis,
        method=made.model.method if made.model else None, second=made.second is not None,
    )  # fmt: skip
