"""One volume through one bundle: the Restoration with all evidence the gate needs."""

from __future__ import annotations

import time

import torch

from medsr.errors import UsageError
from medsr.models.bundle import Bundle, find_bundle, load_network
from medsr.models.engine import TorchEngine, prepare_process
from medsr.physics import Identity, MagnitudeNoise, Operator, ProjectionNoise
from medsr.physics.estimate import NoiseEstimate, estimate_noise
from medsr.records import ModelIdentity, NoiseLevel, Restoration
from medsr.restore.intensity import intensity_of
from medsr.restore.operators import declared_operator, operator_of
from medsr.restore.regress import InPlaneResult, Progress, restore_in_plane
from medsr.restore.request import RestoreRequest
from medsr.settings import settings
from medsr.volume import Volume

__all__ = ["noise_of", "removable_sigma", "restore"]


def restore(
    volume: Volume, request: RestoreRequest, *, bundle: Bundle | None = None, progress: Progress | None = None
) -> Restoration:
    """Restore a measured volume.

    Parameters
    ----------
    volume : the measurement, with its declared operator if it has one.
    request : task and options.
    bundle : weights to use; the installed bundle that serves modality and task by default.
    progress : called with (slices done, slices in all).

    Raises
    ------
    UsageError : ``bundle.none``, ``restore.scale``, ``restore.task``.
    Refusal : ``operator.shape``, ``volume.empty``.
    """
    prepare_process(request.threads)
    started = time.perf_counter()
    chosen = bundle or find_bundle(volume.modality, task=request.task, method=request.method)
    network = load_network(chosen)
    engine = TorchEngine.of(network, device=request.device, precision=request.precision)
    loaded = time.perf_counter()
    estimated = estimate_noise(volume)
    noise = noise_of(volume, request, estimated)
    operator = operator_of(volume, request, noise)
    measured = time.perf_counter()
    result = _run(volume, engine, operator, removable_sigma(operator, noise), progress)
    finished = time.perf_counter()
    return Restoration(
        measured=volume,
        image=result.image,
        estimate=result.estimate,
        geometry=operator.linear.fine_geometry(volume.geometry),
        operator=operator,
        task=request.task,
        model=ModelIdentity(
            bundle=chosen.name,
            version=chosen.version,
            sha256=chosen.sha256,
            method=request.method,
            engine="torch",
            precision=engine.precision,
        ),
        noise=noise,
        timings={
            "load_s": loaded - started,
            "noise_s": measured - loaded,
            "restore_s": finished - measured,
            "network_cpu_s": result.network_s,
        },
        resources={"device": engine.device, "threads": torch.get_num_threads()},
        intensity={**intensity_of(volume).to_record(), "projection_weight": result.projection_weight},
    )


def noise_of(volume: Volume, request: RestoreRequest, estimated: NoiseEstimate) -> NoiseLevel:
    """Noise of the measurement: the user's value, else the sidecar's (MR), else the blind estimate.

    A CT sidecar states the noise that was added, not what the scan holds in all, so the estimate stands.
    """
    declared = declared_operator(volume)
    model = "gaussian" if volume.modality == "CT" else "rician"
    if declared is not None and isinstance(declared.noise, MagnitudeNoise) and declared.noise.coils > 1:
        model = "noncentral_chi"
    if request.noise is not None:
        return NoiseLevel(request.noise, model, "user")
    if declared is not None and volume.modality == "MR" and declared.noise.level > 0:
        return NoiseLevel(declared.noise.level, model, "declared")
    return NoiseLevel(estimated.sigma, model, "estimated")


def removable_sigma(operator: Operator, noise: NoiseLevel) -> float:
    """Noise that the network is asked to remove, in image units.

    At a declared dose that is what the dose cut added; the scan's own noise, which the full dose would have had
    too, stays. Otherwise all of it.
    """
    if isinstance(operator.noise, ProjectionNoise) and noise.provenance != "user":
        return operator.noise.sigma_hu
    return noise.sigma


def _run(
    volume: Volume,
    engine: TorchEngine,
    operator: Operator,
    sigma: float,
    progress: Progress | None,
) -> InPlaneResult:
    if not operator.linear.slices_are_independent:
        raise UsageError("restore.task", f"{operator.linear.kind} cannot be restored in plane")
    return restore_in_plane(
        volume,
        engine,
        config=engine.network.config,
        operator=operator,
        intensity=intensity_of(volume),
        sigma=sigma,
        scale=_told_scale(operator, volume),
        denoise_only=isinstance(operator.linear, Identity),
        memory_bytes=settings().tile_memory_bytes,
        progress=progress,
    )


def _told_scale(operator: Operator, volume: Volume) -> float:
    """In-plane factor: fine over coarse matrix along the first in-plane axis; 1 for denoising."""
    if isinstance(operator.linear, Identity):
        return 1.0
    axis = volume.geometry.in_plane_axes[0]
    return operator.linear.fine_shape[axis] / operator.linear.coarse_shape[axis]
