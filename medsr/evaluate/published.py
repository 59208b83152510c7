"""What the gate makes of GAN outputs that others published: verdicts, alarms, projection, sFRC, each with its n.

``python -m medsr.evaluate.published FOLDER -o FILE.md`` prints goals V5 and V11 of the gate; FOLDER holds, for the
kernels sharp and smooth, a reference, its fourfold coarser input and the outputs of two networks (DIDSR/sfrc, MIT).
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.evaluate.alarms import Alarm, alarms_of, scanned_slice
from medsr.evaluate.cases import slab
from medsr.evaluate.published_tables import written
from medsr.io import read
from medsr.pipeline.candidate import candidate_restoration
from medsr.records import Restoration
from medsr.release import decide
from medsr.report.words import gate_sentence
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.validation.judge import judge
from medsr.validation.noise_bound import bounded_noise
from medsr.validation.policy import load_policy
from medsr.validation.reference import compare
from medsr.validation.sfrc import SfrcSettings, sfrc
from medsr.volume import Volume

__all__ = ["Published", "Tiles", "Verdicted", "published", "scale_of"]

Plane = npt.NDArray[np.float32]

KERNELS, NETWORKS = ("sharp", "smooth"), ("srgan", "srwgan")
OURS = "regress (medsr)"
_POLICY = "research"
_PLACES = 16
_TISSUE_HU = -224.0


@dataclass(frozen=True, slots=True)
class Verdicted:
    """One published output, judged alone: the gate's word, and what projection onto its input does to its error."""

    kernel: str
    network: str
    slice_number: int
    word: str
    sentence: str
    findings: int
    rmse_hu: float
    projected_rmse_hu: float

    @property
    def gain_db(self) -> float:
        """How much of the error projection removes."""
        return float(20 * np.log10(self.rmse_hu / self.projected_rmse_hu))


@dataclass(frozen=True, slots=True)
class Tiles:
    """sFRC counts of one kernel and network, by slice, to the authors' letter and with a true window."""

    kernel: str
    network: str
    published: tuple[int, ...]
    corrected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Everything that is printed."""

    verdicts: tuple[Verdicted, ...]
    alarms: tuple[Alarm, ...]
    tiles: tuple[Tiles, ...]
    sfrc_seconds: float
    reference_cpu_seconds: float

    def record(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "verdicts": [{**asdict(item), "gain_db": item.gain_db} for item in self.verdicts],
            "alarms": [asdict(item) for item in self.alarms],
            "sfrc": [asdict(item) for item in self.tiles],
            "sfrc_seconds": self.sfrc_seconds,
            "reference_cpu_seconds_a_slice": self.reference_cpu_seconds,
        }


def published(folder: Path, *, seed: int = 0, places: int = _PLACES) -> Published:
    """Judge every output of `folder`, plant discs into them and into our own regressor's, and count."""
    verdicts: list[Verdicted] = []
    alarms: list[Alarm] = []
    tiles: list[Tiles] = []
    seconds, cpu, slices = 0.0, 0.0, 0
    for kernel in KERNELS:
        measured, reference = (read(folder / f"{kernel}_{name}.nii.gz") for name in ("lowres_x4", "reference"))
        for network in NETWORKS:
            output = read(folder / f"{kernel}_{network}.nii.gz")
            parts = [candidate_restoration(*pair) for pair in zip(_slices(measured), _slices(output), strict=True)]
            verdicts += _verdicts(kernel, network, parts, reference)
            alarms.append(_alarm(kernel, network, parts, reference, seed=seed, places=places))
            counted, spent = _tiles(kernel, network, output, reference)
            tiles.append(counted)
            seconds += spent
            began = time.process_time()
            whole = candidate_restoration(measured, output, reference=reference)
            compare(whole, largest_bias=1.0, shown=(0,))
            cpu, slices = cpu + time.process_time() - began, slices + len(parts)
        ours = restore(measured, RestoreRequest("superres", scale=scale_of(measured, reference)))
        parts = [_one_slice(ours, index) for index in range(len(parts))]
        alarms.append(_alarm(kernel, OURS, parts, reference, seed=seed, places=places))
    return Published(tuple(verdicts), tuple(alarms), tuple(tiles), seconds, cpu / max(1, slices))


