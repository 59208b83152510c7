"""Static files under the hash of them all: cached for ever, and never a page with another version's scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

__all__ = ["Asset", "assets", "version"]

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    path: Path
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every static file by its path below static/; nothing else can be asked for."""
    found = {
        path.relative_to(_FOLDER).as_posix(): Asset(path, _TYPES[path.suffix])
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }
    return MappingProxyType(found)


@cache
def version() -> str:
    """Hash over names and bytes of all static files."""
    digest = hashlib.sha256()
    for name, asset in assets().items():
        digest.update(f"{name}\0".encode() + hashlib.sha256(asset.path.read_bytes()).digest())
    return digest.hexdigest()[:16]
