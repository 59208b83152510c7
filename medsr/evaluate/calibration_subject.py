"""One subject through a calibration: restored once, judged clean, and judged with the one lesion that is its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from medsr.errors import MedsrError
from medsr.evaluate.calibration_plan import CalibrationLevel, Member, readable, request_for, share_of
from medsr.evaluate.cases import slab, stack_of, supported
from medsr.evaluate.planting import (
    declared,
    fine_place,
    invented,
    left_out,
    lesion_change,
    one_slice,
    restored,
    scan_noise,
)
from medsr.models.bundle import Bundle
from medsr.physics import MagnitudeNoise
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.records import Judgement, Restoration
from medsr.release.verdict import decide
from medsr.restore.request import RestoreRequest
from medsr.validation.calibration import PlannedLesion, lesion_of
from medsr.validation.calibration_record import Binding, binding_of
from medsr.validation.challenge import Lesion, LocalNoise
from medsr.validation.judge import judge
from medsr.validation.policy import Policy
from medsr.validation.residual import Measurement
from medsr.volume import Volume

__all__ = ["SALT", "Entry", "Shown", "entries_of"]

SALT = "medsr calibration 1"
"""Name of the protocol: another one draws other lesions."""

_CONTEXT = 2
_RIM = 3
_TRIES = 300
_INNER = (0.15, 0.85)
_BESIDE = 1


@dataclass(frozen=True, slots=True)
class Shown:
    """What the gate made of one image, before any threshold of a calibration.

    limits : the channels' own thresholds.
    reasons : why every policy would hold it whatever the score; spread : of R4's scan in noise sd.
    """

    values: Mapping[str, float | None]
    limits: Mapping[str, float]
    uncalibrated: tuple[str, ...]
    reasons: tuple[str, ...]
    spread: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A subject (or, of fold A, one of its slices) at one level; without `clean` it was left out, `note` says why."""

    fold: str
    subject: str
    file: str
    sha256: str
    level: str
    record: str = ""
    clean: Shown | None = None
    planted: Shown | None = None
    lesion: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A slab before and after, and the slice of it that is judged."""

    reference: Volume
    clean: Restoration
    request: DegradeRequest
    index: int
    noise: LocalNoise


def entries_of(
    fold: str,
    member: Member,
    level: CalibrationLevel,
    *,
    options: RestoreRequest,
    bundle: Bundle,
    policies: Sequence[Policy],
    stated: bool,
) -> list[tuple[Entry, Binding | None]]:
    """Restore a slab and judge: of fold A its middle slices, of fold B the one slice and lesion drawn by the id.

    Each comes with what a record of it is bound to, if it lies in a stratum.
    """
    entry = Entry(fold, hashed(member.subject), member.name, member.sha256, level.name)
    volume = readable(member)
    if isinstance(volume, str):
        return [(replace(entry, note=volume), None)]
    if volume.modality != level.modality:
        return [(replace(entry, note=f"is {volume.modality}"), None)]
    low, high = _INNER
    place = 0.5 if fold == "A" else low + (high - low) * share_of(member.subject, "slice")
    try:
        case = _case(volume, member.subject, level, place, options=options, bundle=bundle, stated=stated)
    except MedsrError as error:
        return [(replace(entry, note=error.code), None)]
    count = case.clean.measured.geometry.shape[case.clean.measured.geometry.slice_axis]
    beside = _BESIDE if fold == "A" else 0
    chosen = range(max(0, case.index - beside), min(count, case.index + beside + 1))
    found: list[tuple[Entry, Binding | None]] = []
    for index in chosen:
        clean = one_slice(case.clean, index)
        binding = binding_of(clean)
        if binding is None:
            return [(replace(entry, note="lies in no stratum"), None)]
        judged = replace(entry, record=binding.name, clean=_shown(judge(clean), clean, policies))
        found.append((judged if fold == "A" else _with_lesion(judged, case, member.subject, policies), binding))
    return found


def _with_lesion(entry: Entry, case: _Case, subject: str, policies: Sequence[Policy]) -> Entry:
    plan = lesion_of(subject, salt=f"{SALT} {entry.level}")
    lesion = _placed(case, plan, subject)
    if lesion is None:
        return replace(entry, clean=None, record="", note="no room for a lesion")
    planted = _planted(case, plan, lesion)
    facts = {
        "arm": plan.arm,
        "sign": 1 if lesion.contrast > 0 else -1,
        "dprime": plan.dprime,
        "diameter_px": plan.diameter,
        "contrast": lesion.contrast,
    }
    return replace(entry, planted=_shown(judge(planted), planted, policies), lesion=facts)


def hashed(subject: str) -> str:
    """A subject's id as a record keeps it."""
    return hashlib.sha256(subject.encode()).hexdigest()[:12]


