"""What the values of a file without a modality tag are, and which of them were never measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal, UsageError
from medsr.volume import Modality
from medsr.volume.volume import Provenance

__all__ = ["PADDING_CEILING_HU", "Known", "modality_of", "padding_of"]

PADDING_CEILING_HU = -1200.0
"""CT values below this are fill values (-2000, -3024): nothing attenuates less than air, -1000 HU."""

_AIR_HU = -500.0
_SMALLEST_HU_SPAN = 200.0
_BACKGROUND_SHARE = 0.05
_NEGATIVE_RIM, _LARGEST_NEGATIVE_SHARE = 0.05, 0.01
_MR_SUFFIX = re.compile(
    r"(?:^|_)(T1w|T2w|FLAIR|PDw|T2starw|T2star|inplaneT1|inplaneT2|angio|MPRAGE|bold|dwi)(\.nii)?(\.gz)?$",
    re.IGNORECASE,
)
_CT_SUFFIX = re.compile(r"(?:^|_)ct(\.nii)?(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """A modality and how it is known."""

    modality: Modality
    provenance: Provenance


def modality_of(values: npt.NDArray[np.float32], *, declared: str, sidecar: Mapping[str, object], name: str) -> Known:
    """Modality from the user, the sidecar, the BIDS suffix, and last from the values.

    Integers with a minimum of at most -500 are CT; values that are all at least 0 are MR.

    Raises
    ------
    UsageError : ``modality.unknown``, if nothing tells.
    Refusal : ``volume.not_hu``, if CT is claimed for values that no body has; ``volume.not_magnitude``, if MR is
        claimed for values of both signs.
    """
    known = _known(values, declared=declared, sidecar=sidecar, name=name)
    if known.modality == "CT":
        low, high = float(values.min()), float(values.max())
        if low > -_SMALLEST_HU_SPAN and high < _SMALLEST_HU_SPAN:
            raise Refusal("volume.not_hu", f"values from {low:g} to {high:g} are no HU of a body with air and bone")
    else:
        _check_magnitude(values)
    return known


def padding_of(values: npt.NDArray[np.float32], modality: Modality) -> npt.NDArray[np.bool_] | None:
    """Voxels that hold a fill value: CT below any tissue; MR exactly zero, where that is a twentieth of the scan."""
    mask = values < PADDING_CEILING_HU if modality == "CT" else values == 0
    share = np.count_nonzero(mask) / mask.size
    if share == 0 or (modality == "MR" and share < _BACKGROUND_SHARE):
        return None
    return np.asarray(mask)


def _check_magnitude(values: npt.NDArray[np.float32]) -> None:
    """Interpolation leaves small negative rims in magnitude images; phase, real and z-scored ones have many."""
    low, high = float(values.min()), float(values.max())
    if low > -_NEGATIVE_RIM * high:
        return
    share = np.count_nonzero(values < -_NEGATIVE_RIM * high) / values.size
    if share > _LARGEST_NEGATIVE_SHARE:
        fact = f"{100 * share:.0f} % of the voxels are far below 0 (values from {low:g} to {high:g})"
        raise Refusal("volume.not_magnitude", fact)


def _known(values: npt.NDArray[np.float32], *, declared: str, sidecar: Mapping[str, object], name: str) -> Known:
    if declared != "auto":
        return Known("CT" if declared == "CT" else "MR", "declared")
    stated = sidecar.get("Modality")
    if isinstance(stated, str) and stated.upper() in ("CT", "MR", "MRI"):
        return Known("CT" if stated.upper() == "CT" else "MR", "header")
    if _MR_SUFFIX.search(name):
        return Known("MR", "header")
    if _CT_SUFFIX.search(name):
        return Known("CT", "header")
    low = float(values.min())
    if low <= _AIR_HU and bool((values[:, :, 0] == np.rint(values[:, :, 0])).all()):
        return Known("CT", "guessed")
    if low >= 0:
        return Known("MR", "guessed")
    raise UsageError("modality.unknown", f"values from {low:g} to {float(values.max()):g} tell neither CT nor MR")
