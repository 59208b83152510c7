"""Intensity scaling before the network and its exact inverse after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal
from medsr.models.inputs import HU_SCALE, MR_PERCENTILE
from medsr.volume import Modality, Volume

__all__ = ["PADDING_HU", "Intensity", "intensity_of", "percentile_of_positive"]

PADDING_HU = -1000.0
"""What the network sees where the scanner wrote a fill value."""

_LARGEST_SAMPLE = 1 << 25


@dataclass(frozen=True, slots=True)
class Intensity:
    """values / divisor is what the network sees; nothing is clipped, so the inverse is exact."""

    modality: Modality
    divisor: float

    def to_record(self) -> Mapping[str, object]:
        """For report.json."""
        rule = "HU / 1000" if self.modality == "CT" else f"divided by the {MR_PERCENTILE} percentile of positive voxels"
        return {"divisor": self.divisor, "rule": rule}


def intensity_of(volume: Volume) -> Intensity:
    """The scaling of a measured volume.

    Raises
    ------
    Refusal : ``volume.empty``, if an MR volume holds no positive voxel.
    """
    if volume.modality == "CT":
        return Intensity("CT", HU_SCALE)
    return Intensity("MR", percentile_of_positive(volume.values))


def percentile_of_positive(values: npt.NDArray[np.float32]) -> float:
    """99.9th percentile of the positive voxels; of every n-th slice where there are more than 32 Mi voxels.

    Raises
    ------
    Refusal : ``volume.empty``, if no voxel is positive.
    """
    step = max(1, -(-values.size // _LARGEST_SAMPLE))
    sample = values[:, :, ::step]
    positive = sample[sample > 0]
    if positive.size == 0:
        raise Refusal("volume.empty", "no voxel is above zero")
    return float(np.percentile(positive, MR_PERCENTILE))
