"""The arms of the challenge beside insertion and omission: what goes in, what no scan sees, and what was told wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.evaluate.cases import slab, stack_of, supported
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.planting import declared, input_side, lesion_change, restored, scan_noise
from medsr.models.bundle import Bundle
from medsr.physics import MagnitudeNoise
from medsr.physics.lesions import disc
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Restoration
from medsr.restore.request import RestoreRequest
from medsr.validation.challenge import Lesion, choose_places, found, plant
from medsr.validation.judge import judge
from medsr.validation.r1_global import LARGEST_BIAS_HU, LARGEST_BIAS_SHARE
from medsr.validation.r3_audit import audit
from medsr.validation.r4_scan import Scan
from medsr.validation.residual import Measurement, Residuals
from medsr.validation.spectrum import Spectrum, radial_spectrum
from medsr.volume import Volume

__all__ = ["OTHER_ARMS", "Trial", "run_arm"]

Array = npt.NDArray[np.float32]

SHIFT_PX, WIDER, GAIN = 0.25, 1.25, 1.02
"""The wrong operators: a quarter of a measured pixel, a point spread a quarter wider, two per cent of gain."""

_INPUT_LEVELS = ("MR denoise 5 %", "CT quarter dose")
_NULL_SCALES = (2.0, 4.0)
_NOISE, _DOSE = "2%", 0.5
_FWHM = 2 * math.sqrt(2 * math.log(2))
_CNR, _NULL_PX = 4.0, 3.0
_MOST_PLACES = 40
_FACTORS = (0.8, 0.9, 1.1, 1.2)


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt: which arm, what was done, whether the gate did right, and the figure that it read.

    truth : what the figure should be, where there is a truth.
    """

    arm: str
    scan: str
    subject: str
    modality: str
    what: str
    right: bool
    value: float = math.nan
    truth: float = math.nan
    count: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    name: str
    subject: str
    volume: Volume
    bundle: Bundle

    def trial(self, arm: str, what: str, *, right: bool, value: float = math.nan, truth: float = math.nan) -> Trial:
        return Trial(arm, self.name, self.subject, self.volume.modality, what, right, value, truth)


def run_arm(arm: str, name: str, volume: Volume, subject: str, *, bundle: Bundle, places: int) -> list[Trial]:
    """One arm on one scan (the slices that are to be judged).

    Raises
    ------
    KeyError : for an arm that is not built.
    """
    return OTHER_ARMS[arm](_Scan(name, subject, volume, bundle), places)


def _input(scan: _Scan, places: int) -> list[Trial]:
    """Lesions in the patient: kept, or lost with a word, or lost in silence (V2)."""
    level = next(item for item in LEVELS if item.name in _INPUT_LEVELS and item.modality == scan.volume.modality)
    request, options = _request(level, _seed(scan, "input")), RestoreRequest(level.task, threads=1)
    clean = restored(scan.volume, request, options, scan.bundle)
    operator = declared(clean.measured)
    if isinstance(operator.noise, MagnitudeNoise):
        request = replace(request, noise=operator.noise.sigma)
    noise = scan_noise(scan.volume, clean, operator)
    signal, axis = stack_of(scan.volume.values, scan.volume), scan.volume.geometry.slice_axis
    trials = []
    for diameter in (8.0, 4.0):
        rng = np.random.default_rng(_seed(scan, f"input {diameter:g}"))
        lesions = []
        for number, where in enumerate(choose_places(_masks(clean), places, diameter, rng)):
            for sign in (1, -1) if number % 2 else (-1, 1):
                change = lesion_change(noise, clean, (8.0, diameter), where, signal=signal, sign=sign)
                if change is not None:
                    # Of the image's error: an image that loses a brighter lesion is too dark there.
                    lesions.append(Lesion(where[0], where[1], diameter, -change))
                    break
        if not lesions:
            continue
        after = input_side(scan.volume, clean, lesions, request, options, scan.bundle)
        findings = judge(after).findings
        for lesion in lesions:
            kept = _kept(clean.image, after.image, lesion, axis)
            silent = kept < 0.5 and not found(lesion, findings, after)
            trials.append(scan.trial("input", f"d' 8, {diameter:g} px", right=not silent, value=kept))
    return trials


