"""Noise models against Monte Carlo: the gate compares a residual with these moments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import rice

from medsr.errors import Refusal
from medsr.physics import GaussianNoise, MagnitudeNoise, NoNoise, ProjectionNoise, noise_from_record

DRAWS = 40_000


def drawn(noise: MagnitudeNoise, signal: float, count: int = DRAWS) -> torch.Tensor:
    values = torch.full((count,), signal, dtype=torch.float64)
    return noise.draw(values, torch.Generator().manual_seed(7), noise.sigma)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0, 5.0, 39.9, 40.1, 300.0, 5000.0])
def test_one_coil_is_rician(ratio: float) -> None:
    """Mean and sd are those of scipy's Rice distribution (its series from 30 sigma), in float32, at any signal."""
    mean, sd = MagnitudeNoise(3.0).mean_and_sd(torch.tensor([3 * ratio]), 3.0)
    if ratio < 30:
        assert float(mean) == pytest.approx(rice.mean(ratio, scale=3.0), abs=1e-3)
        assert float(sd) == pytest.approx(rice.std(ratio, scale=3.0), abs=1e-3)
    else:
        assert float(mean) == pytest.approx(3 * (ratio + 1 / (2 * ratio)), rel=1e-6)
        assert float(sd) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("coils", [1, 2, 8, 32, 64])
@pytest.mark.parametrize("ratio", [0.0, 2.0, 10.0, 60.0])
def test_moments_of_independent_coils_are_those_of_the_draw(coils: int, ratio: float) -> None:
    noise = MagnitudeNoise(2.0, coils)
    y = drawn(noise, 2 * ratio, DRAWS // 4)
    mean, sd = noise.mean_and_sd(torch.tensor([2 * ratio], dtype=torch.float64), 2.0)
    error = float(y.std()) / math.sqrt(len(y))
    assert float(mean) == pytest.approx(float(y.mean()), abs=5 * error + 1e-3)
    assert float(sd) == pytest.approx(float(y.std()), rel=0.04)
    square = (2 * ratio) ** 2 + 2 * coils * 4
    assert float((y**2).mean()) == pytest.approx(square, rel=0.02)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 4.0, 20.0])
def test_moments_of_correlated_coils_are_close_to_the_draw(ratio: float) -> None:
    """The gamma law of y^2 errs by at most 0.02 sigma in the mean and 5 % in the sd at 8 coils, correlation 0.3."""
    noise = MagnitudeNoise(1.0, 8, 0.3)
    y = drawn(noise, ratio)
    mean, sd = noise.mean_and_sd(torch.tensor([ratio], dtype=torch.float64), 1.0)
    assert float(mean) == pytest.approx(float(y.mean()), abs=0.03)
    assert float(sd) == pytest.approx(float(y.std()), rel=0.06)


def test_correlated_coils_have_the_covariance_that_is_stated() -> None:
    noise = MagnitudeNoise(1.0, 4, 0.5)
    assert noise.covariance().tolist() == (0.5 * np.ones((4, 4)) + 0.5 * np.eye(4)).tolist()
    wide, narrow = drawn(noise, 50.0).std(), drawn(MagnitudeNoise(1.0, 4), 50.0).std()
    assert float(wide / narrow) == pytest.approx(math.sqrt(1 + 3 * 0.5), rel=0.02)


def test_no_jump_where_the_table_ends() -> None:
    """The mean is continuous and above the signal, also past the last tabulated ratio."""
    ratio = torch.linspace(390, 410, 2001, dtype=torch.float64)
    mean, sd = MagnitudeNoise(1.0, 8).mean_and_sd(ratio, 1.0)
    assert float((mean - ratio).diff().abs().max()) < 1e-5
    assert bool((mean > ratio).all())
    assert bool((sd > 0.99).all())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_map_rises_from_the_rim_to_its_peak(axis: int) -> None:
    field = MagnitudeNoise(2.0, peak=2.5).field((33, 33, 33), axis)
    assert field.shape[axis] == 1
    middle = [16, 16, 16]
    middle[axis] = 0
    assert float(field[tuple(middle)]) == pytest.approx(5.0)
    assert float(field.min()) == pytest.approx(2.0, rel=0.01)
    assert MagnitudeNoise(2.0).field((33, 33, 33), axis).tolist() == [[[2.0]]]


def test_noise_follows_the_map() -> None:
    noise = MagnitudeNoise(1.0, peak=2.5)
    signal = torch.full((65, 65, 40), 100.0)
    y = noise.draw(signal, torch.Generator().manual_seed(0), noise.field((65, 65, 40), 2))
    assert float(y[30:35, 30:35].std()) == pytest.approx(2.5, rel=0.06)
    assert float(y[:5, :5].std()) == pytest.approx(1.0, rel=0.06)


def test_the_same_seed_draws_the_same_noise() -> None:
    noise, signal = MagnitudeNoise(1.0, 2, 0.2), torch.ones(50)
    one, same, other = (noise.draw(signal, torch.Generator().manual_seed(seed), 1.0) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("noise", [GaussianNoise(2.0), NoNoise(), ProjectionNoise(2.0, 0.25)])
def test_signed_noise_has_the_signal_as_its_mean(noise: GaussianNoise) -> None:
    signal = torch.tensor([[-5.0, 0.0, 7.0]])
    mean, sd = noise.mean_and_sd(signal, 2.0)
    assert torch.equal(mean, signal)
    assert sd.tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    "noise", [NoNoise(), GaussianNoise(2.0), MagnitudeNoise(1.5, 4, 0.2, 1.7), ProjectionNoise(8.0, 0.25)]
)
def test_a_record_builds_the_same_noise(noise: GaussianNoise) -> None:
    assert noise_from_record(noise.to_record()) == noise


@pytest.mark.parametrize(
    "record",
    [
        {"model": "gaussian"},
        {"model": "gaussian", "sigma": -1},
        {"model": "gaussian", "sigma": float("nan")},
        {"model": "gaussian", "sigma": "3"},
        {"model": "gaussian", "sigma": True},
        {"model": "gaussian", "sigma": 1, "shape": 2},
        {"model": "magnitude", "sigma": 1, "coils": 0},
        {"model": "magnitude", "sigma": 1, "coils": 1.5},
        {"model": "magnitude", "sigma": 1, "coils": 10**9},
        {"model": "magnitude", "sigma": 1, "correlation": 1},
        {"model": "magnitude", "sigma": 1, "correlation": "high"},
        {"model": "magnitude", "sigma": 1, "peak": 3},
        {"model": "projection", "sigma_hu": 1, "dose_fraction": 0},
        {"model": "projection", "sigma_hu": 1, "dose_fraction": 1},
        {"model": "projection", "sigma_hu": float("inf"), "dose_fraction": 0.5},
    ],
)
def test_impossible_noise_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(Refusal, match=r"\[noise\.parameter\]"):
        noise_from_record(record)


@pytest.mark.parametrize("model", ["poisson", None, 3])
def test_unknown_noise_is_refused(model: object) -> None:
    with pytest.raises(Refusal, match=r"\[noise\.unknown\]"):
        noise_from_record({"model": model})
