"""A scan as medsr holds it: values, where they lie, what they mean and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal
from medsr.volume.geometry import Geometry

__all__ = ["Acquisition", "Modality", "Provenance", "Source", "Unit", "Volume"]

Modality = Literal["CT", "MR"]
Unit = Literal["HU", "arbitrary"]
Provenance = Literal["declared", "header", "guessed", "estimated"]


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the header tells of how the scan was made; None where it does not say.

    echo_time_ms and repetition_time_ms are MRI only, tube_voltage_kv, kernel and exposure_mas CT only.
    """

    manufacturer: str | None = None
    model: str | None = None
    body_part: str | None = None
    field_strength_t: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    tube_voltage_kv: float | None = None
    exposure_mas: float | None = None
    kernel: str | None = None
    lossy: bool = False
    lossy_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a volume came from. A format's own reader subclasses this to keep what its writer needs.

    name is a file or folder name without its path; sha256 is of the bytes as received (for a folder: of the
    sorted hashes of its files); dtype is the stored type, integer tells whether stored values are whole numbers.
    """

    name: str
    sha256: str
    format: Literal["nifti", "dicom", "memory"]
    dtype: str = "float32"
    integer: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One time point of a CT or MR scan.

    Parameters
    ----------
    values : (I, J, K) float32, finite; CT in HU, MR in the scanner's arbitrary units. Read only.
    geometry : where the voxels lie.
    modality, unit : what the values mean.
    source : where the bytes came from.
    acquisition : header facts.
    padding : (I, J, K) bool, True where the scanner put a fill value instead of a measurement, or None.
    degradation : the operator record that `degrade` or a sidecar left with this scan, or None.
    modality_provenance : how the modality is known.
    notes : facts of reading worth telling the user, e.g. "MONOCHROME1 inverted".

    Raises
    ------
    Refusal : ``volume.shape``, ``volume.not_finite``.
    """

    values: npt.NDArray[np.float32]
    geometry: Geometry
    modality: Modality
    unit: Unit
    source: Source
    acquisition: Acquisition = field(default_factory=Acquisition)
    padding: npt.NDArray[np.bool_] | None = None
    degradation: Mapping[str, object] | None = None
    modality_provenance: Provenance = "declared"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.shape != self.geometry.shape:
            raise Refusal("volume.shape", f"values {self.values.shape} do not fit geometry {self.geometry.shape}")
        if self.values.dtype != np.float32:
            raise Refusal("volume.shape", f"values are {self.values.dtype}, not float32")
        if self.padding is not None and (self.padding.shape != self.values.shape or self.padding.dtype != np.bool_):
            fact = f"padding is {self.padding.dtype} {self.padding.shape}, not bool {self.values.shape}"
            raise Refusal("volume.shape", fact)
        for index in range(self.geometry.shape[2]):
            bad = np.count_nonzero(~np.isfinite(self.values[:, :, index]))
            if bad:
                raise Refusal("volume.not_finite", f"{bad} voxels of slice {index} along k are NaN or infinite")
        view = self.values.view()
        view.setflags(write=False)
        object.__setattr__(self, "values", view)
