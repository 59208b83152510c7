"""Anybody's restoration of a scan as a Restoration: which operator leads to the scan, and on which grid it lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medsr.errors import UsageError
from medsr.physics import Identity, LinearOperator, NoNoise, Operator, SliceMask
from medsr.physics.estimate import estimate_noise
from medsr.records import Restoration, Task
from medsr.restore.lost import acquired
from medsr.restore.operators import declared_operator, in_plane_operator
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import noise_of
from medsr.validation.noise_bound import bounded_noise
from medsr.volume import Geometry, Volume

__all__ = ["candidate_restoration"]

_TOLERANCE = 0.05
"""In voxels of the finer grid; rounding of an affine is far below, a shift that matters above."""
_FIRST_VOXEL = (
    "The candidate's header puts the centre of its first voxel on that of the scan's first voxel; it was read as "
    "covering the same field of view, and the check of the operator tells whether it does."
)


def candidate_restoration(
    measured: Volume,
    candidate: Volume,
    *,
    reference: Volume | None = None,
    second: Volume | None = None,
    noise: float | None = None,
) -> Restoration:
    """What the gate needs of a candidate; nothing is restored, and there is no estimate before projection.

    The operator is the declared one of `measured`, else taken from the two grids: identity on the same grid, the
    modality's in-plane operator on a finer one.

    Parameters
    ----------
    reference : an image that counts as true, on the candidate's grid.
    second : another scan of the same patient, of independent noise, for R8, which tells whether it can be compared.
    noise : of the measurement, in image units; declared or estimated by default.

    Raises
    ------
    UsageError : ``validate.grid``, if no operator maps the candidate's grid to the measurement's, or the reference lies
        on another grid.
    """
    operator = _operator_between(measured, candidate)
    masked = isinstance(operator.linear, SliceMask)
    fine = measured.geometry if masked else operator.linear.fine_geometry(measured.geometry)
    note = _place(measured.geometry, fine, candidate, "the candidate")
    if reference is not None:
        _place(measured.geometry, fine, reference, "the reference")
    notes = (*measured.notes, *((note,) if note else ()))
    linear = operator.linear
    y = replace(acquired(measured, linear), padding=None) if isinstance(linear, SliceMask) else measured
    made = Restoration(
        measured=replace(y, notes=notes),
        image=candidate.values,
        estimate=None,
        geometry=fine if note else candidate.geometry,
        operator=operator,
        task=_task(linear),
        model=None,
        noise=noise_of(measured, RestoreRequest("denoise", noise=noise), estimate_noise(measured)),
        second=second,
        synthetic_slices=linear.missing if isinstance(linear, SliceMask) else (),
        reference=reference,
    )
    return replace(made, noise=bounded_noise(made))


def _place(coarse: Geometry, fine: Geometry, volume: Volume, name: str) -> str:
    """Nothing where a volume lies where the operator puts it, a note where its header follows the other convention."""
    tolerance = _TOLERANCE * min(fine.spacing_mm)
    if fine.matches(volume.geometry, tolerance_mm=tolerance):
        return ""
    affine = np.array(fine.world_from_voxel)
    affine[:3, 3] = coarse.world_from_voxel[:3, 3]
    if fine.shape != coarse.shape and replace(fine, world_from_voxel=affine).matches(
        volume.geometry, tolerance_mm=tolerance
    ):
        return _FIRST_VOXEL
    raise UsageError("validate.grid", f"{name} {volume.geometry.shape} is not where the operator puts it")


def _task(linear: LinearOperator) -> Task:
    if isinstance(linear, SliceMask):
        return "inpaint"
    return "denoise" if isinstance(linear, Identity) else "superres"


def _operator_between(measured: Volume, candidate: Volume) -> Operator:
    declared = declared_operator(measured)
    if declared is not None and declared.linear.fine_shape == candidate.geometry.shape:
        return declared
    if measured.geometry.shape == candidate.geometry.shape:
        noise = declared.noise if declared is not None else NoNoise()
        return Operator(Identity(measured.geometry.shape, measured.geometry.slice_axis), noise, "estimated")
    if declared is not None:
        fact = f"the candidate is {candidate.geometry.shape}, the declared operator is of {declared.linear.fine_shape}"
        raise UsageError("validate.grid", fact)
    axis = measured.geometry.in_plane_axes[0]
    scale = candidate.geometry.shape[axis] / measured.geometry.shape[axis]
    if scale <= 1:
        raise UsageError("validate.grid", f"the candidate {candidate.geometry.shape} is coarser than the measurement")
    linear = in_plane_operator(measured, scale)
    if linear.fine_shape != candidate.geometry.shape:
        fact = f"{candidate.geometry.shape} is no in-plane multiple of the measurement's {measured.geometry.shape}"
        raise UsageError("validate.grid", fact)
    return Operator(linear, NoNoise(), "estimated")
