"""A made result for the report's tests, and the command that rewrites its golden document.

``PYTHONPATH=tests python -m support.reports`` writes tests/golden/report/report.json and README.md; nothing else does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medsr.physics import AreaAverage, Identity, KSpaceTruncation, MagnitudeNoise, NoNoise, Operator
from medsr.records import (
    ChannelResult,
    Finding,
    Judgement,
    ModelIdentity,
    NoiseLevel,
    Restoration,
    Task,
    Verdict,
    Word,
    pixels_sha256,
)
from medsr.report.render import render
from medsr.validation.policy import load_policy
from medsr.volume import Modality, Source
from support.volumes import ct_volume, mr_volume

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
VERSION = "0"
"""Stands for medsr's version in the golden document, which would else change with every release."""


def restoration_of(task: Task = "denoise", modality: Modality = "MR", *, name: str = "made.nii.gz") -> Restoration:
    """A restoration of 5 slices whose image is the noise-free scan."""
    shape = (32, 28, 5)
    if modality == "MR":
        fine, low = mr_volume(shape), mr_volume(shape, sigma=20.0)
    else:
        fine, low = ct_volume(shape), ct_volume(shape, sigma=20.0)
    noise = MagnitudeNoise(20.0) if modality == "MR" else NoNoise()
    linear: Identity | KSpaceTruncation | AreaAverage = Identity(shape, 2)
    if task == "superres":
        linear = KSpaceTruncation(shape, (16, 14), 2) if modality == "MR" else AreaAverage(shape, (2, 2), 2)
        coarse = linear.coarse_geometry(low.geometry)
        low = replace(low, values=np.array(low.values[::2, ::2], order="F"), geometry=coarse)
    source = Source(name=name, sha256="a" * 64, format="nifti", dtype="int16", integer=True)
    return Restoration(
        measured=replace(low, source=source, notes=("made by code",)),
        image=np.array(fine.values),
        estimate=np.array(fine.values),
        geometry=fine.geometry,
        operator=Operator(linear, noise, "declared"),
        task=task,
        model=ModelIdentity("made-bundle", "1.0", "b" * 64, "regress", seed=3),
        noise=NoiseLevel(20.0, "rician" if modality == "MR" else "gaussian", "declared"),
        timings={"restore_s": 1.5},
        resources={"device": "cpu", "threads": np.int64(1)},
        intensity={"divisor": 1200.0},
    )


def finding_of(**changes: object) -> Finding:
    """An added structure of 5 mm, d' 9.1, in slices 1 and 2."""
    made = Finding(
        id="R4-1",
        type="added",
        box_voxel=((10, 12, 1), (16, 17, 3)),
        box_mm=((-12.0, 22.0, 8.75), (-7.0, 27.0, 13.75)),
        size_mm=5.2,
        contrast=60.0,
        dprime=9.1,
        p=1e-12,
        channel="R4",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # changes name fields of Finding


def judgement_of(restoration: Restoration, findings: Sequence[Finding] = (), **changes: object) -> Judgement:
    """A judgement with R1 passed and R4 held if there are findings."""
    plane = np.zeros(restoration.geometry.shape[:2], np.float32)
    plane[8:20, 8:20] = -1.0
    made = Judgement(
        pixels_sha256=pixels_sha256(restoration.image, restoration.geometry),
        channels=(
            ChannelResult("R1", "range", "passed", 0.5, 1.0, 0.2, may="reject", note="mean residual 0.01"),
            ChannelResult("R4", "range", "held" if findings else "passed", 6.5, 5.4, 1e-9, may="verify", note="places"),
        ),
        findings=tuple(findings),
        score=None,
        calibration=None,
        measured_fraction=restoration.operator.linear.measured_fraction(),
        supplied_energy=0.0 if restoration.task == "denoise" else 0.1,
        maps={"contradicted": {1: plane, 2: plane}, "supplied": {1: np.abs(plane), 2: np.abs(plane)}},
        limits=("Structures with a detectability d' below 5 cannot be told from noise.",),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # changes name fields of Judgement


def verdict_of(word: Word, *reasons: str, label: str = "UNVERIFIED") -> Verdict:
    """A verdict under the research policy."""
    return Verdict(word, reasons or ("uncalibrated",), "research", load_policy("research").sha256, label)


def golden_bytes() -> bytes:
    """report.json of the made case, as it is written to tests/golden."""
    restoration = restoration_of()
    judgement = judgement_of(restoration, [finding_of()])
    verdict = verdict_of("review", "finding.added", "channel.held:R4", "uncalibrated")
    rendered = render(restoration, judgement, replace(verdict, policy_sha256="c" * 64), policy=load_policy("research"))
    return rendered.report_json.replace(_version_line(), f'"medsr_version": "{VERSION}"'.encode())


def _version_line() -> bytes:
    from medsr import __version__

    return f'"medsr_version": "{__version__}"'.encode()


if __name__ == "__main__":
    document = golden_bytes()
    (GOLDEN / "report.json").write_bytes(document)
    (GOLDEN / "README.md").write_text(
        "# Golden report.json\n\nOrigin: made by code (`PYTHONPATH=tests python -m support.reports`), no patient. "
        "Licence: Apache-2.0.\n\n"
        f"sha256 of report.json: `{hashlib.sha256(document).hexdigest()}`\n"
    )
