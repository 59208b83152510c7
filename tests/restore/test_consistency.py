"""Projection onto the data: hard without noise, weighted with it, honest about signs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.operators import normal

from medsr.physics import (
    AreaAverage,
    Identity,
    KSpaceTruncation,
    LinearOperator,
    MagnitudeNoise,
    NoNoise,
    OverlapAverage,
)
from medsr.restore.consistency import project, residual, wiener_weight

LINEARS = [
    AreaAverage((12, 8, 2), (2, 4)),
    OverlapAverage((13, 9, 2), (9, 6)),
    KSpaceTruncation((13, 9, 2), (7, 5)),
    KSpaceTruncation((12, 8, 2), (6, 4)),
    Identity((5, 6, 2)),
]


@pytest.mark.parametrize("linear", LINEARS, ids=lambda linear: f"{linear.kind}-{linear.coarse_shape}")
@given(seed=st.integers(0, 2**31 - 1))
def test_hard_projection_reproduces_the_measurement(linear: LinearOperator, seed: int) -> None:
    """A x^ = y for any measurement A can make, whatever the estimate; the null part of the estimate stays."""
    estimate = normal(linear.fine_shape, seed + 1)
    y = linear.forward(normal(linear.fine_shape, seed))
    made = project(y, estimate, linear=linear, noise=NoNoise(), sigma=0.0, magnitude=False)
    assert made.weight == 1.0
    assert torch.allclose(linear.forward(made.image), y, atol=1e-9)
    null = lambda x: x - linear.project(x)  # noqa: E731  # a formula, used on the next line only
    assert torch.allclose(null(made.image), null(estimate), atol=1e-9)
    assert made.residual_rms == pytest.approx(float((y - linear.forward(estimate)).square().mean().sqrt()))


def test_magnitudes_are_compared_and_keep_the_sign_of_the_prediction() -> None:
    """Where A x rings to -3 and y says 5, the residual is -2: A x moves to -5, not to 5."""
    linear = Identity((1, 1, 3))
    estimate = torch.tensor([[[-3.0, 4.0, 0.0]]])
    y = torch.tensor([[[5.0, 3.0, 2.0]]])
    r = residual(y, estimate, linear=linear, noise=NoNoise(), sigma=0.0, magnitude=True)
    assert r.tolist() == [[[-2.0, -1.0, 2.0]]]
    made = project(y, estimate, linear=linear, noise=NoNoise(), sigma=0.0, magnitude=True)
    assert linear.forward(made.image).abs().tolist() == y.tolist()


def test_the_rician_mean_is_expected_not_the_signal() -> None:
    """In air y is 1.25 sigma on average while x is 0: that is no contradiction."""
    signal = torch.zeros((64, 64, 1), dtype=torch.float64)
    noise = MagnitudeNoise(10.0)
    y = noise.draw(signal, torch.Generator().manual_seed(0), 10.0)
    r = residual(y, signal, linear=Identity((64, 64, 1)), noise=noise, sigma=10.0, magnitude=True)
    assert abs(float(r.mean())) < 0.4
    assert float(y.mean()) > 12


@pytest.mark.parametrize(
    ("rms", "sigma", "weight"), [(3.0, 0.0, 1.0), (2.0, 2.0, 0.0), (1.0, 2.0, 0.0), (5.0, 3.0, 16 / 25)]
)
def test_the_weight_is_that_of_wiener(rms: float, sigma: float, weight: float) -> None:
    """tau^2 / (tau^2 + sigma^2), tau^2 = mean r^2 - sigma^2 from the residual itself, never below 0."""
    difference = torch.full((4, 4), rms) * torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert wiener_weight(difference, sigma) == pytest.approx(weight)


def test_a_soft_projection_moves_by_the_weight() -> None:
    linear = AreaAverage((8, 8, 1), (2, 2))
    y, estimate = normal(linear.coarse_shape, 0) * 5, normal(linear.fine_shape, 1)
    made = project(y, estimate, linear=linear, noise=NoNoise(), sigma=1.0, magnitude=False)
    r = y - linear.forward(estimate)
    assert 0 < made.weight < 1
    assert torch.allclose(made.image, estimate + made.weight * linear.pinv(r))


def test_noise_is_not_put_back_where_the_estimate_agrees() -> None:
    """An exact estimate and noisy data: the estimate comes out untouched."""
    linear = AreaAverage((64, 64, 1), (2, 2))
    truth = normal(linear.fine_shape, 0) * 20
    y = linear.forward(truth) + 0.98 * normal(linear.coarse_shape, 1)
    made = project(y, truth, linear=linear, noise=NoNoise(), sigma=1.1, magnitude=False)
    assert made.weight == 0.0
    assert torch.equal(made.image, truth)