def _null(scan: _Scan, places: int) -> list[Trial]:  # noqa: ARG001 - every arm is called alike
    """Content that no scan sees moves no range channel (V4); the plain disc shows that the test would see it.

    Each place is scored with a disc under one draw of the noise and without under another, and the other way round.
    """
    trials = []
    for factor in _NULL_SCALES:
        volume = _coarsened(scan.volume)
        options = RestoreRequest("superres", scale=factor, threads=1)
        draws = [
            restored(volume, _noisy(volume, factor, _seed(scan, f"null {factor:g} {draw}")), options, scan.bundle)
            for draw in range(2)
        ]
        lesions = _null_lesions(draws[0], _MOST_PLACES, _seed(scan, f"null {factor:g}"))
        if not lesions:
            continue
        plain = plant(np.zeros(draws[0].geometry.shape, np.float32), lesions, draws[0].geometry.slice_axis)
        seen = draws[0].operator.linear.project(torch.from_numpy(np.ascontiguousarray(plain))).numpy()
        hidden = np.asfortranarray(plain - seen)
        for first, second in (draws, draws[::-1]):
            trials += _against(scan, f"x{factor:g}", lesions, (first, second), (hidden, plain))
        trials += _paired(scan, draws[0], hidden, factor)
    return trials


def _against(
    scan: _Scan,
    level: str,
    lesions: Sequence[Lesion],
    draws: tuple[Restoration, Restoration],
    contents: tuple[Array, Array],
) -> list[Trial]:
    """|z| at each place with content (null, then plain) in the first draw, against the untouched second draw."""
    first, second = draws
    spectrum = _spectrum(first)
    maps = [_best(first, first.image + part, spectrum) for part in contents]
    other = _best(second, second.image, spectrum)
    trials = []
    for number, lesion in enumerate(lesions):
        place = _coarse(first, lesion)
        score = _score(other, lesion.slice_index, place)
        for what, planted in zip(("null disc", "plain disc"), maps, strict=True):
            value = _score(planted, lesion.slice_index, place)
            right = value > score or (value == score and number % 2 == 0)
            trials.append(scan.trial("null", f"{level} {what}", right=right, value=value, truth=score))
    return trials


def _paired(scan: _Scan, clean: Restoration, hidden: Array, factor: float) -> list[Trial]:
    """The same scan judged with and without null content: range values are the same to 1e-5, N1 may rise."""
    changed = np.asfortranarray(clean.image + hidden)
    before, after = (judge(replace(clean, image=image, estimate=image)) for image in (clean.image, changed))
    values = [{item.name: item.value for item in judgement.channels} for judgement in (before, after)]
    worst = 0.0
    for name in ("R1", "R2", "R3", "R4"):
        one, two = (found.get(name) for found in values)
        if one is not None and two is not None:
            worst = max(worst, abs(one - two) / max(1.0, abs(one)))
    trials = [scan.trial("null", f"x{factor:g} range scores, paired", right=worst <= 1e-5, value=worst)]
    one, two = (found.get("N1") for found in values)
    if one is not None and two is not None:
        trials.append(scan.trial("null", f"x{factor:g} N1 rises", right=two > one, value=two, truth=one))
    return trials


