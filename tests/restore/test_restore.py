"""A whole volume through a bundle: place, scale, evidence, precedence of what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import bundles
from support.volumes import MADE, ct_volume, geometry, mr_volume

from medsr.errors import Refusal, UsageError
from medsr.models.bundle import Bundle
from medsr.physics import (
    AreaAverage,
    GaussianNoise,
    Identity,
    KSpaceTruncation,
    MagnitudeNoise,
    NoiseModel,
    NoNoise,
    Operator,
    OverlapAverage,
    ProjectionNoise,
    SliceMask,
)
from medsr.physics.estimate import NoiseEstimate
from medsr.physics.linear import LinearOperator
from medsr.records import NoiseLevel
from medsr.restore import restore as module
from medsr.restore import run as run_module
from medsr.restore.intensity import Intensity, intensity_of, percentile_of_positive
from medsr.restore.operators import declared_operator, operator_of
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import noise_of, removable_sigma, restore
from medsr.settings import Settings
from medsr.volume import Volume

ESTIMATED = NoiseEstimate(7.0)


@pytest.fixture
def mr(tmp_path: Path) -> Bundle:
    return bundles.bundle(tmp_path / "mr", "MR")


@pytest.fixture
def ct(tmp_path: Path) -> Bundle:
    return bundles.bundle(tmp_path / "ct", "CT")


@pytest.fixture
def still(tmp_path: Path) -> Bundle:
    """A bundle whose network changes nothing."""
    weights = {name: torch.zeros_like(value) for name, value in bundles.network().state_dict().items()}
    from medsr.models.bundle import load_bundle

    return load_bundle(bundles.write(tmp_path / "still", "MR", weights=weights))


def asked(task: str = "superres", scale: float | None = 2.0, **more: object) -> RestoreRequest:
    return RestoreRequest(task, scale=None if task == "denoise" else scale, precision="fp32", threads=1, **more)


def on_axis(volume: Volume, axis: int) -> Volume:
    """The same voxels with the slice axis moved to `axis`, at other places in space."""
    values = np.asfortranarray(np.moveaxis(volume.values, 2, axis))
    return replace(volume, values=values, geometry=replace(geometry(values.shape), slice_axis=axis))


def declared(volume: Volume, linear: LinearOperator, noise: NoiseModel) -> Volume:
    return replace(volume, degradation={"operator": Operator(linear, noise, "declared").to_record()})


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("task", ["denoise", "superres"])
def test_the_slice_axis_does_not_matter(mr: Bundle, axis: int, task: str) -> None:
    """The same slices stacked along another axis come out the same."""
    volume = mr_volume((24, 21, 4), sigma=30)
    one = restore(volume, asked(task, noise=30.0), bundle=mr)
    other = restore(on_axis(volume, axis), asked(task, noise=30.0), bundle=mr)
    for name in ("image", "estimate"):
        assert np.allclose(np.moveaxis(getattr(other, name), axis, 2), getattr(one, name), atol=2e-2)
    assert other.geometry.slice_axis == axis
    assert other.image.shape == other.geometry.shape


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_the_restored_grid_has_the_field_of_view_of_the_scan(
    mr: Bundle, ct: Bundle, modality: str, scale: float
) -> None:
    """Outer edges in mm stay; in-plane matrix times the scale; slices untouched."""
    volume = mr_volume((21, 18, 3)) if modality == "MR" else ct_volume((21, 18, 3))
    made = restore(volume, asked(scale=scale), bundle=mr if modality == "MR" else ct)
    assert made.geometry.shape == (round(21 * scale), round(18 * scale), 3) == made.image.shape
    low, high = [-0.5] * 3, np.array(made.geometry.shape) - 0.5
    assert np.allclose(made.geometry.world(low), volume.geometry.world(low))
    assert np.allclose(made.geometry.world(high), volume.geometry.world(np.array([21, 18, 3]) - 0.5))
    assert made.image.dtype == np.float32


def test_a_restored_blob_stays_where_it_was(still: Bundle) -> None:
    """World centroid before and after, through the whole walk with a network that changes nothing."""
    first, second = np.meshgrid(np.arange(40) - 17.3, np.arange(44) - 24.8, indexing="ij")
    plane = 1000 * np.exp(-(first**2 + second**2) / (2 * 4.0**2))
    values = np.asfortranarray(np.repeat(plane[:, :, None], 3, 2).astype(np.float32))
    volume = Volume(values, geometry(values.shape), "MR", "arbitrary", MADE)
    made = restore(volume, asked(noise=0.0), bundle=still)
    places = [_centroid(volume.values, volume.geometry), _centroid(made.image, made.geometry)]
    assert np.abs(places[0] - places[1]).max() < 0.02


def test_intensities_are_inverted_exactly(still: Bundle) -> None:
    """A network that changes nothing gives the scan back, to the rounding of one multiplication."""
    volume = mr_volume((24, 21, 4), sigma=30)
    made = restore(volume, asked("denoise"), bundle=still)
    assert np.abs(made.image - volume.values).max() <= 2e-7 * float(volume.values.max())
    scaled = replace(volume, values=np.asfortranarray(volume.values * np.float32(37.5)))
    again = restore(scaled, asked("denoise"), bundle=still)
    assert np.allclose(again.image, 37.5 * made.image, rtol=1e-6)


def test_a_hard_projection_reproduces_the_scan(ct: Bundle) -> None:
    """Noise 0: A x^ = y, while the estimate before projection is kept and does not."""
    volume = ct_volume((24, 21, 3))
    made = restore(volume, asked(noise=0.0), bundle=ct)
    forward = lambda image: made.operator.linear.forward(torch.from_numpy(np.ascontiguousarray(image))).numpy()  # noqa: E731  # a formula
    assert np.abs(forward(made.image) - volume.values).max() < 1e-2
    assert np.abs(forward(made.estimate) - volume.values).max() > 1
    assert made.intensity["projection_weight"] == 1.0


def test_denoising_keeps_its_estimate_without_a_copy(mr: Bundle) -> None:
    """There is nothing to project on: image and estimate are one array."""
    made = restore(mr_volume((24, 21, 4), sigma=30), asked("denoise"), bundle=mr)
    assert made.estimate is made.image
    assert made.intensity["projection_weight"] == 0.0
    assert isinstance(made.operator.linear, Identity)


def test_tiles_change_nothing(mr: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with no memory to spare restores the very same image."""
    volume = mr_volume((150, 141, 2), sigma=30)
    whole = restore(volume, asked(), bundle=mr)
    monkeypatch.setattr(run_module, "settings", lambda: Settings(tile_memory_bytes=1))
    tiled = restore(volume, asked(), bundle=mr)
    assert np.array_equal(whole.image, tiled.image)
    assert np.array_equal(whole.estimate, tiled.estimate)


