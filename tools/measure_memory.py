"""Print resident memory by stage of a restoration with its judgement, for made scans of clinical size.

    python tools/measure_memory.py ct 512 512 300
    python tools/measure_memory.py mr 256 256 256 --task superres --scale 2
    python tools/measure_memory.py            (both, in processes of their own)

The scan is int16, written by nibabel into a temporary folder. Peak is VmHWM, which never falls, so a stage's own
share is what it adds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES = (
    ("ct", 512, 512, 300, "denoise", None),
    ("mr", 256, 256, 256, "denoise", None),
    ("mr", 256, 256, 256, "superres", 2.0),
)


def memory_mb() -> tuple[float, float]:
    """Resident now and at most so far, in MB (10^6 bytes)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def made_scan(folder: Path, modality: str, shape: tuple[int, int, int]) -> Path:
    """An ellipse with texture and noise: HU with air round it, or MR magnitudes."""
    import nibabel

    rng = np.random.default_rng(0)
    first, second = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    inside = np.hypot(first / 0.85, second / 0.75) < 1
    folds = np.sin(17 * first) * np.sin(15 * second)
    values = np.empty(shape, np.int16, order="F")
    for index in range(shape[2]):
        noise = rng.standard_normal((2, *shape[:2]))
        if modality == "ct":
            values[:, :, index] = np.where(inside, 40 + 30 * folds, -1000) + 20 * noise[0]
        else:
            values[:, :, index] = np.hypot(inside * (700 + 200 * folds) + 40 * noise[0], 40 * noise[1])
    path = folder / f"made_{modality}.nii.gz"
    image = nibabel.Nifti1Image(values, np.diag([0.8, 0.8, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def measure(path: Path, modality: str, task: str, scale: float | None) -> None:
    """Walk one scan as the pipeline does, up to the judgement, and print a line a stage."""
    from medsr.io import read
    from medsr.io.encoding import as_stored
    from medsr.restore.request import RestoreRequest

    started = time.monotonic()
    print(f"{'stage':<10}{'seconds':>9}{'now MB':>9}{'peak MB':>9}", flush=True)

    def tell(stage: str) -> None:
        now, peak = memory_mb()
        print(f"{stage:<10}{time.monotonic() - started:>9.1f}{now:>9.0f}{peak:>9.0f}", flush=True)

    volume = read(path, modality="CT" if modality == "ct" else "MR")
    tell("read")
    from dataclasses import replace

    from medsr.restore.restore import restore
    from medsr.validation.judge import judge

    tell("import")
    restoration = restore(volume, RestoreRequest(task, scale=scale, threads=1))  # type: ignore[arg-type]  # argparse's choices
    tell("restore")
    stored = as_stored(restoration.image, restoration.geometry, volume, sigma=restoration.noise.sigma)
    restoration = replace(restoration, image=stored.values)
    tell("encode")
    judgement = judge(restoration)
    tell("judge")
    print(f"error {judgement.error}, {len(judgement.findings)} findings", flush=True)


def main() -> None:
    """Measure one case, or every case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modality", nargs="?", choices=("ct", "mr"))
    parser.add_argument("shape", nargs="*", type=int)
    parser.add_argument("--task", default="denoise", choices=("denoise", "superres"))
    parser.add_argument("--scale", type=float)
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scan is not None:
        measure(given.scan, given.modality, given.task, given.scale)
        return
    cases = [(given.modality, *given.shape, given.task, given.scale)] if given.modality else CASES
    for modality, *shape, task, scale in cases:
        print(f"\n{modality} {'x'.join(map(str, shape))} {task} {scale or ''}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            scan = made_scan(Path(folder), str(modality), tuple(shape))  # type: ignore[arg-type]  # three by the usage
            command = [sys.executable, __file__, str(modality), "--task", str(task), "--scan", str(scan)]
            subprocess.run(command + (["--scale", str(scale)] if scale else []), check=True)


if __name__ == "__main__":
    main()
