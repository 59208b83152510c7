"""Scans on disk, made by code."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from medsr.volume import Volume

__all__ = ["save_nifti"]


def save_nifti(volume: Volume, path: Path, *, dtype: str = "int16") -> Path:
    """Write with nibabel, not with medsr's own writer, so that reading is tested against a stranger."""
    values = np.rint(volume.values) if dtype.startswith(("int", "uint")) else volume.values
    image = nibabel.Nifti1Image(values.astype(dtype), volume.geometry.world_from_voxel)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path
