"""UIDs as a pure function of what is written, so that a second run makes the same objects."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np

from medsr.io.encoding import Stored
from medsr.io.sources import DicomSource
from medsr.io.write.facts import DerivedFacts
from medsr.volume import Geometry

__all__ = ["IMPLEMENTATION", "content_digest", "uid"]


def uid(*parts: str) -> str:
    """``2.25.`` and a UUID (RFC 9562, version 8) from the SHA-256 of `parts`."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return f"2.25.{number}"


IMPLEMENTATION = uid("medsr", "implementation")
"""Implementation Class UID of every object that medsr writes."""


def content_digest(source: DicomSource, stored: Stored, geometry: Geometry, facts: DerivedFacts) -> str:
    """SHA-256 over all that decides the bytes of a derived series: sources, facts, grid and stored numbers."""
    record = {
        "series": source.series_uid,
        "sources": sorted([item.sop_instance_uid, item.frame, item.canonical_sha256] for item in source.slices),
        "facts": asdict(facts),
        "shape": list(geometry.shape),
        "affine": geometry.world_from_voxel.ravel().tolist(),
        "thickness_mm": geometry.slice_thickness_mm,
        "form": [stored.dtype.name, stored.slope, stored.intercept, stored.bits],
    }
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for header in (source.object_header, *(item.header for item in source.slices)):
        digest.update(hashlib.sha256(header).digest())
    for index in range(stored.values.shape[2]):
        digest.update(np.ascontiguousarray(stored.numbers(index)).tobytes())
    return digest.hexdigest()
