"""`medsr challenge`: restore scans, plant and remove lesions, and count what the gate finds."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.errors import MedsrError
from medsr.evaluate.cases import slab
from medsr.evaluate.challenge_album import Album
from medsr.evaluate.challenge_arms import OTHER_ARMS, Trial, run_arm
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.scans import read_folder
from medsr.io.encoding import as_stored
from medsr.models.bundle import Bundle, find_bundle
from medsr.physics import Identity, MagnitudeNoise, Operator, ProjectionNoise
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Judgement, Restoration
from medsr.restore.operators import declared_operator
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.validation.challenge import (
    Arm,
    Lesion,
    LocalNoise,
    Outcome,
    Twin,
    choose_places,
    found,
    magnitude_noise,
    plant,
    true_noise,
)
from medsr.validation.judge import judge
from medsr.validation.residual import Measurement
from medsr.volume import Volume

__all__ = ["ALL_ARMS", "Challenge", "ChallengePlan", "challenge_folders", "challenge_record", "challenge_scan"]

Log = Callable[[str], None]

DENOISE_LEVELS = tuple(level for level in LEVELS if level.task == "denoise")
ARMS: tuple[Arm, ...] = ("insertion", "omission")
ALL_ARMS = (*ARMS, "clean", *OTHER_ARMS)
"""Every arm by name, in the order of running."""


@dataclass(frozen=True, slots=True)
class ChallengePlan:
    """What is planted where.

    Parameters
    ----------
    levels : degradations of insertion, omission and clean twins: denoising.
    dprimes : detectability of the lesions in the degraded scan.
    diameter : of the lesions, in pixels.
    places : lesions a modality, level, arm and d', shared among its scans.
    slices : of the middle of each scan.
    arms : of :data:`ALL_ARMS`; insertion and omission need the clean twins, which are always made.
    """

    levels: tuple[Level, ...] = DENOISE_LEVELS
    dprimes: tuple[float, ...] = (10.0, 8.0)
    diameter: float = 8.0
    places: int = 50
    slices: int = 4
    arms: tuple[str, ...] = ALL_ARMS


@dataclass(slots=True)
class Challenge:
    """All outcomes, clean twins and trials of other arms, and the scans that were left out with the reason.

    judged : modality, pixels and CPU seconds of judgements of clean twins; album : the worst places.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    twins: list[Twin] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    bundles: dict[str, str] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    judged: list[tuple[str, int, float]] = field(default_factory=list)
    album: Album = field(default_factory=Album)


def challenge_folders(
    folders: Sequence[Path],
    *,
    plan: ChallengePlan,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    bundles: Sequence[Bundle] = (),
    log: Log,
) -> Challenge:
    """Challenge bundles on every scan of some folders that lies in their domain.

    Parameters
    ----------
    only, skip : beginnings of scan names to take alone, to leave out.
    bundles : one a modality; the installed regressors by default.
    """
    result = Challenge()
    scans = list(_scans(folders, only=only, skip=skip, bundles=bundles, result=result))
    for line in result.left_out:
        log(f"left out {line}")
    by_modality = {name: [scan for scan in scans if scan[1].modality == name] for name in ("MR", "CT")}
    for modality, chosen in by_modality.items():
        shares = _shares(plan.places, len(chosen))
        for (name, volume, subject, bundle), places in zip(chosen, shares, strict=True):
            result.bundles[modality] = f"{bundle.name} {bundle.version} {bundle.sha256[:12]}"
            _other_arms(name, volume, subject, max(1, places), plan=plan, bundle=bundle, result=result, log=log)
            for level in plan.levels if set(plan.arms) & {*ARMS, "clean"} else ():
                if level.modality == modality:
                    outcomes, twin = challenge_scan(
                        name, volume, subject, level, places, plan=plan, bundle=bundle, result=result
                    )
                    result.outcomes += outcomes
                    result.twins.append(twin)
                    hits = sum(item.found for item in outcomes)
                    log(f"{name}, {level.name}: {hits} of {len(outcomes)} found, {twin.findings} findings on "
                        f"{twin.slices} clean slices")  # fmt: skip
    return result


def _other_arms(
    name: str,
    volume: Volume,
    subject: str,
    places: int,
    *,
    plan: ChallengePlan,
    bundle: Bundle,
    result: Challenge,
    log: Log,
) -> None:
    for arm in (arm for arm in plan.arms if arm in OTHER_ARMS):
        try:
            trials = run_arm(arm, name, _middle(volume, plan.slices), subject, bundle=bundle, places=places)
        except MedsrError as error:
            result.left_out.append(f"{name}, arm {arm}: {error.code}")
            continue
        result.trials += trials
        log(f"{name}, arm {arm}: right in {sum(trial.right for trial in trials)} of {len(trials)}")


