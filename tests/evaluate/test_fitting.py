"""Defaults are fitted on whole slices of held-out subjects, and nothing but settings and hash changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.methods import site
from support.volumes import mr_volume

from medsr.errors import UsageError
from medsr.evaluate import fitting
from medsr.evaluate.fitting import FIT, tune_bundle
from medsr.evaluate.held_out import held_out_scans, scans_by_subject
from medsr.models.bundle import Bundle, load_bundle
from medsr.models.reset import with_settings
from medsr.restore.painter import default_fidelity
from medsr.settings import settings


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Bundle]]:
    """Small bundles of every method, installed, whose recipes keep person1 out."""
    made = dict(site(tmp_path / "site", "MR"))
    for bundle in made.values():
        recipe = bundle.folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("validation_subjects: []", "validation_subjects: [person1]"))
    monkeypatch.setenv("MEDSR_MODELS", str(tmp_path / "site"))
    settings.cache_clear()
    yield made
    settings.cache_clear()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three subjects, the second of them with two scans."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, name in enumerate(("person0_a", "person1_a", "person1_b", "person2_a")):
        volume = mr_volume((80, 72, 5), sigma=10.0, seed=seed)
        image = nibabel.Nifti1Image(np.rint(volume.values).astype(np.int16), volume.geometry.world_from_voxel)
        image.header.set_xyzt_units("mm")
        image.to_filename(folder / f"{name}.nii.gz")
    return folder


def test_only_held_out_subjects_are_used(bundles: dict[str, Bundle], scans: Path) -> None:
    assert [scan.name for scan in held_out_scans(bundles["gan"], [scans], most=9)] == ["person1_a", "person1_b"]
    (scans / "files.csv").write_text("file,subject\nperson1_a.nii.gz,person1\nperson1_b.nii.gz,person1\n")
    assert [scan.name for scan in held_out_scans(bundles["gan"], [scans], most=1)] == ["person1_a"]
    others = scans_by_subject([scans], ("person1",), out=True, modality="MR", most=9)
    assert [scan.name for scan in others] == ["person0_a", "person2_a"]


def test_without_held_out_subjects_nothing_is_fitted(bundles: dict[str, Bundle], scans: Path) -> None:
    for path in scans.glob("person1*"):
        path.unlink()
    with pytest.raises(UsageError) as caught:
        tune_bundle(bundles["gan"], [scans], log=[].append)
    assert caught.value.code == "models.held_out"


def test_a_regressor_is_left_as_it_is(bundles: dict[str, Bundle], scans: Path) -> None:
    """Its hash is what its GAN end and its bridge name it by."""
    for deed in (
        lambda: tune_bundle(bundles["base"], [scans], log=[].append),
        lambda: with_settings(bundles["base"], {}),
    ):
        with pytest.raises(UsageError) as caught:
            deed()
        assert caught.value.code == "bundle.settings"
    assert load_bundle(bundles["base"].folder).sha256 == bundles["base"].sha256


def test_new_settings_leave_a_whole_bundle_with_the_same_weights(bundles: dict[str, Bundle]) -> None:
    before = bundles["gan"]
    after = with_settings(before, {"fidelity": {"denoise": 0.25}})
    assert default_fidelity(after, "denoise") == 0.25
    assert after.weights_sha256 == before.weights_sha256
    assert after.regressor == before.regressor
    assert after.sha256 != before.sha256
    assert with_settings(after, dict(before.settings)).sha256 == before.sha256


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gan", "diffusion"])
def test_the_choice_and_what_it_was_read_from_stand_in_the_bundle(
    bundles: dict[str, Bundle], scans: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "FITTED_SCALES", (2.0,))
    said: list[str] = []
    tuned = tune_bundle(bundles[method], [scans], log=said.append)
    table = tuned.settings["fidelity" if method == "gan" else "spread"]
    assert set(table) == {"denoise", "superres@2"}  # type: ignore[call-overload]  # JSON
    figures = json.loads((tuned.folder / "configs" / "metadata.json").read_text())["medsr"]["settings"][FIT]
    assert {item["degradation"] for item in figures} == {"MR denoise 3 %", "MR denoise 5 %", "MR denoise 9 %", "MR x2"}
    assert {item["subjects"] for item in figures} == {2}
    assert any("Spearman" in line or "gradient energy" in line for line in said)
    if method == "diffusion":
        ratios = [item["ratio"] for item in figures if item["level"] == "superres@2"]
        assert ratios == pytest.approx([1.0], abs=2e-3)


def test_the_multiplier_is_judged_by_the_geometric_mean_over_subjects() -> None:
    """Two scans of one subject count once."""
    items = [fitting._Spread("a", np.log(2.0), 0.5, 0.6, 0.0), fitting._Spread("b", np.log(8.0), 0.7, 0.6, 0.0)]
    figures = fitting._spread_figures("denoise", "x", [*items, replace(items[0])], 4.0)
    assert (figures.ratio, figures.low, figures.high, figures.subjects) == pytest.approx((1.0, 0.5, 2.0, 2))
