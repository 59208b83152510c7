"""Which frames belong to one stack, and which stack is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medsr.errors import Refusal, UsageError
from medsr.io.dicom.frames import Frame, number_of, numbers_of, text_of
from medsr.io.text import shown

__all__ = ["Stack", "choose", "split"]

_SAME_PLACE_MM = 0.01
_SAME_DIRECTION = 1e-4
"""Cosines, and shares of a pixel spacing, that headers of one stack may differ by."""
_LISTED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames of one acquisition in one series, not yet in order. number counts from 1 in the order of the survey."""

    series_uid: str
    frames: tuple[Frame, ...]
    number: int = 0

    @property
    def first(self) -> Frame:
        """Any frame of it: what all share can be asked of this one."""
        return self.frames[0]

    @property
    def thickness_mm(self) -> float:
        """Slice thickness, infinite where it is not stated."""
        return number_of(self.first.get("SliceThickness")) or float("inf")


def split(frames: Sequence[Frame]) -> list[Stack]:
    """Stacks by what a volume must share, then by what sets slices at one place apart.

    Acquisition number, time and the later values of ImageType differ within many a single volume (step-and-shoot
    CT, interleaved MR), so they only part frames that would otherwise lie at the same position.

    Raises
    ------
    Refusal : ``identity.mixed``, if one series holds several patients, studies or frames of reference.
    """
    stacks: list[Stack] = []
    for uid, members in _grouped(frames, lambda frame: text_of(frame.get("SeriesInstanceUID"))).items():
        _check_identity(members)
        for group in _grouped(members, _hard_key).values():
            for plane in _alike(group):
                stacks += [Stack(str(uid), tuple(part)) for part in _parted(plane, list(_SOFT))]
    ordered = sorted(stacks, key=_in_survey)
    return [Stack(stack.series_uid, stack.frames, index + 1) for index, stack in enumerate(ordered)]


def choose(stacks: Sequence[Stack], pick: str | None) -> Stack:
    """The one stack, or the one that `pick` names: series UID, number, ``thinnest`` or ``longest``.

    Raises
    ------
    Refusal : ``series.several_stacks``, if nothing chooses between several.
    UsageError : ``series.pick``, if `pick` fits none.
    """
    if pick is None:
        fits = list(stacks)
    elif pick == "thinnest":
        fits = sorted(stacks, key=lambda stack: (stack.thickness_mm, -len(stack.frames), stack.number))[:1]
    elif pick == "longest":
        fits = sorted(stacks, key=lambda stack: (-len(stack.frames), stack.number))[:1]
    elif pick.isdigit():
        fits = [stack for stack in stacks if stack.number == int(pick)]
    else:
        fits = [stack for stack in stacks if stack.series_uid == pick]
    if not fits:
        raise UsageError("series.pick", f"none of {len(stacks)} stacks is {shown(pick)}")
    if len(fits) > 1:
        listed = ", ".join(f"{stack.number}: {len(stack.frames)} slices" for stack in fits[:_LISTED])
        more = f" and {len(fits) - _LISTED} more" if len(fits) > _LISTED else ""
        reason = _difference(fits)
        raise Refusal("series.several_stacks", f"{len(fits)} stacks differ in {reason} ({listed}{more})")
    return fits[0]


def _check_identity(frames: Sequence[Frame]) -> None:
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        values = {text_of(frame.get(keyword)) for frame in frames}
        if len(values) > 1:
            fact = f"{len(frames)} slices of one series hold {len(values)} values of {keyword}"
            raise Refusal("identity.mixed", fact)


_Key = Callable[[Frame], object]
_HARD: dict[str, _Key] = {
    "SOP class": lambda frame: frame.instance.sop_class,
    "matrix": lambda frame: (frame.form.rows, frame.form.columns),
    "pixel format": lambda frame: text_of(frame.get("PhotometricInterpretation")),
    "image type": lambda frame: _image_type(frame)[2:3],
    "echo time": lambda frame: number_of(frame.get("EchoTime")),
    "b-value": lambda frame: number_of(frame.get("DiffusionBValue")),
    "diffusion direction": lambda frame: numbers_of(frame.get("DiffusionGradientOrientation"), 3),
    "kernel": lambda frame: str(frame.get("ConvolutionKernel")),
}
_SOFT: dict[str, _Key] = {
    "image type": lambda frame: _image_type(frame)[3:],
    "time": lambda frame: number_of(frame.get("TemporalPositionIdentifier")),
    "acquisition": lambda frame: number_of(frame.get("AcquisitionNumber")),
    "stack": lambda frame: text_of(frame.get("StackID")),
    "acquisition time": lambda frame: text_of(frame.get("AcquisitionTime")),
}


def _hard_key(frame: Frame) -> tuple[object, ...]:
    return tuple(key(frame) for key in _HARD.values())


def _alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of one orientation and one pixel spacing, within tolerance: rounding would part what lies on its edge."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _same_plane(frame, group[0]):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _same_plane(frame: Frame, other: Frame) -> bool:
    turned = float(np.abs(frame.orientation - other.orientation).max())
    return turned <= _SAME_DIRECTION and bool(np.allclose(frame.spacing, other.spacing, rtol=_SAME_DIRECTION, atol=0))


def _parted(frames: list[Frame], keys: list[str]) -> list[list[Frame]]:
    if not keys or not _overlapping(frames):
        return [frames]
    groups = list(_grouped(frames, _SOFT[keys[0]]).values())
    return [part for group in groups for part in _parted(group, keys[1:])]


def _overlapping(frames: Sequence[Frame]) -> bool:
    normal = np.cross(*frames[0].orientation)
    places = np.sort([float(frame.position @ normal) for frame in frames])
    return bool((np.diff(places) < _SAME_PLACE_MM).any())


def _grouped(frames: Sequence[Frame], key: _Key) -> dict[object, list[Frame]]:
    groups: dict[object, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return groups


def _difference(stacks: Sequence[Stack]) -> str:
    if len({stack.series_uid for stack in stacks}) > 1:
        return "series"
    differing = [
        name for name, key in {**_SOFT, **_HARD}.items() if len({str(key(stack.first)) for stack in stacks}) > 1
    ]  # fmt: skip
    others = [stack.first for stack in stacks[1:]]
    if any(np.abs(frame.orientation - stacks[0].first.orientation).max() > _SAME_DIRECTION for frame in others):
        differing.append("orientation")
    if any(not np.allclose(frame.spacing, stacks[0].first.spacing, rtol=_SAME_DIRECTION, atol=0) for frame in others):
        differing.append("pixel spacing")
    return ", ".join(differing) or "position"


def _image_type(frame: Frame) -> tuple[str, ...]:
    value = frame.get("ImageType")
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value or ())  # type: ignore[attr-defined]  # a multi-value


def _in_survey(stack: Stack) -> tuple[float, str, float, tuple[float, ...]]:
    """By series number, then by the first image's number: an order that file names do not enter."""
    numbers = [number_of(frame.get("InstanceNumber")) for frame in stack.frames]
    first = min((number for number in numbers if number is not None), default=float("inf"))
    series = number_of(stack.first.get("SeriesNumber"))
    frame = min(frame.number for frame in stack.frames)
    return float("inf") if series is None else series, stack.series_uid, first, (frame, *stack.first.position)