def challenge_scan(
    name: str,
    volume: Volume,
    subject: str,
    level: Level,
    places: int,
    *,
    plan: ChallengePlan,
    bundle: Bundle,
    result: Challenge | None = None,
) -> tuple[list[Outcome], Twin]:
    """One scan at one level: a clean twin, and every arm at every d' on a second, independent draw of the noise."""
    reference = _middle(volume, plan.slices)
    untouched = _restored(reference, level, _seed(subject, level, "clean"), bundle)
    kept = result if result is not None else Challenge()
    started = time.process_time()
    judgement = judge(untouched)
    kept.judged.append((volume.modality, untouched.measured.values.size, time.process_time() - started))
    twin = _twin(judgement, untouched, name=name, subject=subject, level=level)
    _show_accused(kept.album, f"{name}, {level.name}", judgement, untouched)
    if not set(plan.arms) & set(ARMS):
        return [], twin
    clean = _restored(reference, level, _seed(subject, level, "planted"), bundle)
    noise = _noise(reference, clean)
    outcomes: list[Outcome] = []
    for arm in (arm for arm in ARMS if arm in plan.arms):
        for dprime in plan.dprimes:
            seed = _seed(subject, level, f"{arm} {dprime:g}")
            lesions = _lesions(clean, noise, places, arm, dprime, plan.diameter, seed)
            if not lesions:
                continue
            candidate = _inserted(clean, lesions) if arm == "insertion" else _omitted(reference, clean, lesions)
            findings = judge(candidate).findings
            outcomes += [
                Outcome(name, subject, volume.modality, level.name, arm, dprime, lesion.diameter,
                        1 if lesion.contrast > 0 else -1, found(lesion, findings, candidate))
                for lesion in lesions
            ]  # fmt: skip
            for lesion, outcome in zip(lesions, outcomes[-len(lesions) :], strict=True):
                if not outcome.found:
                    title = f"{name}, {level.name}: {arm} of d' {dprime:g} not found"
                    kept.album.offer(dprime, title, candidate, lesion.slice_index, lesion.place)
    return outcomes, twin