@pytest.mark.parametrize("fill", [-2000.0, -3024.0])
def test_fill_values_never_reach_the_network(ct: Bundle, fill: float) -> None:
    """Whatever the scanner wrote outside its circle, the image inside is the same as with air there."""
    volume = ct_volume((48, 48, 3), sigma=10)
    first, second = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48), indexing="ij")
    outside = np.repeat((np.hypot(first, second) > 1)[:, :, None], 3, 2)
    air = replace(volume, values=np.asfortranarray(np.where(outside, np.float32(-1000), volume.values)))
    filled = np.asfortranarray(np.where(outside, np.float32(fill), volume.values))
    padded = replace(volume, values=filled, padding=np.asfortranarray(outside))
    for task in ("denoise", "superres"):
        one, other = (restore(v, asked(task, noise=10.0), bundle=ct) for v in (air, padded))
        assert np.array_equal(one.image, other.image)


def test_progress_counts_every_slice(mr: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    restore(
        mr_volume((24, 21, 4)), asked("denoise"), bundle=mr, progress=lambda done, count: seen.append((done, count))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_evidence_names_model_noise_and_time(mr: Bundle) -> None:
    made = restore(mr_volume((24, 21, 4), sigma=30), asked(), bundle=mr)
    assert made.model is not None
    assert (made.model.bundle, made.model.sha256, made.model.precision) == ("mr", mr.sha256, "fp32")
    assert set(made.timings) == {"load_s", "noise_s", "restore_s", "network_cpu_s"}
    assert made.noise.provenance == "estimated"
    assert made.operator.provenance == "estimated"
    assert made.intensity["divisor"] == pytest.approx(percentile_of_positive(made.measured.values))


def test_one_slice_is_enough(mr: Bundle) -> None:
    assert restore(mr_volume((24, 21, 1)), asked(), bundle=mr).image.shape == (48, 42, 1)


def test_lost_slices_are_not_restored_in_plane(mr: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = Operator(SliceMask((24, 21, 4), (0, 1, 2, 3)), NoNoise(), "declared")
    monkeypatch.setattr(module, "operator_of", lambda *_: mask)
    with pytest.raises(UsageError, match=r"slice_mask.*\[restore\.task\]"):
        restore(mr_volume((24, 21, 4)), asked("denoise"), bundle=mr)


def test_the_users_noise_wins_over_every_other() -> None:
    volume = mr_volume((24, 21, 4))
    sidecar = declared(volume, Identity((24, 21, 4)), MagnitudeNoise(20.0))
    assert noise_of(sidecar, asked("denoise", noise=3.0), ESTIMATED) == NoiseLevel(3.0, "rician", "user")
    assert noise_of(sidecar, asked("denoise"), ESTIMATED) == NoiseLevel(20.0, "rician", "declared")
    assert noise_of(volume, asked("denoise"), ESTIMATED) == NoiseLevel(7.0, "rician", "estimated")
    silent = declared(volume, Identity((24, 21, 4)), NoNoise())
    assert noise_of(silent, asked("denoise"), ESTIMATED) == NoiseLevel(7.0, "rician", "estimated")
    coils = declared(volume, Identity((24, 21, 4)), MagnitudeNoise(20.0, 8))
    assert noise_of(coils, asked("denoise"), ESTIMATED).model == "noncentral_chi"


def test_a_ct_sidecar_tells_what_was_added_not_what_is_there() -> None:
    """The estimate stays the noise of the measurement; the network is asked to remove what the dose cut added."""
    volume = declared(ct_volume((24, 20, 3)), Identity((24, 20, 3)), ProjectionNoise(12.0, 0.25))
    noise = noise_of(volume, asked("denoise"), ESTIMATED)
    assert noise == NoiseLevel(7.0, "gaussian", "estimated")
    operator = operator_of(volume, asked("denoise"), noise)
    assert removable_sigma(operator, noise) == 12.0
    assert removable_sigma(operator, NoiseLevel(5.0, "gaussian", "user")) == 5.0


@pytest.mark.parametrize(
    ("volume", "scale", "kind"),
    [
        (mr_volume((24, 20, 3)), 2.0, KSpaceTruncation),
        (mr_volume((24, 20, 3)), 1.5, KSpaceTruncation),
        (ct_volume((24, 20, 3)), 2.0, AreaAverage),
        (ct_volume((24, 20, 3)), 1.5, OverlapAverage),
    ],
)
def test_an_undeclared_operator_follows_the_modality(volume: Volume, scale: float, kind: type) -> None:
    operator = operator_of(volume, asked(scale=scale), NoiseLevel(4.0, "x", "estimated"))
    assert isinstance(operator.linear, kind)
    assert operator.linear.coarse_shape == volume.geometry.shape
    assert operator.provenance == "estimated"
    assert operator.noise == (MagnitudeNoise(4.0) if volume.modality == "MR" else NoNoise())


def test_a_declared_operator_wins_where_it_serves_the_task() -> None:
    volume = mr_volume((24, 20, 3))
    linear = KSpaceTruncation((49, 41, 3), (24, 20))
    scan, noise = declared(volume, linear, MagnitudeNoise(9.0)), NoiseLevel(9.0, "rician", "declared")
    assert operator_of(scan, asked(scale=2.0), noise).linear == linear
    assert operator_of(scan, asked(scale=2.0), noise).provenance == "declared"
    denoise = operator_of(scan, asked("denoise"), noise)
    assert (denoise.linear, denoise.noise) == (Identity((24, 20, 3)), MagnitudeNoise(9.0))


def test_another_scale_than_the_declared_one_is_refused() -> None:
    scan = declared(mr_volume((24, 20, 3)), KSpaceTruncation((48, 40, 3), (24, 20)), NoNoise())
    with pytest.raises(UsageError, match=r"scale 4 asked for, .* says 96|48 from 24 voxels \[restore\.scale\]"):
        operator_of(scan, asked(scale=4.0), NoiseLevel(1.0, "rician", "estimated"))


def test_an_operator_of_another_scan_is_refused() -> None:
    scan = declared(mr_volume((24, 20, 3)), KSpaceTruncation((48, 40, 3), (24, 21)), NoNoise())
    with pytest.raises(Refusal, match=r"gives \(24, 21, 3\), the scan has \(24, 20, 3\) \[operator\.shape\]"):
        declared_operator(scan)


@pytest.mark.parametrize("record", [{"operator": 3}, {"operator": None}])
def test_a_sidecar_without_a_record_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(Refusal, match=r"\[operator\.parameter\]"):
        declared_operator(replace(mr_volume((24, 20, 3)), degradation=record))


def test_intensity_follows_the_modality() -> None:
    volume = mr_volume((24, 20, 3))
    positive = volume.values[volume.values > 0]
    assert intensity_of(volume) == Intensity("MR", float(np.percentile(positive, 99.9)))
    assert intensity_of(ct_volume((24, 20, 3))) == Intensity("CT", 1000.0)


def test_a_volume_without_a_positive_voxel_is_refused() -> None:
    volume = mr_volume((24, 20, 3))
    with pytest.raises(Refusal, match=r"\[volume\.empty\]"):
        intensity_of(replace(volume, values=np.zeros_like(volume.values)))


def test_gaussian_noise_may_be_declared_for_mr() -> None:
    scan = declared(mr_volume((24, 20, 3)), Identity((24, 20, 3)), GaussianNoise(5.0))
    assert noise_of(scan, asked("denoise"), ESTIMATED).sigma == 5.0


def _centroid(values: np.ndarray, grid: object) -> np.ndarray:
    places = grid.world(np.moveaxis(np.indices(values.shape), 0, -1))
    weights = values.astype(np.float64)
    return (places * weights[..., None]).sum((0, 1, 2)) / weights.sum()
