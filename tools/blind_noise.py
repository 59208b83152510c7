"""Print what blind denoising makes of scans when its noise level comes from air and when it comes from tissue.

python tools/blind_noise.py FOLDER NAME [NAME ...]: the middle 8 slices of FOLDER/NAME.nii.gz. The gate's word and its
number of findings tell which level removes structure. Use training scans: the choice between the two is tuning.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from medsr.evaluate.cases import slab
from medsr.io import read
from medsr.physics.estimate import estimate_noise
from medsr.pipeline.walk import restore_volume
from medsr.restore.intensity import percentile_of_positive
from medsr.restore.request import RestoreRequest

SLICES = 8


def main() -> None:
    """A row a scan."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    print(f"{datetime.datetime.now(datetime.UTC).date()}, {len(names)} scans, the middle {SLICES} slices each\n")
    print("| scan | air % of q | gate | findings | tissue % of q | gate | findings |\n|---|---|---|---|---|---|---|")
    for name in names:
        scan = read(folder / f"{name}.nii.gz", modality="MR")
        count = scan.geometry.shape[scan.geometry.slice_axis]
        part = slab(scan, max(0, (count - SLICES) // 2), min(count, (count + SLICES) // 2))
        estimate, q = estimate_noise(part), percentile_of_positive(part.values)
        cells = [name]
        for sigma in (estimate.air, estimate.tissue):
            if sigma is None:
                cells += ["none", "", ""]
                continue
            result = restore_volume(part, RestoreRequest("denoise", noise=sigma))
            cells += [f"{100 * sigma / q:.2f}", result.verdict.word, str(len(result.judgement.findings))]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
