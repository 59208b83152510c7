"""Print what the gate's channels cost a slice of 512 x 512 on one core.

python tools/gate_speed.py [--slices 12] [--rounds 3]: made scans with noise of known law, denoised perfectly (A is the
identity) and super-resolved in plane by 2. R1 to R4 and R7 look at every slice of the measured grid, before projection
and again on the written pixels; what is counted is CPU time of this process with one thread, best of some rounds. The
aim is .1 s a slice for R1 to R7.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from medsr.physics import AreaAverage, Identity, KSpaceTruncation, LinearOperator, NoNoise, Operator
from medsr.records import ModelIdentity, NoiseLevel, Restoration
from medsr.validation import judge as room
from medsr.validation.beside import beside
from medsr.validation.residual import Measurement
from medsr.volume import Geometry, Source, Volume

SIDE = 512


def truth(shape: tuple[int, int, int], modality: str) -> npt.NDArray[np.float32]:
    """A body with folds."""
    first, second = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    inside = np.hypot(first / 0.85, second / 0.7) < 1
    folds = 60 * np.sin(25 * first) * np.sin(23 * second)
    plane = np.where(inside, 800 + folds, 0) if modality == "MR" else np.where(inside, 40 + folds, -1000)
    return np.asfortranarray(np.repeat(plane[:, :, None], shape[2], 2).astype(np.float32))


def made(modality: str, linear: LinearOperator) -> Restoration:
    """The truth as its own restoration."""
    image = truth(linear.fine_shape, modality)
    rng = np.random.default_rng(0)
    seen = linear.forward(torch.from_numpy(np.array(image))).numpy()
    noise = rng.standard_normal((2, *seen.shape)).astype(np.float32) * 20
    values = np.hypot(seen + noise[0], noise[1]) if modality == "MR" else seen + noise[0]
    grid = Geometry(seen.shape, np.diag([0.7, 0.7, 3.0, 1.0]))
    source = Source("made", "0" * 64, "memory")
    unit = "HU" if modality == "CT" else "arbitrary"
    measured = Volume(np.asfortranarray(values.astype(np.float32)), grid, modality, unit, source)  # type: ignore[arg-type]  # words of two loops
    identity = linear.kind == "identity"
    return Restoration(
        measured, image, image if identity else image.copy(order="F"), linear.fine_geometry(grid),
        Operator(linear, NoNoise(), "estimated"), "denoise" if identity else "superres",
        ModelIdentity("made", "1", "0" * 64, "regress"), NoiseLevel(20.0, "rician", "declared"),
    )  # fmt: skip


def best(run: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the quickest round."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    """A row a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = options.slices
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}, {count} slices, one thread, CPU s a slice, best of {options.rounds}\n")
    print("| scan | grid | R1-R4, R7, one image | all channels | whole judgement |\n|---|---|---|---|---|")
    fine = (SIDE, SIDE, count)
    cases: list[tuple[str, LinearOperator]] = [
        ("MR", Identity(fine)), ("CT", Identity(fine)),
        ("MR", KSpaceTruncation(fine, (SIDE // 2, SIDE // 2), 2)), ("CT", AreaAverage(fine, (2, 2), 2)),
    ]  # fmt: skip
    for modality, linear in cases:
        restoration = made(modality, linear)
        measurement = Measurement(restoration)
        white = modality == "MR"
        estimate = restoration.estimate

        def ranged() -> None:
            room._examine(measurement, estimate, "", white=white, follow=True)  # noqa: B023, SLF001 - what is timed

        def others() -> None:
            beside(measurement, largest_bias=1.0, interpolated=False)  # noqa: B023 - run within the same turn

        times = [best(ranged, options.rounds), best(others, options.rounds)]
        whole = best(lambda: room.judge(replace(restoration)), options.rounds)  # noqa: B023 - run within the same turn
        cells = [f"{value / count:.3f}" for value in (times[0], times[0] + times[1], whole)]
        print(f"| {modality} {linear.kind} | {SIDE} x {SIDE} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
