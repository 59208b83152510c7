"""Which operator a scan is restored under: the declared one, or one taken from its modality and the request."""

from __future__ import annotations

import math
from collections.abc import Mapping

from medsr.errors import Refusal, UsageError
from medsr.physics import (
    AreaAverage,
    Identity,
    KSpaceTruncation,
    LinearOperator,
    MagnitudeNoise,
    NoiseModel,
    NoNoise,
    Operator,
    OverlapAverage,
    SliceMask,
    SliceProfile,
)
from medsr.records import NoiseLevel
from medsr.restore.lost import lost_slices
from medsr.restore.request import RestoreRequest
from medsr.volume import Volume

__all__ = ["declared_operator", "in_plane_operator", "operator_of", "thick_operator"]


def operator_of(volume: Volume, request: RestoreRequest, noise: NoiseLevel) -> Operator:
    """The operator of a restoration.

    A declared operator (sidecar or ``--operator``) wins where it fits the task; otherwise the grid follows the
    modality: k-space truncation for MR, area average for CT, with provenance ``estimated``. Thick slices are a box
    as wide as the header says, or as the distance of slices where it does not. Lost slices are those given, else
    those that the pixels show.

    Raises
    ------
    Refusal : ``operator.shape``, if the declared operator does not map onto this scan's grid; ``restore.edge``.
    UsageError : ``restore.scale``, if the declared operator is of another scale than the one asked for, or no scale
        is known; ``restore.slices``.
    """
    declared = declared_operator(volume)
    if declared is not None and _serves(declared.linear, request):
        _check_scale(declared.linear, volume, request)
        return declared
    model = declared.noise if declared is not None else _noise_model(volume, noise)
    if request.task == "denoise":
        linear: LinearOperator = Identity(volume.geometry.shape, volume.geometry.slice_axis)
        return Operator(linear, model, "estimated")
    if request.task == "inpaint":
        return Operator(lost_slices(volume, request.mask), model, "declared" if request.mask else "estimated")
    if request.through is not None:
        known = volume.geometry.slice_thickness_mm is not None
        return Operator(thick_operator(volume, request.through), model, "header" if known else "estimated")
    if request.scale is None:
        raise UsageError("restore.scale", "neither a factor nor the scan's operator says what to super-resolve")
    return Operator(in_plane_operator(volume, float(request.scale)), model, "estimated")


def declared_operator(volume: Volume) -> Operator | None:
    """The operator that the scan's sidecar states, checked against the scan's grid.

    Raises
    ------
    Refusal : ``operator.shape``, ``operator.unknown``, ``operator.parameter``.
    """
    if volume.degradation is None:
        return None
    record = volume.degradation.get("operator", volume.degradation)
    if not isinstance(record, Mapping):
        raise Refusal("operator.parameter", "the sidecar's operator is not a record")
    operator = Operator.from_record(record)
    # A scan with lost slices keeps its whole grid; what fills them is no measurement.
    masked = isinstance(operator.linear, SliceMask)
    stated = operator.linear.fine_shape if masked else operator.linear.coarse_shape
    if stated != volume.geometry.shape:
        fact = f"the declared operator gives {stated}, the scan has {volume.geometry.shape}"
        raise Refusal("operator.shape", fact)
    return operator


def in_plane_operator(volume: Volume, scale: float) -> LinearOperator:
    """The in-plane operator whose coarse grid is the scan's and whose fine grid is `scale` times larger."""
    axes = volume.geometry.in_plane_axes
    fine = list(volume.geometry.shape)
    for axis in axes:
        fine[axis] = round(volume.geometry.shape[axis] * scale)
    shape = (fine[0], fine[1], fine[2])
    coarse = (volume.geometry.shape[axes[0]], volume.geometry.shape[axes[1]])
    if volume.modality == "MR":
        return KSpaceTruncation(shape, coarse, volume.geometry.slice_axis)
    if scale == int(scale):
        return AreaAverage(shape, (int(scale), int(scale)), volume.geometry.slice_axis)
    return OverlapAverage(shape, coarse, volume.geometry.slice_axis)


def thick_operator(volume: Volume, factor: float) -> SliceProfile:
    """Thick slices over thin ones that lie `factor` times closer; the thin stack ends with the last thick slice.

    Raises
    ------
    UsageError : ``restore.scale``, if the scan has fewer than two slices.
    """
    axis, spacing = volume.geometry.slice_axis, volume.geometry.spacing_mm
    count, stated = volume.geometry.shape[axis], volume.geometry.slice_thickness_mm
    if count < 2:
        raise UsageError("restore.scale", f"a stack of {count} slice has no neighbours to be cut from")
    thickness = max(1.0, factor * (stated / spacing[axis] if stated is not None else 1.0))
    shape = list(volume.geometry.shape)
    shape[axis] = math.ceil(factor * (count - 1) + thickness - 1e-6)
    return SliceProfile((shape[0], shape[1], shape[2]), thickness, factor, "box", axis)


def _serves(linear: LinearOperator, request: RestoreRequest) -> bool:
    if request.task == "denoise":
        return linear.kind == "identity"
    if request.task == "inpaint":
        return linear.kind == "slice_mask" and request.mask is None
    if linear.kind == "slice_profile":
        return request.scale is None
    return linear.kind in ("k_space_truncation", "area_average", "overlap_average") and request.through is None


def _check_scale(linear: LinearOperator, volume: Volume, request: RestoreRequest) -> None:
    """The declared grid is the one asked for, to the rounding of either matrix."""
    if request.through is not None and isinstance(linear, SliceProfile) and abs(linear.step - request.through) > 0.01:
        fact = f"--through {request.through:g} asked for, but the scan's operator says every {linear.step:g} slices"
        raise UsageError("restore.scale", fact)
    if request.scale is None:
        return
    for axis in volume.geometry.in_plane_axes:
        fine, coarse = linear.fine_shape[axis], linear.coarse_shape[axis]
        if round(coarse * request.scale) != fine and round(fine / request.scale) != coarse:
            fact = f"scale {request.scale:g} asked for, but the scan's operator says {fine} from {coarse} voxels"
            raise UsageError("restore.scale", fact)


def _noise_model(volume: Volume, noise: NoiseLevel) -> NoiseModel:
    if volume.modality == "CT" or noise.sigma <= 0:
        return NoNoise()
    return MagnitudeNoise(noise.sigma)
