"""Every method trains from its recipe, goes on after an interruption, and leaves a bundle that restores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.methods import BASE, BRIDGE, THROUGH, recipe, site
from support.volumes import ct_volume, mr_volume

from medsr.io.encoding import as_stored
from medsr.io.write import write_nifti
from medsr.models.bundle import Bundle, load_bundle, load_network
from medsr.physics import KSpaceTruncation
from medsr.train.loop import Report
from medsr.train.operator_pairs import OperatorDraw, null_part, range_part
from medsr.train.recipe import Recipe
from medsr.train.scans import mr_scan
from medsr.train.through_pairs import ThroughDraw
from medsr.train.through_scans import through_scan
from medsr.train.train import train
from medsr.volume import Volume


def _iso(volume: Volume) -> Volume:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    return replace(volume, geometry=replace(volume.geometry, world_from_voxel=affine))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(3):
        volume = _iso(mr_volume((80, 72, 12), sigma=10.0, seed=seed))
        stored = as_stored(volume.values, volume.geometry, volume, sigma=10.0)
        write_nifti(folder / f"person{seed}_t1.nii.gz", stored.values, volume.geometry, volume, stored)
    return folder


def _train(chosen: Recipe, scans: Path, output: Path, start: Bundle | None = None) -> tuple[Path, list[Report]]:
    reports: list[Report] = []
    folder = train(chosen, scans, output, start=start, report=reports.append, log=lambda _: None)
    return folder, reports


def test_through_plane_trains_and_names_its_maps(scans: Path, tmp_path: Path) -> None:
    chosen = recipe("mr-x-through", "MR", THROUGH, plane="through", patch=64, validation_subjects=("person2",))
    folder, _ = _train(chosen, scans, tmp_path / "out")
    bundle = load_bundle(folder)
    assert (bundle.plane, bundle.tasks) == ("through", ("superres", "inpaint"))
    channels = json.loads((folder / "configs" / "metadata.json").read_text())["network_data_format"]["inputs"]["image"]
    assert channels["num_channels"] == 9
    assert "place of the centre" in channels["channel_def"]["8"]
    assert set(bundle.domain["features"]) >= {"slice_spacing_mm", "noise", "spectral_slope"}  # type: ignore[arg-type]  # JSON


@pytest.mark.parametrize(("method", "config"), [("gan", BASE), ("diffusion", BRIDGE)])
def test_a_method_on_a_regressor_names_it_by_hash(
    scans: Path, tmp_path: Path, method: str, config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("monai")
    monkeypatch.setattr("medsr.train.bridge_loop._FIT_BATCHES", 2)
    base = site(tmp_path / "site", "MR")["base"]
    chosen = recipe(f"mr-x-{method}", "MR", config, method=method, validation_subjects=("person2",))  # type: ignore[arg-type]  # a configuration by parameter
    folder, _ = _train(chosen, scans, tmp_path / "out", base)
    bundle = load_bundle(folder)
    assert bundle.method == method
    assert bundle.regressor == (base.name, base.sha256)
    assert bundle.settings["fidelity" if method == "gan" else "spread"] == {}, "fitted later, on whole slices"
    assert "held-out" in (folder / "docs" / "README.md").read_text()
    load_network(bundle)


def test_an_interrupted_training_goes_on(scans: Path, tmp_path: Path) -> None:
    chosen = recipe("mr-x-through", "MR", THROUGH, plane="through", patch=64)
    folder, _ = _train(chosen, scans, tmp_path / "out")
    first = (folder / "models" / "model.safetensors").read_bytes()
    _train(chosen, scans, tmp_path / "out")
    assert (folder / "models" / "model.safetensors").read_bytes() == first, "its minutes were spent"


@pytest.mark.parametrize("kind", ["wide", "strip"])
def test_pairs_of_a_through_plane_net_hold_what_restoration_gives_it(kind: str) -> None:
    """Without noise the interpolation in the centre is closer to the target than the slice before or after."""
    scan = through_scan(_iso(mr_volume((128, 112, 16), sigma=2.0)), "a", "a")
    assert scan is not None
    draw = ThroughDraw(recipe("x", "MR", THROUGH, plane="through", patch=64), [scan], np.random.default_rng(0))
    given, target = draw.batch(16, kind=kind)  # type: ignore[arg-type]  # a literal by parameter
    assert given.shape[1] == THROUGH.channels
    assert given.shape[2:] == target.shape[2:]
    errors = [float((given[:, index : index + 1] - target).square().mean()) for index in (1, 2, 3)]
    assert errors[1] < min(errors[0], errors[2])
    assert torch.isfinite(given).all()


def test_pairs_follow_their_seed() -> None:
    scan = through_scan(_iso(mr_volume((80, 72, 12), sigma=2.0)), "a", "a")
    assert scan is not None
    chosen = recipe("x", "MR", THROUGH, plane="through", patch=64)
    draws = [ThroughDraw(chosen, [scan], np.random.default_rng(seed)).batch(2) for seed in (0, 0, 1)]
    torch.testing.assert_close(draws[0][0], draws[1][0])
    assert draws[0][0].shape != draws[2][0].shape or not torch.equal(draws[0][0], draws[2][0])


@pytest.mark.parametrize(("spacing", "usable"), [(1.0, True), (4.4, True), (5.0, False)])
def test_slices_too_far_apart_teach_nothing(spacing: float, usable: bool) -> None:
    volume = mr_volume((80, 72, 12))
    affine = np.diag([1.0, 1.0, spacing, 1.0])
    scan = through_scan(replace(volume, geometry=replace(volume.geometry, world_from_voxel=affine)), "a", "a")
    assert (scan is not None) == usable
    if scan is not None:
        assert scan.stacks[0].full_support == (spacing < 2)


def test_ct_is_cut_from_the_side_too() -> None:
    scan = through_scan(ct_volume((120, 112, 8), sigma=10.0), "a", "a")
    assert scan is not None
    assert [stack.values.shape[0] for stack in scan.stacks] == [8, 120, 112]


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_range_and_null_part_of_a_batch_add_up(scale: float) -> None:
    scan = mr_scan(_iso(mr_volume((128, 112, 6), sigma=5.0)), "a", "a")
    assert scan is not None
    draw = OperatorDraw(recipe("x", "MR", BASE, patch=72), [scan], np.random.default_rng(0))
    batch = draw.operator_batch(2, scale=scale)
    x = batch.target
    if scale == 1.0:
        assert batch.linear is None
        assert float(null_part(batch, torch.ones_like(x)).abs().max()) < 1e-6
        return
    assert isinstance(batch.linear, KSpaceTruncation)
    torch.testing.assert_close(range_part(batch, x) + null_part(batch, x), x)
    unseen = batch.linear.forward(null_part(batch, x).movedim(1, -1))
    assert float(unseen.abs().max()) < 1e-4
