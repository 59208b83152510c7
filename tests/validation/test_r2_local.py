"""R2: a neighbourhood that disagrees is found, where the whole agrees."""

from __future__ import annotations

import numpy as np
import pytest

from medsr.validation.judge import judge
from medsr.validation.r2_local import THRESHOLD, LocalAgreement
from medsr.validation.residual import SliceResidual
from tests.support.restorations import SHAPE, ct_noise, ct_spectrum, perfect, with_added


def slice_of(u: np.ndarray) -> SliceResidual:
    values = u.astype(np.float32)
    sigma = np.full_like(values, 10.0)
    return SliceResidual(0, values * 10, np.zeros_like(values), sigma, values, np.ones(values.shape, bool))


def local(u: np.ndarray, spectrum: np.ndarray):
    agreement = LocalAgreement(spectrum, modality="MR", largest_bias=1.0)
    agreement.add(slice_of(u))
    return agreement


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_pure_noise_passes_everywhere(modality):
    """60 slices of noise, white or correlated: no window beyond the threshold."""
    for seed in range(10):
        (channel,) = (item for item in judge(perfect(modality, seed=seed)).channels if item.name == "R2")
        assert channel.status == "passed"


def test_correlated_noise_counts_fewer_pixels():
    """As white, the same noise would fail: n_eff follows from the spectrum."""
    shape, rng = (256, 256), np.random.default_rng(0)
    noise = [ct_noise((*shape, 1), rng)[:, :, 0] for _ in range(8)]
    proper = max(local(u, ct_spectrum(shape)).worst.deviate for u in noise)
    naive = max(local(u, np.ones((256, 129))).worst.deviate for u in noise)
    assert proper < THRESHOLD
    assert naive > proper


def test_a_rough_patch_is_found_at_its_window():
    """Structure of zero mean that went from one place: mean u^2 doubles there, and R1 sees nothing."""
    rough = np.zeros(SHAPE, np.float32)
    checks = np.indices((24, 24)).sum(0) % 2 * 2 - 1
    rough[52:76, 40:64, 1] = 45.0 * checks
    channels = {item.name: item for item in judge(with_added(perfect("MR"), rough)).channels}
    assert (channels["R1"].status, channels["R2"].status) == ("passed", "held")
    assert "slice 1 at (56, 4" in channels["R2"].note


def test_a_shifted_patch_is_found_by_its_mean():
    """40 px of 1 sd too bright: the mean of windows there is significant and large."""
    rng = np.random.default_rng(1)
    u = rng.standard_normal((128, 128))
    u[40:80, 40:80] += 0.7
    worst = local(u, np.ones((128, 65))).worst
    assert worst.deviate > THRESHOLD
    assert worst.statistic == "mean u"


def test_noise_left_in_is_no_failure():
    """The excess is one-sided: a quiet residual passes."""
    u = 0.5 * np.random.default_rng(2).standard_normal((128, 128))
    assert local(u, np.ones((128, 65))).result("R2", "").status == "passed"


def test_nan_is_never_passed():
    """One NaN in a window holds the channel."""
    u = np.random.default_rng(3).standard_normal((64, 64))
    u[20, 20] = np.nan
    result = local(u, np.ones((64, 33))).result("R2", "")
    assert result.status == "held"
    assert np.isnan(result.value)


def test_nothing_to_judge_is_not_assessed():
    """No mask, no word."""
    agreement = LocalAgreement(np.ones((64, 33)), modality="MR", largest_bias=1.0)
    empty = slice_of(np.zeros((64, 64)))
    empty.mask[:] = False
    agreement.add(empty)
    assert agreement.result("R2", "").status == "not_assessed"
