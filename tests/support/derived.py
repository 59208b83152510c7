"""Derived DICOM series for tests: a made scan, and what is written from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medsr.io import read
from medsr.io.encoding import Stored, as_stored
from medsr.io.write import DerivedFacts, write_dicom_series
from medsr.volume import Geometry, Volume
from support.dicom import Change, series

__all__ = ["FACTS", "scan", "written"]

FACTS = DerivedFacts(
    task="denoise", description="medsr 0.1.0 denoise ct-inplane@1 sha256:abc gate: review (uncalibrated)",
    version="0.1.0", bundle="ct-inplane@1", weights_sha256="ab" * 32, label="UNVERIFIED",
    configuration={"task": "denoise"},
)  # fmt: skip


def written(
    folder: Path, volume: Volume, *, geometry: Geometry | None = None, image: np.ndarray | None = None,
    facts: DerivedFacts = FACTS, sigma: float = 20.0,
) -> tuple[list[Dataset], Stored]:  # fmt: skip
    grid = geometry or volume.geometry
    stored = as_stored(volume.values if image is None else image, grid, volume, sigma=sigma, container="dicom")
    paths = write_dicom_series(folder, stored.values, grid, volume, stored, facts)
    return [pydicom.dcmread(path) for path in paths], stored


def scan(folder: Path, count: int = 4, *, change: Change | None = None, sop_class: object = None) -> Volume:
    if sop_class is None:
        series(folder, count, change=change)
    else:
        series(folder, count, change=change, sop_class=sop_class)  # type: ignore[arg-type]  # a UID
    return read(folder)
