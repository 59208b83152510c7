"""R1: fails where a deviation is both significant and large, in the units of the modality."""

from __future__ import annotations

import numpy as np
import pytest

from medsr.validation.judge import judge
from medsr.validation.r1_global import GlobalAgreement
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import radial_spectrum, square_variance, window_variance
from tests.support.restorations import SHAPE, ct_noise, ct_spectrum, perfect, with_added


def channel(restoration, name="R1"):
    """One channel of a judgement."""
    return {item.name: item for item in judge(restoration).channels}[name]


def shifted(modality: str, by: float):
    """A perfect restoration, too bright everywhere."""
    return with_added(perfect(modality), np.full(SHAPE, by, np.float32))


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_pure_noise_passes_and_leaves_no_noise(modality):
    """A residual that is the noise passes with a mean square of about 1."""
    result = channel(perfect(modality))
    assert result.status == "passed"
    assert "noise_left" not in result.note


def test_bias_is_bounded_in_hu():
    """2 HU fail, half a HU passes, whatever its significance."""
    assert channel(shifted("CT", 2.0)).status == "held"
    assert channel(shifted("CT", 0.5)).status == "passed"


def test_bias_of_mr_is_bounded_by_half_a_per_cent_of_q():
    """q is about 800 here: 8 fail, 2 pass."""
    assert channel(shifted("MR", 8.0)).status == "held"
    assert channel(shifted("MR", 2.0)).status == "passed"


def test_q_is_that_of_the_clean_scan_where_the_sidecar_states_it():
    """A declared q of 4000 allows a bias of 20."""
    from dataclasses import replace

    restoration = shifted("MR", 8.0)
    measured = replace(restoration.measured, degradation={"reference": {"q": 4000.0}})
    assert channel(replace(restoration, measured=measured)).status == "passed"


def slice_of(u: np.ndarray, scale: float) -> SliceResidual:
    values = u.astype(np.float32)
    sigma = np.full_like(values, scale)
    return SliceResidual(0, values * scale, np.zeros_like(values), sigma, values, np.ones(values.shape, bool))


def test_large_but_insignificant_is_no_failure():
    """Twelve by twelve pixels of 50 HU noise cannot show a bias of 3 HU."""
    agreement = GlobalAgreement("MR", largest_bias=1.0)
    u = np.random.default_rng(0).standard_normal((12, 12))
    agreement.add(slice_of(u - u.mean() + 3 / 50, 50.0), np.ones((12, 7)))
    assert agreement.result("R1", "").status == "passed"


def test_structure_that_went_shows_in_the_mean_square():
    """mean u^2 of 1.3 fails for MR; of .7 it says noise_left and passes."""
    rng = np.random.default_rng(1)
    flat = np.ones((128, 65))
    for scale, status in ((1.3, "held"), (0.7, "passed")):
        agreement = GlobalAgreement("MR", largest_bias=1.0)
        agreement.add(slice_of(np.sqrt(scale) * rng.standard_normal((128, 128)), 10.0), flat)
        result = agreement.result("R1", "")
        assert result.status == status
        assert ("noise_left" in result.note) == (scale < 1)


def test_nan_is_never_passed():
    """One NaN in the sums holds the channel, whatever the rest says."""
    agreement = GlobalAgreement("MR", largest_bias=1.0)
    u = np.random.default_rng(2).standard_normal((64, 64))
    u[5, 5] = np.nan
    agreement.add(slice_of(u, 10.0), np.ones((64, 33)))
    result = agreement.result("R1", "")
    assert result.status == "held"
    assert np.isnan(result.value)


def test_variance_of_the_mean_is_that_of_correlated_noise_in_a_window():
    """Against 400 draws: within a fifth, where n / sum rho would say zero."""
    shape, rng = (96, 96), np.random.default_rng(3)
    rows, columns = np.ogrid[:96, :96]
    mask = (rows - 48) ** 2 + (columns - 48) ** 2 < 30**2
    broad = np.ones((96, 49))
    white = [rng.standard_normal(shape)[mask].mean() for _ in range(400)]
    assert window_variance(broad, mask) == pytest.approx(np.var(white), rel=0.2)
    drawn = [ct_noise((*shape, 1), rng)[:, :, 0][mask].mean() for _ in range(400)]
    assert window_variance(ct_spectrum(shape), mask) >= np.var(drawn)
    empty = ct_spectrum(shape)
    empty[0, 0] = 0.0
    whole = np.ones(shape, bool)
    assert window_variance(empty, whole) > 0.02 / whole.sum()


def test_variance_of_the_mean_square_is_that_of_correlated_noise():
    """Against 400 draws of a whole slice, within a fifth; twice as large as for white noise."""
    shape, rng = (96, 96), np.random.default_rng(4)
    drawn = [(ct_noise((*shape, 1), rng) ** 2).mean() for _ in range(400)]
    assert square_variance(ct_spectrum(shape)) / 96**2 == pytest.approx(np.var(drawn), rel=0.2)
    assert square_variance(np.ones((96, 49))) == pytest.approx(2.0)


def test_spectrum_of_one_slice_is_that_of_its_noise():
    """Ring by ring within a quarter where there is power, mean 1."""
    shape = (256, 256)
    u = ct_noise((*shape, 1), np.random.default_rng(5))[:, :, 0]
    rows, columns = np.ogrid[:256, :256]
    mask = (rows - 128) ** 2 + (columns - 128) ** 2 < 110**2
    estimated, truth = radial_spectrum([(u, mask)], shape), ct_spectrum(shape)
    strong = truth > 0.3 * truth.max()
    assert np.abs(np.log(estimated[strong] / truth[strong])).mean() < 0.2
    weights = np.full(truth.shape, 2.0)
    weights[:, [0, -1]] = 1.0
    assert (estimated * weights).sum() / 256**2 == pytest.approx(1.0)