def _operator(scan: _Scan, places: int) -> list[Trial]:  # noqa: ARG001 - every arm is called alike
    """Scans that a wrong operator made, beside the image of a right one: does R3 read it (V6)?"""
    volume = _coarsened(scan.volume)
    options = RestoreRequest("superres", scale=2.0, threads=1)
    clean = restored(volume, _noisy(volume, 2.0, _seed(scan, "operator")), options, scan.bundle)
    measured = degrade(volume, _noisy(volume, 2.0, _seed(scan, "operator, again")))
    bare = degrade(volume, DegradeRequest("superres", scale=2.0)).values
    trials = []
    for what, change, truth in _WRONG:
        values = np.asfortranarray(measured.values + _changed(bare, change, clean) - bare).astype(np.float32)
        if clean.measured.modality == "MR":
            values = np.abs(values)
        made = replace(clean, measured=replace(clean.measured, values=values))
        true = np.asfortranarray(volume.values)
        for whose, image in (("", made), (", true image", replace(made, image=true, estimate=true))):
            found_by = _audit_of(image)
            if found_by is not None:
                reading, held = found_by
                value, right = reading.get(what, math.nan), held == (what != "right")
                trials.append(scan.trial("operator", what + whose, right=right, value=value, truth=truth))
    return trials


def _noise(scan: _Scan, places: int) -> list[Trial]:  # noqa: ARG001 - every arm is called alike
    """A noise level that is told wrong: is it noticed at 20 %, and does it accuse nobody at 10 % (V7)?"""
    level = next(item for item in LEVELS if item.name in _INPUT_LEVELS and item.modality == scan.volume.modality)
    options = RestoreRequest(level.task, threads=1)
    clean = restored(scan.volume, _request(level, _seed(scan, "noise")), options, scan.bundle)
    trials = []
    for factor in _FACTORS:
        told = clean.noise.sigma * factor
        operator = clean.operator
        if isinstance(operator.noise, MagnitudeNoise):
            operator = replace(operator, noise=replace(operator.noise, sigma=told))
        wrong = replace(clean.noise, sigma=told, provenance="user")
        judgement = judge(replace(clean, operator=operator, noise=wrong))
        held = [item.name for item in judgement.channels if item.status == "held"]
        noticed = "noise.unverified" in judgement.codes or bool(held) or judgement.error is not None
        flags = float(len(judgement.findings))
        slices = clean.measured.geometry.shape[clean.measured.geometry.slice_axis]
        trial = scan.trial("noise", f"sigma {100 * (factor - 1):+.0f} %", right=noticed, value=flags)
        trials.append(replace(trial, count=slices))
    return trials


OTHER_ARMS: dict[str, Callable[[_Scan, int], list[Trial]]] = {
    "input": _input,
    "null": _null,
    "operator": _operator,
    "noise": _noise,
}
"""Every arm that is run scan by scan, by name."""

_WRONG = (
    ("right", "right", math.nan),
    ("shift .25 px", "shift", SHIFT_PX),
    ("PSF +25 %", "blur", WIDER - 1),
    ("gain +2 %", "gain", GAIN - 1),
)


def _changed(values: Array, change: str, like: Restoration) -> Array:
    """Noise-free measurements as a wrong operator gives them, in plane."""
    stack = np.moveaxis(values, like.geometry.slice_axis, 0).astype(np.float64)
    if change == "shift":
        stack = np.stack([np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(p), (SHIFT_PX, 0))).real for p in stack])
    elif change == "blur":
        sigma = math.sqrt(WIDER**2 - 1) / _FWHM
        stack = np.stack([ndimage.gaussian_filter(plane, sigma) for plane in stack])
    elif change == "gain":
        stack = stack * GAIN
    return np.moveaxis(stack, 0, like.geometry.slice_axis).astype(np.float32)


def _audit_of(made: Restoration) -> tuple[dict[str, float], bool] | None:
    """R3's readings of the estimate by the wrong operator that they tell, and whether it holds."""
    measurement = Measurement(made)
    image = made.image if made.estimate is None else made.estimate
    fit = audit(list(Residuals(measurement, image).slices()), identity=False)
    if fit is None:
        return None
    q = ((made.measured.degradation or {}).get("reference") or {}).get("q", 1.0)  # type: ignore[attr-defined]  # a record
    largest = LARGEST_BIAS_HU if made.measured.modality == "CT" else LARGEST_BIAS_SHARE * float(q)
    result = fit.result("R3", largest_offset=largest, identity=False, declared=True)
    readings = {"shift .25 px": math.hypot(*fit.shift_px), "PSF +25 %": fit.blur, "gain +2 %": fit.gain}
    return readings, result.status == "held"


