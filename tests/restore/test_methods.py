"""GAN ends by fidelity and samples by a bridge, on small bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from support.methods import SETTINGS, site
from support.volumes import ct_volume, mr_volume

from medsr.errors import UsageError
from medsr.models.bundle import Bundle
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.settings import settings

Bundles = Mapping[str, Bundle]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundles]:
    folder = tmp_path_factory.mktemp("site")
    made = site(folder, "MR")
    patch = pytest.MonkeyPatch()
    patch.setenv("MEDSR_MODELS", str(folder))
    settings.cache_clear()
    yield made
    patch.undo()
    settings.cache_clear()


def test_fidelity_one_is_the_regressor(bundles: Bundles) -> None:
    scan = mr_volume(sigma=20.0)
    whole = restore(scan, RestoreRequest("denoise", precision="fp32"), bundle=bundles["base"])
    mixed = restore(
        scan, RestoreRequest("denoise", method="gan", fidelity=1.0, precision="fp32"), bundle=bundles["gan"]
    )
    np.testing.assert_array_equal(mixed.image, whole.image)
    assert mixed.model is not None
    assert mixed.model.fidelity == 1.0


@pytest.mark.parametrize(("task", "scale", "expected"), [("denoise", None, 0.75), ("superres", 2.0, 0.25)])
def test_the_default_fidelity_is_the_bundles_for_the_level(
    bundles: Bundles, task: str, scale: float | None, expected: float
) -> None:
    request = RestoreRequest(task, scale=scale, method="gan")  # type: ignore[arg-type]  # a literal by parameter
    restored = restore(mr_volume(sigma=20.0), request, bundle=bundles["gan"])
    assert restored.model is not None
    assert restored.model.fidelity == expected


@pytest.mark.parametrize("fidelity", [0.6, -0.25, 1.25, float("nan")])
def test_only_calibratable_fidelities_are_offered(fidelity: float) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreRequest("denoise", method="gan", fidelity=fidelity)
    assert caught.value.code == "restore.fidelity"


def test_a_regressor_has_no_fidelity() -> None:
    with pytest.raises(UsageError) as caught:
        RestoreRequest("denoise", fidelity=0.5)
    assert caught.value.code == "restore.fidelity"


@pytest.mark.parametrize("samples", [0, 65])
def test_the_number_of_samples_is_bounded(samples: int) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreRequest("denoise", method="diffusion", samples=samples)
    assert caught.value.code == "restore.samples"


def test_a_regressor_of_another_version_is_not_mixed(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    other = replace(bundles["gan"], regressor=(bundles["base"].name, "0" * 64))
    with pytest.raises(UsageError) as caught:
        restore(mr_volume(), RestoreRequest("denoise", method="gan"), bundle=other)
    assert caught.value.code == "bundle.regressor"


def test_samples_are_reproducible_and_follow_their_seed(bundles: Bundles) -> None:
    scan = mr_volume((40, 36, 3), sigma=20.0)

    def run(seed: int, samples: int = 3) -> np.ndarray:
        request = RestoreRequest("denoise", method="diffusion", samples=samples, seed=seed)
        return restore(scan, request, bundle=bundles["diffusion"]).image

    np.testing.assert_array_equal(run(1), run(1))
    assert np.abs(run(1) - run(2)).max() > 0


def test_spread_is_the_samples_deviation_times_the_levels_multiplier(bundles: Bundles) -> None:
    scan = mr_volume((40, 36, 2), sigma=20.0)
    restored = restore(
        scan, RestoreRequest("denoise", method="diffusion", samples=4, seed=5), bundle=bundles["diffusion"]
    )
    assert restored.spread is not None
    assert restored.model is not None
    assert (restored.model.samples, restored.model.steps, restored.model.seed) == (4, 4, 5)
    single = [
        restore(
            scan, RestoreRequest("denoise", method="diffusion", samples=count, seed=5), bundle=bundles["diffusion"]
        ).image
        for count in (1, 2)
    ]
    pair = np.stack([single[0], 2 * single[1] - single[0]])
    two = restore(scan, RestoreRequest("denoise", method="diffusion", samples=2, seed=5), bundle=bundles["diffusion"])
    assert two.spread is not None
    np.testing.assert_allclose(two.spread, SETTINGS.multiplier("denoise") * pair.std(0, ddof=1), rtol=2e-3, atol=0.02)


def test_noise_free_samples_agree_with_the_data_and_their_estimate_need_not(bundles: Bundles) -> None:
    """Data consistency stands inside the sampler: A of the mean of the samples is y."""
    scan = degrade(mr_volume((48, 40, 2)), DegradeRequest("superres", scale=2))
    request = RestoreRequest("superres", scale=2, method="diffusion", samples=2, noise=0.0)
    restored = restore(scan, request, bundle=bundles["diffusion"])
    linear = restored.operator.linear
    predicted = linear.forward(torch.from_numpy(restored.image)).abs().numpy()
    assert restored.estimate is not None
    before = linear.forward(torch.from_numpy(restored.estimate)).abs().numpy()
    assert np.abs(predicted - scan.values).max() < 0.02 * scan.values.max()
    assert np.abs(before - scan.values).mean() > 3 * np.abs(predicted - scan.values).mean()


def test_ct_is_sampled_in_hounsfield_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site(tmp_path, "CT")
    monkeypatch.setenv("MEDSR_MODELS", str(tmp_path))
    settings.cache_clear()
    restored = restore(
        ct_volume((48, 48, 2), sigma=10.0),
        RestoreRequest("denoise", method="diffusion", samples=2),
        bundle=made["diffusion"],
    )
    settings.cache_clear()
    assert restored.spread is not None
    assert -1100 < float(np.median(restored.image[:6])) < -900
    assert 0 < float(restored.spread.mean()) < 300
