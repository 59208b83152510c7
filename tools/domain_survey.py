"""Print which scans the gate would hold for their domain or noise level, before anything is restored.

python tools/domain_survey.py FOLDER MR|CT [--every 9]: the middle 8 slices of every n-th scan of FOLDER, as it came,
made coarser by 2, and with noise (MR: 2 and 5 %, CT: a quarter of the dose). Ranges are those of the installed in-plane
GAN bundle, whose training set the scans of train/ are.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import numpy as np

from medsr.evaluate.cases import slab
from medsr.io import read
from medsr.models.bundle import find_bundle
from medsr.physics.estimate import estimate_noise
from medsr.physics.features import domain_features
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Restoration
from medsr.restore.operators import operator_of
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import noise_of
from medsr.validation.judge import _white
from medsr.validation.n4_domain import domain_deviations
from medsr.validation.noise_check import check_noise
from medsr.validation.residual import Measurement
from medsr.volume import Modality, Volume

SLICES = 8


def row(volume: Volume, request: RestoreRequest, domain: dict[str, object]) -> list[str]:
    """Provenance of the level, what contradicts it, if it may be too high, and what lies outside the domain."""
    estimate = estimate_noise(volume)
    level = noise_of(volume, request, estimate)
    operator = operator_of(volume, request, level)
    grid = operator.linear.fine_geometry(volume.geometry)
    nothing = np.zeros(grid.shape, np.float32)
    scan = Restoration(volume, nothing, None, grid, operator, request.task, None, level, domain=domain)
    interpolated = volume.modality == "MR" and not _white(Measurement(scan))
    check = check_noise(level, estimate, modality=volume.modality, interpolated=interpolated)
    outside = domain_deviations(scan, domain_features(volume, estimate=estimate))
    told = [*check.apart, *(["interpolated"] if interpolated else [])]
    return [
        level.provenance,
        "; ".join(told) or "verified",
        "yes" if check.may_be_high else "no",
        "; ".join(item.words for item in outside) or "inside",
    ]


def main() -> None:
    """A row a scan and degradation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("modality", choices=("MR", "CT"))
    parser.add_argument("--every", type=int, default=9)
    options = parser.parse_args()
    modality: Modality = options.modality
    domain = dict(find_bundle(modality, task="denoise", method="gan").domain)
    noisy = [DegradeRequest("denoise", noise=level, seed=1) for level in ("2%", "5%")]
    if modality == "CT":
        noisy = [DegradeRequest("denoise", dose=0.25, seed=1)]
    files = sorted(options.folder.glob("*.nii.gz"))[:: options.every]
    print(f"{datetime.datetime.now(datetime.UTC).date()}, {len(files)} scans, the middle {SLICES} slices each\n")
    print("| scan | degraded | level | sources | may be high | domain |\n|---|---|---|---|---|---|")
    for path in files:
        whole = read(path, modality=modality)
        count = whole.geometry.shape[whole.geometry.slice_axis]
        scan = slab(whole, max(0, (count - SLICES) // 2), min(count, (count + SLICES) // 2))
        cases = [("no", scan, RestoreRequest("denoise"))]
        coarse = degrade(scan, DegradeRequest("superres", scale=2, seed=1))
        cases.append(("x2", coarse, RestoreRequest("superres", scale=2)))
        cases += [(str(item.noise or item.dose), degrade(scan, item), RestoreRequest("denoise")) for item in noisy]
        for name, volume, request in cases:
            print(
                f"| {path.name.split('.')[0]} | {name} | " + " | ".join(row(volume, request, domain)) + " |", flush=True
            )


if __name__ == "__main__":
    main()