def _null_lesions(clean: Restoration, count: int, seed: int) -> list[Lesion]:
    """Discs of 3 px and CNR 4 on the restored grid, at measured places that are free; signs in turn."""
    rng = np.random.default_rng(seed)
    contrast = _CNR * max(clean.noise.sigma, 1e-3)
    first, second = clean.geometry.in_plane_axes
    coarse, fine = clean.measured.geometry.shape, clean.geometry.shape
    lesions = []
    for number, (index, place) in enumerate(choose_places(_masks(clean), count, _NULL_PX, rng)):
        row, column = (int((at + 0.5) * fine[a] / coarse[a]) for at, a in zip(place, (first, second), strict=True))
        lesions.append(Lesion(index, (row, column), _NULL_PX, contrast if number % 2 else -contrast))
    return lesions


def _best(made: Restoration, image: Array, spectrum: Spectrum) -> dict[int, Array]:
    """|z| maps of an image that takes the place of the estimate, by slice."""
    measurement = Measurement(made)
    residuals = Residuals(measurement, np.asfortranarray(image))
    scan = Scan(measurement.plane_shape, spectrum, level_air=made.measured.modality == "MR")
    return {item.index: np.abs(scan.scan(item).best) for item in residuals.slices()}


def _spectrum(made: Restoration) -> Spectrum:
    measurement = Measurement(made)
    shape = measurement.plane_shape
    if made.measured.modality == "MR":
        return np.ones((shape[0], shape[1] // 2 + 1))
    return radial_spectrum(((item.u, item.mask) for item in Residuals(measurement, made.image).slices()), shape)


def _score(maps: dict[int, Array], index: int, place: tuple[int, int]) -> float:
    rows, columns = (slice(max(0, at - 2), at + 3) for at in place)
    return float(maps[index][rows, columns].max())


def _coarse(made: Restoration, lesion: Lesion) -> tuple[int, int]:
    fine, coarse = made.geometry, made.measured.geometry
    row, column = (
        min(coarse.shape[a] - 1, int((at + 0.5) * coarse.shape[a] / fine.shape[a]))
        for at, a in zip(lesion.place, fine.in_plane_axes, strict=True)
    )
    return row, column


def _kept(before: Array, after: Array, lesion: Lesion, axis: int) -> float:
    """<x1 - x0, L> / <L, L>, with L as it was put into the patient."""
    small = disc(lesion.diameter)
    reach = small.shape[0] // 2
    row, column = lesion.place
    place: list[int | slice] = [slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)]
    place.insert(axis, lesion.slice_index)
    difference = (after[tuple(place)] - before[tuple(place)]).astype(np.float64)
    return float((difference * small).sum() / (-lesion.contrast * float((small.astype(np.float64) ** 2).sum())))


def _masks(clean: Restoration) -> Sequence[npt.NDArray[np.bool_]]:
    measurement = Measurement(clean)
    return [measurement.mask(index) for index in range(measurement.count)]


def _coarsened(volume: Volume) -> Volume:
    """The slab as super-resolution takes it: a matrix that 4 divides, and for MR only measured frequencies."""
    part = slab(volume, 0, volume.geometry.shape[volume.geometry.slice_axis], multiple=4)
    return supported(part) if volume.modality == "MR" else part


def _noisy(volume: Volume, factor: float, seed: int) -> DegradeRequest:
    if volume.modality == "MR":
        return DegradeRequest("superres", scale=factor, noise=_NOISE, seed=seed)
    return DegradeRequest("superres", scale=factor, dose=_DOSE, seed=seed)


def _request(level: Level, seed: int) -> DegradeRequest:
    return DegradeRequest(level.task, scale=level.scale, noise=level.noise, dose=level.dose, seed=seed)


def _seed(scan: _Scan, what: str) -> int:
    import hashlib

    return int(hashlib.sha256(f"challenge {scan.subject} {what}".encode()).hexdigest()[:7], 16)