def _case(
    volume: Volume,
    subject: str,
    level: CalibrationLevel,
    place: float,
    *,
    options: RestoreRequest,
    bundle: Bundle,
    stated: bool,
) -> _Case:
    count = volume.geometry.shape[volume.geometry.slice_axis]
    middle = min(count - 1, int(place * count))
    first, last = max(0, middle - _CONTEXT), min(count, middle + _CONTEXT + 1)
    reference = slab(volume, first, last, multiple=4 if level.scale else 1)
    if level.scale and level.modality == "MR":
        reference = supported(reference)
    request = request_for(level, subject)
    operator = declared(degrade(reference, request)) if not stated else None
    clean = restored(reference, request, options, bundle, stated=stated)
    operator = operator or clean.operator
    if isinstance(operator.noise, MagnitudeNoise):
        request = replace(request, noise=operator.noise.sigma)
    return _Case(reference, clean, request, middle - first, scan_noise(reference, clean, operator))


def _placed(case: _Case, plan: PlannedLesion, subject: str) -> Lesion | None:
    """The lesion at the first place, in an order drawn by the id, that can take it; of the other sign if none can."""
    scale = case.clean.geometry.shape[case.clean.geometry.in_plane_axes[0]] / case.noise.sigma.shape[1]
    mask = Measurement(case.clean).mask(case.index)
    inner = ndimage.binary_erosion(mask, iterations=int(plan.diameter / scale / 2) + _RIM)
    candidates = np.argwhere(inner)
    order = np.random.default_rng(int(share_of(subject, "place") * 2**32)).permutation(len(candidates))[:_TRIES]
    signal = stack_of(case.reference.values, case.reference)
    side = 1 if plan.arm == "insertion" else -1  # what an image has too much of, the scan of an omission has too little
    for towards in (plan.sign, -plan.sign):
        for row, column in candidates[order].tolist():
            where = (case.index, (row, column))
            change = lesion_change(
                case.noise, case.clean, (plan.dprime, plan.diameter), where, signal=signal, sign=towards
            )
            if change is not None and math.isfinite(change):
                return Lesion(case.index, fine_place(case.clean, (row, column)), plan.diameter, side * change)
    return None


def _planted(case: _Case, plan: PlannedLesion, lesion: Lesion) -> Restoration:
    if plan.arm == "insertion":
        return one_slice(invented(case.clean, [lesion]), case.index)
    return one_slice(left_out(case.reference, case.clean, [lesion], case.request), case.index)


def _shown(judgement: Judgement, restoration: Restoration, policies: Sequence[Policy]) -> Shown:
    """The reasons that are common to no policy are none: what one of them releases counts as released."""
    reasons: list[str] = []
    for policy in policies:
        verdict = decide(
            judgement,
            policy,
            task=restoration.task,
            slice_axis=restoration.geometry.slice_axis,
            method=restoration.model.method if restoration.model else None,
        )
        found = [reason for reason in verdict.reasons if reason != "uncalibrated"]
        if not found:
            reasons = []
            break
        reasons += found
    scans = [item.spread for item in judgement.channels if item.name == "R4"]
    return Shown(
        values={item.name: _finite(item.value) for item in judgement.channels},
        limits={item.name: item.threshold for item in judgement.channels if item.threshold is not None},
        uncalibrated=tuple(item.name for item in judgement.channels if item.uncalibrated),
        reasons=tuple(dict.fromkeys(reasons)),
        spread=_finite(scans[0]) if scans else None,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
