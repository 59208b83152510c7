"""The bytes of instances: files one at a time, or entries of a zip archive that is never extracted."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import Refusal
from medsr.io.text import shown
from medsr.settings import settings

__all__ = ["Item", "items_of"]

_STORED, _DEFLATED = 0, 8
_LINK, _ENCRYPTED = 0o120000, 1
_CHUNK = 1 << 20
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One instance's bytes, read when asked for. name is fit to be shown."""

    name: str
    path: Path
    entry: zipfile.ZipInfo | None = None

    def read(self) -> bytes:
        """All bytes, at most what settings allow.

        Raises
        ------
        Refusal : ``io.empty``, ``dicom.too_large``, ``zip.broken``, ``zip.inflates``.
        """
        if self.entry is not None:
            return _inflated(self.path, self.entry, self.name)
        size, limit = self.path.stat().st_size, settings().max_object_bytes
        if size == 0:
            raise Refusal("io.empty", f"{self.name} has no bytes")
        if size > limit:
            raise Refusal("dicom.too_large", f"{self.name} has {size} bytes, over {limit}")
        with self.path.open("rb") as stream:
            return stream.read(size + 1)[:limit]


def items_of(paths: Sequence[Path]) -> list[Item]:
    """Instances in the given files; a single zip archive stands for its entries.

    Raises
    ------
    Refusal : ``zip.*`` for archives that lie about themselves; see :func:`_entries`.
    """
    if len(paths) == 1 and _is_zip(paths[0]):
        path = paths[0]
        return [Item(shown(Path(entry.filename).name), path, entry) for entry in _entries(path)]
    return [Item(shown(path.name), path) for path in paths]


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    """Regular files of an archive, by the order of their bytes. Names are shown, never used as paths.

    Raises
    ------
    Refusal : ``zip.broken`` (no archive, encrypted, links, other methods), ``zip.overlap`` (entries that share
        bytes: a 167 kB archive claimed 125 GiB), ``zip.too_many``, ``zip.inflates``.
    """
    name, limits = shown(path.name), settings()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise Refusal("zip.broken", f"{name} is no readable zip archive") from error
    if len(entries) > limits.max_zip_entries:
        raise Refusal("zip.too_many", f"{name} holds {len(entries)} entries, over {limits.max_zip_entries}")
    ordered = sorted(
        (entry for entry in entries if not entry.filename.endswith("/")), key=lambda entry: entry.header_offset
    )
    end = 0
    for entry in ordered:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (_STORED, _DEFLATED):
            raise Refusal("zip.broken", f"{name} holds an entry that is encrypted or packed in an unknown way")
        if (entry.external_attr >> 16) & 0o170000 == _LINK:
            raise Refusal("zip.broken", f"{name} holds a link")
        if entry.header_offset < end:
            raise Refusal("zip.overlap", f"{name} holds entries that share bytes")
        end = entry.header_offset + _LOCAL_HEADER_BYTES + len(entry.filename.encode()) + entry.compress_size
    total = sum(entry.file_size for entry in ordered)
    if total > limits.max_zip_bytes:
        raise Refusal("zip.inflates", f"{name} is said to hold {total} bytes, over {limits.max_zip_bytes}")
    return [entry for entry in ordered if not Path(entry.filename).name.startswith(".")]


def _inflated(path: Path, entry: zipfile.ZipInfo, name: str) -> bytes:
    """An entry's bytes in small pieces, and no more of them than the archive says: zipfile stops there."""
    limit = settings().max_object_bytes
    if entry.file_size > limit:
        raise Refusal("dicom.too_large", f"{name} has {entry.file_size} bytes, over {limit}")
    parts: list[bytes] = []
    count = 0
    try:
        with zipfile.ZipFile(path) as archive, archive.open(entry) as stream:
            while part := stream.read(_CHUNK):
                count += len(part)
                parts.append(part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise Refusal("zip.broken", f"{name} cannot be unpacked") from error
    if count == 0:
        raise Refusal("io.empty", f"{name} has no bytes")
    if count < entry.file_size:
        raise Refusal("zip.broken", f"{name} ends {entry.file_size - count} bytes early")
    return b"".join(parts)
