"""The few-step sampler is diffusers' Euler scheduler, and keeps the last estimate before projection."""

from __future__ import annotations

import pytest
import torch

from medsr.models.bridge import STEPS, BridgeSettings, bridge_input, residual_scale, scale_features
from medsr.restore.sampler import paired_noise, sample, step_weight


def _predict(x: torch.Tensor) -> torch.Tensor:
    """A nonlinear stand-in for the bridge: depends on x_t, x_reg and t."""
    moved, time = x[:, -2:-1], x[:, -1:]
    return torch.tanh(0.7 * moved + 0.2 * x[:, -3:-2]) + 0.1 * time


def test_our_sampler_equals_flow_match_euler() -> None:
    """With the velocity (x - r) / t the scheduler of diffusers takes the very same steps."""
    schedulers = pytest.importorskip("diffusers.schedulers.scheduling_flow_match_euler_discrete")
    given, regressed = torch.randn(2, 6, 16, 12), torch.randn(2, 1, 16, 12)
    scale = torch.rand(2, 1, 16, 12) + 0.1
    ours = sample(
        _predict,
        given,
        regressed,
        scale,
        steps=STEPS,
        noise=torch.randn(regressed.shape, generator=torch.Generator().manual_seed(3)),
    )
    scheduler = schedulers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(sigmas=list(STEPS))
    moved = torch.randn(regressed.shape, generator=torch.Generator().manual_seed(3))
    for time, step in zip(STEPS, scheduler.timesteps, strict=True):
        velocity = (moved - _predict(bridge_input(given, regressed, moved, time))) / time
        moved = scheduler.step(velocity, step, moved).prev_sample
    torch.testing.assert_close(ours.image, regressed + scale * moved, atol=2e-6, rtol=2e-6)


def test_a_perfect_prediction_is_reached_from_any_noise() -> None:
    truth, regressed = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    scale = torch.full_like(truth, 0.5)
    images = [
        sample(
            lambda _: (truth - regressed) / scale,
            torch.zeros(1, 6, 8, 8),
            regressed,
            scale,
            steps=STEPS,
            noise=torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed)),
        ).image
        for seed in (0, 1)
    ]
    torch.testing.assert_close(images[0], truth)
    torch.testing.assert_close(images[0], images[1])


def test_the_image_is_consistent_and_the_estimate_is_not() -> None:
    """The last unprojected estimate stays as evidence beside the projected image."""
    regressed, scale = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    drawn = sample(
        _predict,
        torch.zeros(1, 6, 8, 8),
        regressed,
        scale,
        steps=STEPS,
        noise=torch.randn(regressed.shape, generator=torch.Generator().manual_seed(0)),
        consistent=lambda x, _: x - x.mean() + 5.0,
    )
    assert float(drawn.image.mean()) == pytest.approx(5.0, abs=1e-5)
    assert abs(float(drawn.estimate.mean()) - 5.0) > 1


@pytest.mark.parametrize(("sigma", "expected"), [(0.0, 1.0), (0.1, 0.5), (1e9, 0.0)])
def test_data_consistency_weakens_with_noise(sigma: float, expected: float) -> None:
    """tau = s t = 0.1 here: hard without noise, half at sigma = tau."""
    assert step_weight(0.5, torch.full((4, 4), 0.2), sigma) == pytest.approx(expected, abs=1e-6)


def test_the_local_scale_grows_with_edges_and_stays_positive() -> None:
    given = torch.zeros(1, 6, 32, 32)
    regressed = torch.zeros(1, 1, 32, 32)
    regressed[..., 16:] = 1.0
    scale = residual_scale(given, regressed, (0.0, 0.0, 0.0, 0.5), slices=3)
    assert float(scale[0, 0, 16, 16]) > 10 * float(scale[0, 0, 16, 2]) > 0
    assert scale_features(given, regressed, slices=3).shape == (1, 4, 32, 32)


def test_the_noise_map_enters_the_scale_as_sigma() -> None:
    given = torch.zeros(1, 6, 8, 8)
    given[:, 3] = 10 * 0.05
    given[:, 4] = 1.0
    flat = torch.zeros(1, 1, 8, 8)
    scale = residual_scale(given, flat, (0.01, 2.0, 0.03, 0.0), slices=3)
    torch.testing.assert_close(scale, torch.full_like(flat, 0.01 + 0.1 + 0.03))


def test_settings_survive_the_way_through_json() -> None:
    settings = BridgeSettings((0.1, 0.2, 0.3, 0.4), spread={"denoise": 1.5})
    assert BridgeSettings.from_record(settings.to_record()) == settings
    assert settings.multiplier("denoise") == 1.5
    assert settings.multiplier("superres@2") == 1.0


def test_noise_comes_in_pairs_of_opposite_sign_and_is_white() -> None:
    drawn = list(paired_noise((1, 1, 64, 64), 5, torch.Generator().manual_seed(0)))
    assert len(drawn) == 5
    torch.testing.assert_close(drawn[0], -drawn[1])
    torch.testing.assert_close(drawn[2], -drawn[3])
    assert abs(float((drawn[0] * drawn[2]).mean())) < 0.06
    assert float(drawn[4].std()) == pytest.approx(1.0, abs=0.05)
