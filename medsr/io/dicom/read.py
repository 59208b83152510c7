"""Reading a DICOM volume in the reader child: headers, split, grid, then pixels into granted memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.encaps import generate_frames

from medsr.errors import Refusal, UsageError
from medsr.io.dicom.codestream import is_lossy
from medsr.io.dicom.decode import NATIVE, PlaneFormat, decode
from medsr.io.dicom.files import items_of
from medsr.io.dicom.frames import CLASSES, Frame, Instance, frames_of, open_instance, text_of
from medsr.io.dicom.header import canonical_sha256, copied, encoded
from medsr.io.dicom.padding import padding_range
from medsr.io.dicom.record import volume_record
from medsr.io.dicom.split import Stack, choose, split
from medsr.io.dicom.stack import Grid, grid_of
from medsr.io.modality import PADDING_CEILING_HU, padding_of
from medsr.io.planes import Declared, Grant, Planes, Reply

__all__ = ["Found", "find", "read_dicom"]

_SKIPPED = ("skip.", "dicom.not_dicom", "io.empty")
_GROUPS = frozenset({"PerFrameFunctionalGroupsSequence"})


class Found:
    """Frames of a folder, a list or an archive, and why other files are not among them."""

    def __init__(self, frames: list[Frame], skipped: dict[str, int], first_reason: Refusal | None) -> None:
        self.frames, self.skipped, self.first_reason = frames, skipped, first_reason

    @property
    def notes(self) -> list[str]:
        """A note for each reason."""
        return [f"{count} files skipped: {code}" for code, count in sorted(self.skipped.items())]


def read_dicom(
    paths: Sequence[Path],
    grant: Grant,
    *,
    name: str,
    modality: str = "auto",
    pick: str | None = None,
    gaps: bool = False,
    at: Callable[[str], None] = lambda _name: None,
) -> Reply:
    """Read one stack of CT or MR images into granted memory.

    Values are stored values times the slope plus the intercept of each slice.

    Raises
    ------
    Refusal : ``dicom.*``, ``geometry.*``, ``identity.*``, ``pixel.*``, ``series.several_stacks``,
        ``skip.*``, ``zip.*``.
    UsageError : ``modality.contradicts``, if the user names another modality; ``series.pick``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = find(paths, name=name)
        stack = choose(split(found.frames), pick)
        kind = CLASSES[stack.first.instance.sop_class][0]
        if modality not in ("auto", kind):
            raise UsageError("modality.contradicts", f"the headers say {kind}, not {modality}")
        grid = grid_of(stack.frames, gaps=gaps)
        coded = sum(
            frame.form.rows * frame.form.columns
            for frame in grid.frames
            if frame.instance.structure.syntax not in NATIVE
        )
        planes = grant(Declared(grid.geometry.shape, coded))
        hashes, lossy = _fill(grid, planes, at)
        return _reply(stack, grid, planes, hashes, found, kind=kind, name=name, lossy=lossy)


def find(paths: Sequence[Path], *, name: str, survey: bool = False) -> Found:
    """The frames of all CT and MR images among the files.

    Other classes, localisers and files that are no DICOM are skipped and counted; what is broken is refused, since a
    lost slice would otherwise pass unseen. A survey counts that too, and goes on.

    Raises
    ------
    Refusal : the reason of the first skipped file, if nothing is left; ``io.empty`` without files.
    """
    frames: list[Frame] = []
    skipped: dict[str, int] = {}
    first_reason: Refusal | None = None
    seen: dict[str, Instance] = {}
    for item in items_of(paths):
        if item.name.upper() == "DICOMDIR":
            skipped["skip.dicomdir"] = skipped.get("skip.dicomdir", 0) + 1
            first_reason = first_reason or Refusal("skip.dicomdir", f"{item.name} is an index, not an image")
            continue
        try:
            instance = open_instance(item)
            if not _again(instance, seen):
                frames += frames_of(instance)
        except Refusal as error:
            if not survey and not error.code.startswith(_SKIPPED):
                raise
            skipped[error.code] = skipped.get(error.code, 0) + 1
            first_reason = first_reason or error
    if not frames:
        raise first_reason or Refusal("io.empty", f"{name} holds no images")
    return Found(frames, skipped, first_reason)


def _again(instance: Instance, seen: dict[str, Instance]) -> bool:
    """True for an object that is there already, be it in another transfer syntax.

    Raises
    ------
    Refusal : ``identity.two_contents``, if two objects bear one UID.
    """
    uid = text_of(instance.header.get("SOPInstanceUID"))
    other = seen.setdefault(uid, instance)
    if other is instance or not uid:
        return False
    if other.sha256 != instance.sha256 and _canonical(other) != _canonical(instance):
        names = f"{other.item.name} and {instance.item.name}"
        raise Refusal("identity.two_contents", f"{names} bear one SOP Instance UID and differ")
    return True


def _canonical(instance: Instance) -> str:
    frames = list(frames_of(instance))
    return canonical_sha256(instance.header, ((plane, frame.form) for frame, plane, _ in _decoded(instance, frames)))


