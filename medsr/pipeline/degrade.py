"""Making a degraded scan whose operator is known: what `medsr degrade` writes and restore reads back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from medsr import __version__
from medsr.errors import UsageError
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
    ProjectionNoise,
    SliceMask,
    SliceProfile,
)
from medsr.physics.ct_noise import added_sigma, noise_fields
from medsr.physics.estimate import estimate_noise
from medsr.records import Task
from medsr.restore.intensity import percentile_of_positive
from medsr.volume import Geometry, Volume

__all__ = ["SIDECAR_SCHEMA", "DegradeRequest", "degrade", "parse_noise", "write_degraded"]

SIDECAR_SCHEMA = "medsr.operator/1"
_AIR_HU = -1024.0
_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class DegradeRequest:
    """What to do to a scan; checked when made.

    Parameters
    ----------
    task : the task that the result is for: ``denoise``, ``superres`` or ``inpaint``.
    scale : in-plane factor (superres).
    through : thickness and distance of thick slices in thin ones (superres through plane).
    noise : MR noise, ``"5%"`` of the 99.9th percentile of positive voxels, or a number in image units.
    dose : CT dose fraction, between 0 and 1.
    keep : keep every n-th slice (inpaint); missing : or lose these.
    seed : of the noise, 0 to 2^32 - 1.

    Raises
    ------
    UsageError : ``degrade.parameter``, for what is missing or contradicts the task.
    """

    task: Task
    scale: float | None = None
    through: float | None = None
    noise: str | float | None = None
    dose: float | None = None
    keep: int | None = None
    missing: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        wants = {
            "denoise": self.noise is not None or self.dose is not None,
            "superres": (self.scale is not None) != (self.through is not None),
            "inpaint": (self.keep is not None) != bool(self.missing),
        }
        needs = {"denoise": "--noise or --dose", "superres": "--scale or --through", "inpaint": "--keep or --missing"}
        if self.task not in wants:
            raise UsageError("degrade.parameter", f"there is no task {self.task!r}")
        if not wants[self.task]:
            raise UsageError("degrade.parameter", f"{self.task} needs exactly one of {needs[self.task]}")
        if self.keep is not None and self.keep < 2:
            raise UsageError("degrade.parameter", f"keeping every {self.keep}. slice loses none: give at least 2")
        if not 0 <= self.seed < _SEEDS:
            raise UsageError("degrade.parameter", f"seed {self.seed} is not from 0 to {_SEEDS - 1}")
        if self.dose is not None and not 0 < self.dose < 1:
            raise UsageError("degrade.parameter", f"dose {self.dose:g} is not between 0 and 1")
        for name, value in (("scale", self.scale), ("through", self.through)):
            if value is not None and not 1 < value <= 8:
                raise UsageError("degrade.parameter", f"{name} {value:g} is not above 1 and at most 8")


def degrade(volume: Volume, request: DegradeRequest) -> Volume:
    """y = A x + n of a scan, with the operator recorded.

    The same seed gives the same voxels. MR values come out as magnitudes, CT in HU; a scan that lost slices keeps
    its grid, with those slices blank (0, or -1024 HU).

    Raises
    ------
    UsageError : ``degrade.parameter``, for a dose asked of MR or a percentage asked of CT.
    Refusal : ``operator.*`` where the operator does not fit the scan.
    """
    linear = _linear(volume, request)
    noise, reference = _noise(volume, request)
    values = _measured(volume, linear, noise, request.seed)
    geometry = volume.geometry if isinstance(linear, SliceMask) else linear.coarse_geometry(volume.geometry)
    record = {
        "schema": SIDECAR_SCHEMA,
        "medsr_version": __version__,
        "task": request.task,
        "operator": Operator(linear, noise, "declared").to_record(),
        "reference": reference,
        "seed": request.seed,
        "source": {"name": volume.source.name, "sha256": volume.source.sha256},
        "Modality": volume.modality,
    }
    # Noise overwrote MR fill values, so they are fill no more; CT fill is put back where the grid is kept.
    padding = volume.padding if geometry is volume.geometry and volume.modality == "CT" else None
    if padding is not None:
        values[padding] = volume.values[padding]
    return replace(volume, values=values, geometry=geometry, padding=padding, degradation=record)


def write_degraded(degraded: Volume, path: Path) -> Path:
    """Write the scan to `path` (.nii.gz) and its operator beside it (.json); returns the sidecar's path."""
    from medsr.io.encoding import as_stored
    from medsr.io.write import write_json, write_nifti

    sigma = estimate_noise(degraded).sigma
    stored = as_stored(degraded.values, degraded.geometry, degraded, sigma=sigma)
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    write_nifti(path, stored.values, degraded.geometry, degraded, stored)
    write_json(sidecar, dict(degraded.degradation or {}))
    return sidecar


