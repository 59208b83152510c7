"""A bridge exports as a diffusers pipeline that draws the samples medsr draws; MONAI runs a bundle's inference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.methods import BASE, SETTINGS, site

from medsr.errors import UsageError
from medsr.models.bridge import residual_scale
from medsr.models.bundle import load_network
from medsr.models.export import export_diffusers
from medsr.restore.sampler import sample
from medsr.settings import settings


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    made = site(tmp_path / "site", "MR")
    monkeypatch.setenv("MEDSR_MODELS", str(tmp_path / "site"))
    settings.cache_clear()
    yield made
    settings.cache_clear()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings of diffusers' and its dependencies' import
def test_the_exported_pipeline_draws_our_samples(installed: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    from medsr.models.diffusers_form import RestorationPipeline

    bundle = installed["diffusion"]
    folder = export_diffusers(bundle, tmp_path / "folder")
    assert {"model_index.json", "regressor", "bridge", "scheduler", "pipeline.py"} <= {p.name for p in folder.iterdir()}
    saved = json.loads((folder / "bridge" / "config.json").read_text())
    assert saved["scale_weights"] == list(SETTINGS.scale_weights)
    pipeline = RestorationPipeline.from_pretrained(str(folder))
    given = torch.randn(2, BASE.channels, 16, 16, generator=torch.Generator().manual_seed(1))
    theirs = pipeline(given, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        regressed = load_network(installed["base"])(given)
        scale = residual_scale(given, regressed, SETTINGS.scale_weights, slices=BASE.slices)
        ours = sample(
            load_network(bundle),
            given,
            regressed,
            scale,
            steps=SETTINGS.steps,
            noise=torch.randn(regressed.shape, generator=torch.Generator().manual_seed(7)),
        )
    torch.testing.assert_close(theirs, ours.image, atol=1e-5, rtol=1e-5)


def test_a_regressor_is_no_pipeline(installed: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        export_diffusers(installed["base"], tmp_path / "folder")
    assert caught.value.code == "export.method"


def test_an_export_overwrites_nothing(installed: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError) as caught:
        export_diffusers(installed["diffusion"], tmp_path / "folder")
    assert caught.value.code == "export.not_empty"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "through", "diffusion"])
def test_monai_runs_the_inference_config(installed: dict[str, object], tmp_path: Path, kind: str) -> None:
    """`python -m monai.bundle run` with the bundle's own inference.json writes the network's output."""
    pytest.importorskip("monai")
    pytest.importorskip("fire")
    bundle = installed[kind]
    network = load_network(bundle)
    given = torch.randn(network.config.channels, 16, 16, generator=torch.Generator().manual_seed(0))
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "slice.npy", given.numpy())
    options = {
        "config_file": str(bundle.folder / "configs" / "inference.json"),
        "meta_file": str(bundle.folder / "configs" / "metadata.json"),
        "bundle_root": str(bundle.folder),
        "dataset_dir": str(tmp_path / "data"),
        "output_dir": str(tmp_path / "out"),
    }
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
    command += [part for name, value in options.items() for part in (f"--{name}", value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    import nibabel

    (written,) = (tmp_path / "out").rglob("*.nii.gz")
    with torch.inference_mode():
        expected = network(given[None])[0, 0].numpy()
    np.testing.assert_allclose(np.squeeze(nibabel.load(written).get_fdata()), expected, atol=1e-4)
