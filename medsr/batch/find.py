"""The scans of a folder, a list of files, or a BIDS dataset."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from medsr.batch.bids import bids_items, is_bids
from medsr.batch.item import Item
from medsr.errors import MedsrError, UsageError
from medsr.io import is_dicom_file, is_nifti, stacks_of
from medsr.io.text import shown
from medsr.release.record import file_sha256

__all__ = ["find_items", "of_shard", "sha256_of"]

_LIST_SUFFIXES = (".txt", ".list")


def find_items(source: Path, *, besides: Path, participants: tuple[str, ...] = ()) -> list[Item]:
    """Every scan of `source`, by name in order.

    A folder is searched for NIfTI files, zip archives and folders that hold DICOM files, of which every stack is a
    scan of its own; a text file lists a path a line, relative to itself; a BIDS dataset is asked for its anatomical
    images.

    Parameters
    ----------
    besides : the output folder, which is not searched.
    participants : of a BIDS dataset, labels without ``sub-``; all where empty.

    Raises
    ------
    UsageError : ``io.not_found``, ``batch.nothing``, ``batch.participants``.
    """
    if not source.exists():
        raise UsageError("io.not_found", f"{shown(source.name)} does not exist")
    if participants and not (source.is_dir() and is_bids(source)):
        raise UsageError("batch.participants", f"{shown(source.name)} is no BIDS dataset")
    if source.is_dir() and is_bids(source):
        items = bids_items(source, participants)
    elif source.is_dir():
        items = _within(source, besides.absolute())
    elif source.suffix in _LIST_SUFFIXES:
        items = _listed(source)
    else:
        items = [Item(_stem(source.name), str(source.absolute()))]
    if not items:
        raise UsageError("batch.nothing", f"{shown(source.name)} holds no scan")
    return _unique(sorted(items, key=lambda item: item.name))


def of_shard(items: list[Item], shard: tuple[int, int] | None) -> list[Item]:
    """The part `i` of `n` (from 1): by the hash of the name, so that a scan added later moves no other."""
    if shard is None:
        return items
    number, count = shard
    return [item for item in items if _number(item.name) % count == number - 1]


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, or of the names and bytes of all files of a folder."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _within(folder: Path, besides: Path) -> list[Item]:
    items = []
    for name, folders, files in os.walk(folder):
        place = Path(name)
        shown_files = [place / file for file in sorted(files) if not file.startswith(".")]
        images = [file for file in shown_files if is_nifti(file) or file.suffix.lower() == ".zip"]
        items += [Item(_stem(file.relative_to(folder).as_posix()), str(file.absolute())) for file in images]
        folders[:] = sorted(
            below for below in folders if not below.startswith(".") and (place / below).absolute() != besides
        )
        if any(is_dicom_file(file) for file in shown_files if file not in images):
            items += _stacks(place, folder)
            folders.clear()  # the reader takes what lies below a DICOM folder as part of it
    return items


def _stacks(place: Path, folder: Path) -> list[Item]:
    """One item for each stack of a DICOM folder; the folder itself where it cannot be looked through."""
    relative = place.relative_to(folder).as_posix()
    name = place.name if relative == "." else relative
    try:
        picks = stacks_of(place)
    except MedsrError:
        picks = []
    if len(picks) < 2:
        return [Item(name, str(place.absolute()))]
    return [Item(f"{name}/{pick}", str(place.absolute()), pick=pick) for pick in picks]


def _listed(listing: Path) -> list[Item]:
    items = []
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            path = (listing.parent / text).absolute()
            items.append(Item(_stem(text.strip("/").replace("../", "")), str(path)))
    return items


def _stem(name: str) -> str:
    for suffix in (".nii.gz", ".nii", ".zip", ".dcm"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _unique(items: list[Item]) -> list[Item]:
    """Items with names that no two share, nor differ by case alone."""
    seen: dict[str, int] = {}
    result = []
    for item in items:
        count = seen[item.name.lower()] = seen.get(item.name.lower(), 0) + 1
        name = item.name if count == 1 else f"{item.name}_{count}"
        result.append(Item(name, item.path, item.pick, item.bids))
    return result


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
