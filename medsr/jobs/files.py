"""Files by content: ``store/sha256/ab/abcd...``. What is under a name hashes to it, or is not served."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from medsr.errors import IntegrityError, NotFound, Refusal
from medsr.resources import sync_folder
from medsr.resources.failpoints import failpoint

__all__ = [
    "FileStore", "Kept", "Part", "chunks_of", "file_path", "has_file", "keep", "make_folders", "open_checked",
    "receiving",
]  # fmt: skip

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileStore:
    """Folder of the content-addressed files; `incoming` holds what is still being written, on the same file system."""

    root: Path

    @property
    def incoming(self) -> Path:
        """Names ending in ``.part``; whatever a kill leaves here is swept after a day."""
        return self.root / "incoming"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is whole and durable under its sha256."""

    sha256: str
    bytes: int


def make_folders(files: FileStore) -> None:
    """Make every folder once, durably, so that no later rename has to make its parent."""
    tree = files.root / "sha256"
    if (tree / "ff").is_dir() and files.incoming.is_dir():
        return
    for folder in (files.incoming, *(tree / f"{number:02x}" for number in range(256))):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sync_folder(tree)
    sync_folder(files.root)
    sync_folder(files.root.parent)


def file_path(files: FileStore, sha256: str) -> Path:
    """Where a file with this hash lies, or would."""
    return files.root / "sha256" / sha256[:2] / sha256


def has_file(files: FileStore, sha256: str) -> bool:
    """True if the name is there; what it holds is checked where it is opened."""
    return file_path(files, sha256).is_file()


def chunks_of(stream: BinaryIO) -> Iterable[bytes]:
    """The bytes of an open file, a mebibyte at a time."""
    while chunk := stream.read(_CHUNK):
        yield chunk


@dataclass(slots=True)
class Part:
    """A file on its way in: what came so far. `kept` is set once it is durable."""

    stream: BinaryIO
    limit: int | None
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0
    kept: Kept | None = None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        Refusal : ``store.too_large``, beyond the limit.
        """
        self.size += len(chunk)
        if self.limit is not None and self.size > self.limit:
            raise Refusal("store.too_large", f"more than {self.limit} bytes came")
        self.digest.update(chunk)
        self.stream.write(chunk)


@contextmanager
def receiving(files: FileStore, *, wanted: str | None = None, limit: int | None = None) -> Iterator[Part]:
    """Write a file piece by piece; when the block ends it lies durably under its hash, named by ``part.kept``.

    Temporary name, fsync, rename, fsync of the folder. If the block raises, nothing is left.

    Parameters
    ----------
    wanted : the hash that the bytes must have.
    limit : most bytes.

    Raises
    ------
    IntegrityError : ``store.hash``, if the bytes are not those of `wanted`.
    Refusal : ``store.too_large``, beyond `limit`.
    """
    temporary = files.incoming / f"{secrets.token_hex(16)}.part"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            part = Part(stream, limit)
            yield part
            failpoint("file.write")
            stream.flush()
            os.fsync(stream.fileno())
            failpoint("file.fsync")
        found = part.digest.hexdigest()
        if wanted is not None:
            _check_hash("store.hash", found, wanted)
        target = file_path(files, found)
        failpoint("file.rename")
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    failpoint("file.folder")
    sync_folder(target.parent)
    part.kept = Kept(found, part.size)


def keep(files: FileStore, chunks: Iterable[bytes], *, wanted: str | None = None, limit: int | None = None) -> Kept:
    """`receiving` for bytes that are already there."""
    with receiving(files, wanted=wanted, limit=limit) as part:
        for chunk in chunks:
            part.write(chunk)
    if part.kept is None:
        raise IntegrityError("store.hash", "the file was not kept")
    return part.kept


def open_checked(files: FileStore, sha256: str) -> BinaryIO:
    """Open a file after hashing what the handle holds, so that rot is seen at this read and never sent.

    Raises
    ------
    NotFound : ``store.file``, if it is not there.
    IntegrityError : ``store.rot``, if it does not hash to its name.
    """
    try:
        stream = file_path(files, sha256).open("rb")
    except FileNotFoundError as error:
        raise NotFound("store.file", f"file {sha256[:12]} is not in the store") from error
    try:
        _check_hash("store.rot", hashlib.file_digest(stream, "sha256").hexdigest(), sha256)
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return stream


def _check_hash(code: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise IntegrityError(code, f"the bytes hash to {found[:12]}, not to {wanted[:12]}")
