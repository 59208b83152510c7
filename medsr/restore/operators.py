"""Which operator a scan is restored under: the declared one, or one taken from its modality and the request."""

from __future__ import annotations

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
)
from medsr.records import NoiseLevel
from medsr.restore.request import RestoreRequest
from medsr.volume import Volume

__all__ = ["declared_operator", "in_plane_operator", "operator_of"]


def operator_of(volume: Volume, request: RestoreRequest, noise: NoiseLevel) -> Operator:
    """The operator of a restoration.

    A declared operator (sidecar or ``--operator``) wins where it fits the task; otherwise the grid follows the
    modality: k-space truncation for MR, area average for CT, with provenance ``estimated``.

    Raises
    ------
    Refusal : ``operator.shape``, if the declared operator does not map onto this scan's grid.
    UsageError : ``restore.scale``, if the declared operator is of another scale than the one asked for.
    """
    declared = declared_operator(volume)
    if declared is not None and _serves(declared.linear, request):
        _check_scale(declared.linear, volume, request)
        return declared
    model = declared.noise if declared is not None else _noise_model(volume, noise)
    if request.task == "denoise":
        linear: LinearOperator = Identity(volume.geometry.shape, volume.geometry.slice_axis)
    else:
        linear = in_plane_operator(volume, float(request.scale or 1))
    return Operator(linear, model, "estimated")


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
    if operator.linear.coarse_shape != volume.geometry.shape:
        fact = f"the declared operator gives {operator.linear.coarse_shape}, the scan has {volume.geometry.shape}"
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


def _serves(linear: LinearOperator, request: RestoreRequest) -> bool:
    if request.task == "denoise":
        return linear.kind == "identity"
    return linear.kind in ("k_space_truncation", "area_average", "overlap_average")


def _check_scale(linear: LinearOperator, volume: Volume, request: RestoreRequest) -> None:
    """The declared grid is the one asked for, to the rounding of either matrix."""
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
