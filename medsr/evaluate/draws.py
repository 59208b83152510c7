"""Many noises on one anatomy: the noise a method leaves, its texture, its bias, and the contrast kept of lesions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.evaluate.cases import Case, cases_of, stack_of
from medsr.evaluate.levels import Level
from medsr.evaluate.methods import METHODS, bundle_for
from medsr.evaluate.metrics import body_mask_ct, flat_bias, flat_part, foreground_mr
from medsr.evaluate.peers.denoisers import NLM
from medsr.evaluate.peers.peer import Peer, Setting, finished
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.peers.settings import setting_for
from medsr.evaluate.scans import EvaluationScan
from medsr.models.bundle import Bundle
from medsr.physics import MagnitudeNoise, ProjectionNoise
from medsr.physics.ct_noise import noise_fields
from medsr.physics.lesions import contrast_for, disc_at
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.volume import Volume

__all__ = ["DrawRow", "Experiment", "contrast_kept", "draw_rows", "mean_frequency", "places_for"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Run = Callable[[Volume], Array]

DIAMETERS_PX = (4.0, 8.0)
DETECTABILITY = 8.0
_PLACES, _DISTANCE, _RIM = 6, 40, 12
_VIEWS = 180


@dataclass(frozen=True, slots=True)
class DrawRow:
    """A method on many draws of one slice's noise.

    noise_left : sd over the draws in the mask, as a share of the input's.
    frequency : mean frequency of the noise power spectrum over that of the input: below 1, the noise left is blotchier.
    bias : mean over draws and flat places of output minus noise-free slice; HU or % of q.
    kept : share of the contrast of inserted discs of d' 8, by their diameter in pixels.
    bundle : start of the weights' hash, empty for peers.
    """

    case: str
    level: str
    method: str
    draws: int
    noise_left: float
    frequency: float
    bias: float
    kept: Mapping[str, float]
    bundle: str = ""


def draw_rows(
    scan: EvaluationScan,
    levels: tuple[Level, ...],
    *,
    draws: int,
    window: int | None,
    settings: Mapping[tuple[str, str], Setting],
    done: Sequence[DrawRow] = (),
    log: Callable[[str], None],
) -> list[DrawRow]:
    """Every denoising level of a scan's modality, on its middle slice with two neighbours a side.

    Beside the input and the bundles runs non-local means: thirty restorations a level are hours for slower peers.
    What `done` holds with as many draws is not run again. `window` as in :func:`medsr.evaluate.cases.cases_of`, for
    MR; CT noise is made of whole slices.
    """
    rows = []
    for level in levels:
        if level.task != "denoise" or level.modality != scan.volume.modality:
            continue
        case = next(cases_of(scan, (level,), slices=1, window=window if level.modality == "MR" else None))
        have = {row.method: row for row in done if (row.case, row.level, row.draws) == (scan.name, level.name, draws)}
        methods = list(_methods(case, settings))
        experiment = Experiment(case, draws) if any(name not in have for name, _, _ in methods) else None
        for name, bundle, run in methods:
            if experiment is not None and name not in have:
                have[name] = replace(experiment.row(name, run), bundle=bundle)
                log(f"{scan.name}, {level.name}, {name}: noise {have[name].noise_left:.2f}, kept {have[name].kept}")
            rows.append(have[name])
    return rows


def _methods(case: Case, settings: Mapping[tuple[str, str], Setting]) -> Iterator[tuple[str, str, Run]]:
    """Name, hash of the weights, and run of the input, of non-local means and of bundles."""
    yield "input", "", lambda volume: stack_of(volume.values, volume)
    setting, _ = setting_for(NLM, case.level.name, settings, problem=Problem.of(case))
    yield NLM.name, "", _classical(case, NLM, setting)
    for method in METHODS:
        bundle = bundle_for(case.level, method)
        if bundle is not None:
            yield bundle.name, bundle.sha256[:12], _restored(RestoreRequest("denoise", method=method), bundle)


def _classical(case: Case, peer: Peer, setting: Setting) -> Run:
    def run(volume: Volume) -> Array:
        problem = Problem.of(replace(case, degraded=volume))
        return finished(peer.run(problem, setting.strength), problem, setting)

    return run


def _restored(request: RestoreRequest, bundle: Bundle) -> Run:
    def run(volume: Volume) -> Array:
        return stack_of(restore(volume, request, bundle=bundle).image, volume)

    return run


class Experiment:
    """The slab of a case, its noise draws, and the discs that are inserted into its judged slice."""

    def __init__(self, case: Case, draws: int) -> None:
        self.case, self.count = case, draws
        self.middle = case.judged[0]
        stack = stack_of(case.reference.values, case.reference)
        mask = body_mask_ct(stack) if case.reference.modality == "CT" else foreground_mr(stack)
        self.slice, self.mask = stack[self.middle], mask[self.middle]
        self.flat = flat_part(stack[self.middle : self.middle + 1], mask[self.middle : self.middle + 1])
        noise = case.operator.noise
        self.sigma = noise.level
        self.unit = 1.0 if case.reference.modality == "CT" else float(np.percentile(stack[stack > 0], 99.9)) / 100
        self.fields = _fields(case, draws) if isinstance(noise, ProjectionNoise) else None
        self.places = places_for(self.mask)
        self.discs = {size: _planted(self.slice.shape, self.places, size, self.sigma) for size in DIAMETERS_PX}
        inputs = [stack_of(self.draw(index).values, case.reference)[self.middle] for index in range(draws)]
        self.before = np.stack(inputs)

    def draw(self, index: int, added: Array | None = None) -> Volume:
        """The slab with the noise of draw `index`; `added` is put into the judged slice before the noise is."""
        case = self.case
        values = stack_of(case.reference.values, case.reference).copy()
        if added is not None:
            values[self.middle] += added
        if self.fields is not None:
            noisy = values + np.float32(self.sigma) * self.fields[index]
            return replace(case.degraded, values=_unstacked(noisy, case.reference))
        reference = replace(case.reference, values=_unstacked(values, case.reference))
        noise = case.operator.noise
        level = noise.sigma if isinstance(noise, MagnitudeNoise) else 0.0
        return degrade(reference, DegradeRequest("denoise", noise=level, seed=case.seed + 1 + index))

    def row(self, name: str, run: Run) -> DrawRow:
        """Run a method on every draw, without and with each set of discs."""
        plain = np.stack([run(self.draw(index))[self.middle] for index in range(self.count)])
        kept = {}
        for size, added in self.discs.items():
            planted = np.stack([run(self.draw(index, added))[self.middle] for index in range(self.count)])
            kept[f"{size:g} px"] = contrast_kept((planted - plain).mean(0), added)
        deviation = float(np.sqrt(plain.var(0, ddof=1)[self.mask].mean()))
        before = float(np.sqrt(self.before.var(0, ddof=1)[self.mask].mean()))
        bias = flat_bias(plain.mean(0, keepdims=True), self.slice[None], self.flat)
        frequency = mean_frequency(plain, self.mask) / mean_frequency(self.before, self.mask)
        return DrawRow(
            self.case.scan.name,
            self.case.level.name,
            name,
            self.count,
            deviation / before,
            frequency,
            bias / self.unit,
            kept,
        )


def contrast_kept(difference: Array, added: Array) -> float:
    """Projection of the difference of two outputs on what was inserted: 1 if it is all there."""
    return float((difference * added).sum(dtype=np.float64) / (added * added).sum(dtype=np.float64))


def mean_frequency(draws: Array, mask: Mask) -> float:
    """Mean frequency of the noise power spectrum of draws (N, N1, N2) inside the mask, in cycles a pixel."""
    noise = (draws - draws.mean(0)) * ndimage.gaussian_filter(mask.astype(np.float32), 2)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(0)
    radius = np.hypot(np.fft.fftfreq(mask.shape[0])[:, None], np.fft.fftfreq(mask.shape[1])[None])
    return float((radius * power).sum() / power.sum())


def places_for(mask: Mask) -> list[tuple[int, int]]:
    """Up to six places well inside the mask and 40 px apart, the deepest first."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    places: list[tuple[int, int]] = []
    while len(places) < _PLACES and depth.max() >= _RIM:
        row, column = (int(index) for index in np.unravel_index(int(np.argmax(depth)), depth.shape))
        places.append((row, column))
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        depth[(rows - row) ** 2 + (columns - column) ** 2 < _DISTANCE**2] = 0
    return places


def _planted(shape: tuple[int, ...], places: list[tuple[int, int]], size: float, sigma: float) -> Array:
    """Discs of d' 8 in the added noise, of both signs in turn."""
    contrast = contrast_for(DETECTABILITY, size, sigma=sigma)
    added = np.zeros(shape, np.float32)
    for index, place in enumerate(places):
        added += np.float32(contrast * (-1) ** index) * disc_at((shape[0], shape[1]), place, size)
    return added


def _fields(case: Case, draws: int) -> Array:
    """(draws, S, N1, N2) CT noise fields of local sd 1."""
    stack = stack_of(case.reference.values, case.reference)
    axis = case.reference.geometry.in_plane_axes[0]
    spacing = case.reference.geometry.spacing_mm[axis]
    rng = np.random.default_rng(case.seed + 1)
    fields = [noise_fields(image, spacing, rng, count=draws, views=_VIEWS) for image in stack]
    return np.stack(fields, 1)


def _unstacked(stack: Array, like: Volume) -> Array:
    return np.asfortranarray(np.moveaxis(stack, 0, like.geometry.slice_axis).astype(np.float32))