def parse_noise(noise: str | float, reference: float) -> float:
    """Noise in image units from ``"5%"`` of `reference` or a number.

    Raises
    ------
    UsageError : ``degrade.parameter``, if it is neither.
    """
    text = str(noise).strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError as error:
        raise UsageError("degrade.parameter", f"noise {text[:20]!r} is neither a number nor a percentage") from error
    if not 0 < value < float("inf"):
        raise UsageError("degrade.parameter", f"noise {text[:20]!r} is not above 0")
    return value / 100 * reference if text.endswith("%") else value


def _linear(volume: Volume, request: DegradeRequest) -> LinearOperator:
    shape, axis = volume.geometry.shape, volume.geometry.slice_axis
    if request.task == "denoise":
        return Identity(shape, axis)
    if request.task == "inpaint":
        return SliceMask(shape, _kept(shape[axis], request), axis)
    if request.through is not None:
        return SliceProfile(shape, request.through, request.through, "box", axis)
    scale = float(request.scale or 1)
    first, second = volume.geometry.in_plane_axes
    coarse = (round(shape[first] / scale), round(shape[second] / scale))
    if volume.modality == "MR":
        return KSpaceTruncation(shape, coarse, axis)
    whole = scale == int(scale) and shape[first] % int(scale) == 0 and shape[second] % int(scale) == 0
    return AreaAverage(shape, (int(scale), int(scale)), axis) if whole else OverlapAverage(shape, coarse, axis)


def _kept(count: int, request: DegradeRequest) -> tuple[int, ...]:
    if request.keep is not None:
        return tuple(range(0, count, request.keep))
    outside = [index for index in request.missing if not 0 < index < count - 1]
    if outside:
        raise UsageError("degrade.parameter", f"slices {outside} are not inside the stack of {count}")
    return tuple(index for index in range(count) if index not in set(request.missing))


def _noise(volume: Volume, request: DegradeRequest) -> tuple[NoiseModel, Mapping[str, float]]:
    """The noise model, and the quantity its level refers to."""
    if request.dose is not None:
        if volume.modality != "CT":
            raise UsageError("degrade.parameter", "MRI has no dose: give --noise")
        full = estimate_noise(volume).sigma
        return ProjectionNoise(added_sigma(full, request.dose), request.dose), {"sigma_full_hu": full}
    if request.noise is None:
        return NoNoise(), {}
    if volume.modality == "CT":
        raise UsageError("degrade.parameter", "CT noise follows the dose: give --dose")
    reference = percentile_of_positive(volume.values)
    return MagnitudeNoise(parse_noise(request.noise, reference)), {"q": reference}


def _measured(volume: Volume, linear: LinearOperator, noise: NoiseModel, seed: int) -> npt.NDArray[np.float32]:
    if isinstance(linear, SliceMask):
        blank = np.array(volume.values, order="F")
        place: list[slice | tuple[int, ...]] = [slice(None)] * 3
        place[linear.slice_axis] = linear.missing
        blank[tuple(place)] = _AIR_HU if volume.modality == "CT" else 0.0
        return blank
    if not linear.slices_are_independent:
        clean = linear.forward(torch.from_numpy(np.ascontiguousarray(volume.values)))
        return _noisy_stack(clean, volume, noise, seed)
    axis = volume.geometry.slice_axis
    result = np.empty(linear.coarse_shape, np.float32, order="F")
    for index in range(volume.geometry.shape[axis]):
        place = [slice(None)] * 3
        place[axis] = slice(index, index + 1)
        part = torch.from_numpy(np.array(volume.values[tuple(place)], order="C"))
        clean = linear.slab(index, index + 1).forward(part)
        result[tuple(place)] = _noisy(clean, volume.geometry, volume.modality, noise, (seed, index)).numpy()
    return result


def _noisy_stack(clean: torch.Tensor, volume: Volume, noise: NoiseModel, seed: int) -> npt.NDArray[np.float32]:
    axis = volume.geometry.slice_axis
    parts = [
        _noisy(part, volume.geometry, volume.modality, noise, (seed, index))
        for index, part in enumerate(clean.split(1, dim=axis))
    ]
    return np.asfortranarray(torch.cat(parts, axis).numpy())


def _noisy(
    clean: torch.Tensor, fine: Geometry, modality: str, noise: NoiseModel, seed: tuple[int, int]
) -> torch.Tensor:
    """One slice with its noise; each slice has its own generator, so that slabs and whole stacks agree."""
    if isinstance(noise, MagnitudeNoise):
        shape = (int(clean.shape[0]), int(clean.shape[1]), int(clean.shape[2]))
        generator = torch.Generator().manual_seed(seed[0] * 1_000_003 + seed[1])
        return noise.draw(clean, generator, noise.field(shape, fine.slice_axis))
    if isinstance(noise, ProjectionNoise):
        flat = clean.squeeze(fine.slice_axis).numpy()
        axis = fine.in_plane_axes[0]
        spacing = fine.spacing_mm[axis] * fine.shape[axis] / flat.shape[0]
        field = noise_fields(flat, spacing, np.random.default_rng(seed))[0]
        return clean + noise.sigma_hu * torch.from_numpy(field).unsqueeze(fine.slice_axis)
    return clean.abs() if modality == "MR" else clean