def _show_accused(album: Album, what: str, judgement: Judgement, made: Restoration) -> None:
    """Findings on a clean twin are false; the strongest are shown."""
    axis = made.geometry.slice_axis
    for finding in judgement.findings:
        middle = [(low + high) // 2 for low, high in zip(*finding.box_voxel, strict=True)]
        row, column = (middle[a] for a in made.geometry.in_plane_axes)
        title = f"{what}: clean, {finding.type} d' {finding.dprime:.1f}"
        album.offer(finding.dprime, title, made, min(middle[axis], made.geometry.shape[axis] - 1), (row, column))


def challenge_record(challenge: Challenge, plan: ChallengePlan) -> dict[str, object]:
    """Everything as JSON values."""
    return {
        "bundles": challenge.bundles,
        "plan": {**asdict(plan), "levels": [level.name for level in plan.levels]},
        "outcomes": [asdict(item) for item in challenge.outcomes],
        "twins": [asdict(item) for item in challenge.twins],
        "trials": [{name: _json(value) for name, value in asdict(item).items()} for item in challenge.trials],
        "left_out": challenge.left_out,
    }


def _json(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _scans(
    folders: Sequence[Path],
    *,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    bundles: Sequence[Bundle],
    result: Challenge,
) -> Iterator[tuple[str, Volume, str, Bundle]]:
    for folder in folders:
        scans, refused = read_folder(folder)
        result.left_out += [f"{entry.name}: {entry.code}" for entry in refused]
        for scan in scans:
            named = [item for item in bundles if item.modality == scan.volume.modality]
            bundle = named[0] if named else find_bundle(scan.volume.modality, task="denoise")
            if (only and not scan.name.startswith(only)) or (skip and scan.name.startswith(skip)):
                reason = "not asked for"
            elif bundles and not named:
                reason = "no bundle of this modality is challenged"
            elif scan.role != "domain":
                reason = scan.note or f"stands apart as {scan.role}"
            else:
                reason = _outside(scan.volume, bundle)
            if reason:
                result.left_out.append(f"{scan.name}: {reason}")
            else:
                yield scan.name, scan.volume, scan.subject, bundle


def _middle(volume: Volume, slices: int) -> Volume:
    count = volume.geometry.shape[volume.geometry.slice_axis]
    first = max(0, count // 2 - slices // 2)
    return slab(volume, first, min(count, first + slices))


def _outside(volume: Volume, bundle: Bundle) -> str:
    """Why a scan lies outside the bundle's domain; empty if it lies inside."""
    spacing = max(volume.geometry.spacing_mm[axis] for axis in volume.geometry.in_plane_axes)
    bounds = bundle.domain.get("in_plane_spacing_mm")
    if isinstance(bounds, list) and not bounds[0] * 0.99 <= spacing <= bounds[1] * 1.01:
        return f"{spacing:.2f} mm in plane, {bundle.name} covers {bounds[0]} to {bounds[1]} mm"
    return ""


def _shares(total: int, count: int) -> list[int]:
    return [total // count + (index < total % count) for index in range(count)] if count else []


def _seed(subject: str, level: Level, what: str) -> int:
    return int(hashlib.sha256(f"challenge {subject} {level.name} {what}".encode()).hexdigest()[:7], 16)


def _restored(reference: Volume, level: Level, seed: int, bundle: Bundle) -> Restoration:
    """A degraded and restored scan with the values that would be written."""
    request = DegradeRequest(level.task, scale=level.scale, noise=level.noise, dose=level.dose, seed=seed)
    measured = degrade(reference, request)
    result = restore(measured, RestoreRequest(level.task, scale=level.scale, method=bundle.method), bundle=bundle)
    return replace(result, image=_written(result.image, result))


def _written(image: npt.NDArray[np.float32], restoration: Restoration) -> npt.NDArray[np.float32]:
    stored = as_stored(image, restoration.geometry, restoration.measured, sigma=restoration.noise.sigma)
    return stored.values


def _twin(judgement: Judgement, restoration: Restoration, *, name: str, subject: str, level: Level) -> Twin:
    scans = [item.value for item in judgement.channels if item.name.startswith("R4") and item.value is not None]
    held = [item.name for item in judgement.channels if item.status == "held"]
    return Twin(
        scan=name,
        subject=subject,
        modality=restoration.measured.modality,
        level=level.name,
        slices=restoration.measured.geometry.shape[restoration.measured.geometry.slice_axis],
        findings=len(judgement.findings),
        largest_z=max(scans, default=float("nan")),
        held=judgement.error or ", ".join(held),
    )


def _noise(reference: Volume, clean: Restoration) -> LocalNoise:
    """What the degradation put in: the declared sigma for MR, the difference to the reference for CT."""
    axis = reference.geometry.slice_axis
    operator = _declared(clean.measured)
    first = np.moveaxis(reference.values, axis, 0)
    if isinstance(operator.noise, ProjectionNoise):
        second = np.moveaxis(clean.measured.values, axis, 0)
        return true_noise(
            np.ascontiguousarray(first), np.ascontiguousarray(second), share=1 - operator.noise.dose_fraction
        )
    if isinstance(operator.noise, MagnitudeNoise):
        return magnitude_noise(first, operator.noise)
    raise ValueError(f"no level of the challenge adds {operator.noise.kind} noise")


def _declared(measured: Volume) -> Operator:
    operator = declared_operator(measured)
    if operator is None or not isinstance(operator.linear, Identity):
        raise ValueError("a challenge restores scans that it degraded with noise")
    return operator


def _lesions(
    clean: Restoration, noise: LocalNoise, count: int, arm: Arm, dprime: float, diameter: float, seed: int
) -> list[Lesion]:
    """Lesions at places drawn for this arm, signs in turn; where no darker lesion fits above zero, a brighter one."""
    rng = np.random.default_rng(seed)
    measurement = Measurement(clean)
    masks = [measurement.mask(index) for index in range(measurement.count)]
    places = choose_places(masks, count, diameter, rng)
    signs = np.where(rng.permutation(len(places)) % 2 == 0, 1, -1)
    side = 1 if arm == "insertion" else -1  # what the image has too much of, the scan of an omission has too little of
    lesions = []
    for (index, place), sign in zip(places, signs, strict=True):
        for towards in (int(sign), -int(sign)):
            change = noise.change(dprime, diameter, index, place, sign=towards)
            if change is not None:
                lesions.append(Lesion(index, place, diameter, side * change))
                break
    return lesions


def _inserted(clean: Restoration, lesions: Sequence[Lesion]) -> Restoration:
    """The denoised volume with lesions that the scan never showed, as `medsr validate` receives a candidate."""
    image = plant(clean.image, lesions, clean.geometry.slice_axis)
    return replace(clean, image=_written(image, clean), estimate=None, model=None)


def _omitted(reference: Volume, clean: Restoration, lesions: Sequence[Lesion]) -> Restoration:
    """The denoised volume beside a scan that shows lesions which it lacks: same noise, lesions in the truth."""
    axis = reference.geometry.slice_axis
    inverse = [replace(lesion, contrast=-lesion.contrast) for lesion in lesions]
    operator = _declared(clean.measured)
    if isinstance(operator.noise, MagnitudeNoise):
        seen = replace(reference, values=plant(reference.values, inverse, axis))
        seed = int(str((clean.measured.degradation or {})["seed"]))
        request = DegradeRequest("denoise", noise=operator.noise.sigma, seed=seed)
        values = degrade(seen, request).values
    else:
        values = plant(clean.measured.values, inverse, axis)
    measured = replace(clean.measured, values=values)
    return replace(clean, measured=measured, estimate=None, model=None)