def scale_of(measured: Volume, fine: Volume) -> float:
    """How much finer the matrix is in plane."""
    axis = measured.geometry.in_plane_axes[0]
    return fine.geometry.shape[axis] / measured.geometry.shape[axis]


def _verdicts(kernel: str, network: str, parts: Sequence[Restoration], reference: Volume) -> list[Verdicted]:
    policy = load_policy(_POLICY)
    found = []
    for index, part in enumerate(parts):
        judgement = judge(part)
        verdict = decide(judgement, policy, task=part.task, slice_axis=part.geometry.slice_axis)
        before, after = _errors(part, reference.values[:, :, index])
        found.append(
            Verdicted(
                kernel, network, index + 1, verdict.word, gate_sentence(judgement, verdict, task=part.task),
                len(judgement.findings), before, after,
            )
        )  # fmt: skip
    return found


def _errors(part: Restoration, truth: Plane) -> tuple[float, float]:
    """RMSE in the body of an output, and of the output moved onto its input by x + A+ (y - A x)."""
    image = torch.from_numpy(np.ascontiguousarray(part.image))
    linear = part.operator.linear
    measured = torch.from_numpy(np.ascontiguousarray(part.measured.values))
    projected = image + linear.pinv(measured - linear.forward(image))
    body = ndimage.binary_opening(truth > _TISSUE_HU, iterations=3)
    before, after = (
        float(np.sqrt(np.mean((values.numpy()[:, :, 0] - truth)[body].astype(np.float64) ** 2)))
        for values in (image, projected)
    )
    return before, after


def _alarm(
    kernel: str, network: str, parts: Sequence[Restoration], reference: Volume, *, seed: int, places: int
) -> Alarm:
    bounded = [replace(part, noise=bounded_noise(part)) for part in parts]
    scanned = [
        scanned_slice(part, reference.values[:, :, index], stated=parts[index].noise.sigma)
        for index, part in enumerate(bounded)
    ]
    return alarms_of(kernel, network, scanned, seed=seed, places=places)


def _tiles(kernel: str, network: str, output: Volume, reference: Volume) -> tuple[Tiles, float]:
    """The counts, and the seconds of CPU that the published form took."""
    counts, spent = [], []
    for form in (True, False):
        settings = SfrcSettings(published=form)
        pairs = [
            (one.values[:, :, 0], other.values[:, :, 0])
            for one, other in zip(_slices(output), _slices(reference), strict=True)
        ]
        began = time.process_time()
        counts.append(tuple(int(sfrc(one, other, settings).flagged.sum()) for one, other in pairs))
        spent.append(time.process_time() - began)
    return Tiles(kernel, network, counts[0], counts[1]), spent[0]


def _slices(volume: Volume) -> list[Volume]:
    return [slab(volume, index, index + 1) for index in range(volume.geometry.shape[2])]


def _one_slice(whole: Restoration, index: int) -> Restoration:
    """A restoration of one slice out of a volume's."""
    part = slice(index, index + 1)
    estimate = None if whole.estimate is None else np.asfortranarray(whole.estimate[:, :, part])
    linear = whole.operator.linear.slab(index, index + 1)
    return replace(
        whole, measured=slab(whole.measured, index, index + 1), image=np.asfortranarray(whole.image[:, :, part]),
        estimate=estimate, geometry=whole.geometry.slices(index, index + 1),
        operator=replace(whole.operator, linear=linear),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m medsr.evaluate.published", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=None)
    given = parser.parse_args(arguments)
    shown = [Path(part).name if Path(part).is_absolute() else part for part in (arguments or sys.argv[1:])]
    sys.stdout.write(
        written(
            published(given.folder),
            given.output,
            command=shlex.join(["python", "-m", "medsr.evaluate.published", *shown]),
        )
    )


if __name__ == "__main__":
    main()