def _decoded(instance: Instance, frames: Sequence[Frame]) -> Iterator[tuple[Frame, npt.NDArray[np.int32], bool]]:
    """The stored planes of an object's frames, in the order of the object, and whether each was coded with loss.

    Raises
    ------
    Refusal : ``pixel.*``; ``io.changed``, if the file is not what its header was read from.
    """
    data, structure = instance.item.read(), instance.structure
    if hashlib.sha256(data).hexdigest() != instance.sha256:
        raise Refusal("io.changed", f"{instance.item.name} changed while it was read")
    numbered = {max(frame.number, 1): frame for frame in frames}
    for number, part in enumerate(_parts(data, instance, frames[0].form), 1):
        if number in numbered:
            frame = numbered.pop(number)
            plane = decode(part, structure.syntax, frame.form, name=frame.name)
            yield frame, plane, structure.syntax not in NATIVE and is_lossy(part)
    if numbered:
        raise Refusal("pixel.truncated", f"{instance.item.name} lacks the pixels of {len(numbered)} frames")


def _parts(data: bytes, instance: Instance, form: PlaneFormat) -> Iterator[bytes]:
    structure = instance.structure
    if structure.syntax in NATIVE:
        for index in range(structure.frames):
            start = structure.start + index * form.size
            yield data[start : min(start + form.size, structure.start + structure.length)]
        return
    if structure.length >= 0:
        raise Refusal("pixel.broken", f"{instance.item.name} is compressed, but its pixels are no fragments")
    try:
        yield from generate_frames(data[structure.start :], number_of_frames=structure.frames)
    except (ValueError, EOFError, IndexError, TypeError) as error:
        raise Refusal("pixel.broken", f"{instance.item.name}: its pixel fragments make no frames") from error


def _fill(grid: Grid, planes: Planes, at: Callable[[str], None]) -> tuple[dict[str, str], bool]:
    """Decode every frame to its place; the canonical hash of each instance by its UID, and whether any is lossy."""
    places = dict(zip(grid.frames, grid.indices, strict=True))
    by_instance: dict[int, list[Frame]] = {}
    for frame in grid.frames:
        by_instance.setdefault(id(frame.instance), []).append(frame)
    hashes: dict[str, str] = {}
    any_lossy = False
    for frames in by_instance.values():
        instance = frames[0].instance
        at(instance.item.name)
        kept: list[tuple[npt.NDArray[np.int32], PlaneFormat]] = []
        for frame, stored, lossy in _decoded(instance, frames):
            any_lossy |= lossy
            _place(frame, stored, planes, places[frame])
            kept.append((stored, frame.form))
        hashes[text_of(instance.header.get("SOPInstanceUID"))] = canonical_sha256(instance.header, iter(kept))
    return hashes, any_lossy


def _place(frame: Frame, stored: npt.NDArray[np.int32], planes: Planes, index: int) -> None:
    lowest, highest = padding_range(frame)
    mask = (stored >= lowest) & (stored <= highest) if lowest <= highest else None
    if text_of(frame.get("PhotometricInterpretation")) == "MONOCHROME1":
        stored = (-1 if frame.form.signed else (1 << frame.form.bits_stored) - 1) - stored
    values = planes.values[:, :, index]
    values[...] = (stored * frame.slope + frame.intercept).T
    if mask is not None:
        planes.padding[:, :, index] = mask.T


def _reply(
    stack: Stack,
    grid: Grid,
    planes: Planes,
    hashes: dict[str, str],
    found: Found,
    *,
    kind: str,
    name: str,
    lossy: bool,
) -> Reply:
    values = planes.values
    if not np.any(values):
        raise Refusal("volume.empty", "every voxel is zero")
    if kind == "CT":
        planes.padding[values < PADDING_CEILING_HU] = True
    else:
        background = padding_of(values, "MR")
        if background is not None:
            planes.padding[background] = True
    for index in grid.missing:
        values[:, :, index] = -1024.0 if kind == "CT" else 0.0
        planes.padding[:, :, index] = False
    headers = _headers(grid)
    record = volume_record(stack, grid, hashes, kind=kind, name=name, notes=found.notes, lossy=lossy)
    record["padded"] = bool(planes.padding.any())
    record["header_sizes"] = [len(part) for part in headers]
    return Reply(record, b"".join(headers))


def _headers(grid: Grid) -> list[bytes]:
    """What the writer copies: of the object for multi-frame sources, else empty, then of every slice."""
    first = grid.frames[0].instance.header
    if not CLASSES[grid.frames[0].instance.sop_class][1]:
        return [b"", *(encoded(copied(frame.instance.header)) for frame in grid.frames)]
    groups = [
        frame.instance.header["PerFrameFunctionalGroupsSequence"].value[frame.number - 1] for frame in grid.frames
    ]
    return [encoded(copied(first, without=_GROUPS)), *(encoded(copied(group)) for group in groups)]
