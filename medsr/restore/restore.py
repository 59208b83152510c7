"""One volume through one bundle: the Restoration with all evidence the gate needs."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from medsr.errors import UsageError
from medsr.models.bundle import Bundle, find_bundle
from medsr.models.engine import prepare_process
from medsr.models.levels import level_name
from medsr.physics import Identity, MagnitudeNoise, NoNoise, Operator, ProjectionNoise, SliceMask, SliceProfile
from medsr.physics.estimate import NoiseEstimate, estimate_noise
from medsr.records import NoiseLevel, Restoration
from medsr.restore.evidence import gathered
from medsr.restore.intensity import intensity_of
from medsr.restore.lost import acquired
from medsr.restore.operators import declared_operator, operator_of
from medsr.restore.painter import painter_of
from medsr.restore.regress import Progress
from medsr.restore.request import RestoreRequest
from medsr.restore.run import Run, told_scale
from medsr.volume import Volume

__all__ = ["noise_of", "removable_sigma", "restore", "told_sigma"]


def restore(
    volume: Volume, request: RestoreRequest, *, bundle: Bundle | None = None, progress: Progress | None = None
) -> Restoration:
    """Restore a measured volume.

    Parameters
    ----------
    volume : the measurement, with its declared operator if it has one.
    request : task and options.
    bundle : weights to use; the installed bundle that serves modality, task and method by default.
    progress : called with (slices done, slices in all).

    Returns
    -------
    For an inpainting `measured` holds the acquired slices alone, y as the operator has it.

    Raises
    ------
    UsageError : ``bundle.none``, ``bundle.regressor``, ``restore.scale``, ``restore.task``, ``restore.slices``.
    Refusal : ``operator.shape``, ``volume.empty``, ``restore.edge``.
    """
    prepare_process(request.threads)
    started = time.perf_counter()
    estimated = estimate_noise(volume)
    noise = noise_of(volume, request, estimated)
    operator = operator_of(volume, request, noise)
    linear = operator.linear
    y = acquired(volume, linear) if isinstance(linear, SliceMask) else volume
    measured = time.perf_counter()
    through = isinstance(linear, (SliceMask, SliceProfile))
    chosen = bundle or find_bundle(volume.modality, task=request.task, method=request.method, through_plane=through)
    if (chosen.plane == "through") != through:
        raise UsageError("restore.task", f"{chosen.name} does not restore a scan with {linear.kind}")
    painter = painter_of(chosen, request, level=level_name(request.task, told_scale(operator, volume)))
    loaded = time.perf_counter()
    run = Run(painter, intensity_of(y), *told_sigma(operator, noise, estimated))
    result = run(y, operator, progress=progress)
    finished = time.perf_counter()
    kept_grid = isinstance(linear, SliceMask)
    made = Restoration(
        # Fill values are put back by place on the whole grid, which y of a stack with lost slices is not.
        measured=replace(y, padding=None) if kept_grid else y,
        image=result.image,
        estimate=result.estimate,
        geometry=volume.geometry if kept_grid else linear.fine_geometry(volume.geometry),
        operator=operator,
        task=request.task,
        model=painter.identity,
        noise=noise,
        spread=result.spread,
        synthetic_slices=linear.missing if isinstance(linear, SliceMask) else (),
        timings={
            "load_s": loaded - measured,
            "noise_s": measured - started,
            "restore_s": finished - loaded,
            "network_cpu_s": result.network_s,
        },
        resources={"device": painter.engine.device, "threads": torch.get_num_threads()},
        intensity={**run.intensity.to_record(), "projection_weight": result.projection_weight},
        domain=chosen.domain,
    )
    return gathered(made, run, chosen, request)


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

    At a declared dose that is what the dose cut added, and nothing where the declared degradation added none; the
    scan's own noise, which the reference would have had too, stays. Otherwise all of it.
    """
    if operator.provenance == "declared" and isinstance(operator.noise, NoNoise) and noise.provenance != "user":
        return 0.0
    if isinstance(operator.noise, ProjectionNoise) and noise.provenance != "user":
        return operator.noise.sigma_hu
    return noise.sigma


def told_sigma(operator: Operator, noise: NoiseLevel, estimated: NoiseEstimate) -> tuple[float, float]:
    """Noise that the network is told of, and noise that data consistency allows for, in image units.

    Denoising removes what there is. Super-resolution was trained on noise that was added, beside the scan's own,
    which stays in input and truth alike: an undeclared noise is not removed, and the result agrees with the scan
    itself. Through plane the network was told what tissue shows.
    """
    known = noise.provenance != "estimated" or isinstance(operator.noise, ProjectionNoise)
    if isinstance(operator.linear, Identity) or known:
        removed = removable_sigma(operator, noise)
        return removed, removed
    if isinstance(operator.linear, (SliceMask, SliceProfile)):
        return float(noise.sigma if estimated.tissue is None else estimated.tissue), 0.0
    return 0.0, 0.0
