"""CT noise made in the projections: strength, correlation, mixtures, and nothing but noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from support.volumes import ct_volume

from medsr.physics.ct_noise import BODY_HU, added_sigma, noise_fields

PLANE = ct_volume((96, 96, 1)).values[:, :, 0]
BODY = PLANE > BODY_HU


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    return noise_fields(PLANE, 0.8, np.random.default_rng(0), count=30)


def correlation(fields: np.ndarray) -> tuple[float, float]:
    """Lag-1 correlation along both axes, inside the body."""
    power = (fields**2)[:, BODY].mean()
    rows = (fields[:, 1:] * fields[:, :-1])[:, BODY[1:] & BODY[:-1]].mean() / power
    columns = (fields[:, :, 1:] * fields[:, :, :-1])[:, BODY[:, 1:] & BODY[:, :-1]].mean() / power
    return float(rows), float(columns)


def test_local_deviation_in_the_body_is_one(fields: np.ndarray) -> None:
    local = np.sqrt(np.mean([uniform_filter(field**2, 15) for field in fields], axis=0))
    assert float(np.median(local[BODY])) == pytest.approx(1.0, abs=1e-3)
    assert fields.dtype == np.float32


def test_only_noise_is_reconstructed(fields: np.ndarray) -> None:
    """The mean over draws vanishes, so a degraded scan keeps its kernel and its values."""
    assert abs(float(fields.mean(0)[BODY].mean())) < 0.02
    assert float(np.abs(fields.mean(0)[BODY]).mean()) < 3 / np.sqrt(len(fields))


def test_a_soft_kernel_correlates_neighbours(fields: np.ndarray) -> None:
    """0.62 with hann as measured on real geometry; a ramp leaves next to none."""
    assert correlation(fields) == pytest.approx((0.62, 0.62), abs=0.04)
    sharp = noise_fields(PLANE, 0.8, np.random.default_rng(1), count=10, window="ramp")
    assert max(correlation(sharp)) < 0.2


def test_the_centre_of_a_large_body_is_noisier_than_its_rim() -> None:
    """The pattern follows the anatomy: fewer photons pass 250 mm of body than its edge."""
    local = noise_fields(PLANE, 3.0, np.random.default_rng(0), count=15).std(0)
    first, second = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96), indexing="ij")
    radius = np.hypot(first / 0.85, second / 0.7)
    assert local[radius < 0.3].mean() > 1.3 * local[(radius > 0.85) & (radius < 1)].mean()


def test_unit_norm_mixtures_are_new_draws(fields: np.ndarray) -> None:
    """A small bank serves a long training: mixtures keep variance and correlation."""
    rng = np.random.default_rng(2)
    mixtures = []
    for _ in range(30):
        weights = rng.standard_normal(len(fields))
        mixtures.append(np.tensordot(weights / np.linalg.norm(weights), fields, (0, 0)))
    made = np.stack(mixtures)
    assert made[:, BODY].std() == pytest.approx(fields[:, BODY].std(), rel=0.04)
    assert correlation(made) == pytest.approx(correlation(fields), abs=0.03)


def test_the_generator_decides_the_draw() -> None:
    one, same, other = (noise_fields(PLANE, 0.8, np.random.default_rng(s), views=30) for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(400, 320), (60, 90)])
def test_a_body_that_reaches_the_corners_has_noise_there(shape: tuple[int, int]) -> None:
    """The reconstruction circle grows where tissue would lie outside it."""
    field = noise_fields(np.full(shape, 40.0), 0.5, np.random.default_rng(0), views=20)[0]
    for corner in (field[:8, :8], field[-8:, :8], field[:8, -8:], field[-8:, -8:]):
        assert corner.std() > 0.1


def test_dose_adds_variance() -> None:
    """sigma^2 / d in all: 12 HU at a quarter of the dose become 24."""
    assert np.hypot(12.0, added_sigma(12.0, 0.25)) == pytest.approx(24.0)
    assert added_sigma(12.0, 1.0) == 0.0
