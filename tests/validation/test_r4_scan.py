"""R4: silent on noise, and it finds what was added or omitted, with place, size, sign and strength."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from medsr.validation.judge import judge
from medsr.validation.r4_scan import MOST_PEAKS, THRESHOLD, Scan
from medsr.validation.residual import Measurement, Residuals, SliceResidual
from medsr.validation.spectrum import FLOOR, radial_spectrum
from tests.support.restorations import CT_SIGMA, SHAPE, ct_noise, ct_spectrum, lesion, perfect, with_added

MODALITIES = ("MR", "CT")


def noise_slice(u: np.ndarray, mask: np.ndarray) -> SliceResidual:
    """A residual of unit noise."""
    values = u.astype(np.float32)
    return SliceResidual(0, values, np.zeros_like(values), np.ones_like(values), values, mask)


def disc_mask(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 < (0.42 * min(shape)) ** 2


@pytest.mark.parametrize("modality", MODALITIES)
def test_pure_noise_makes_no_findings(modality):
    """At most one false finding in 60 slices whose residual is the noise and nothing else."""
    findings = [len(judge(perfect(modality, seed=seed)).findings) for seed in range(20)]
    assert sum(findings) <= 1


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("diameter", [4.0, 8.0, 16.0])
def test_a_disc_is_found_at_its_place_with_size_and_sign(modality, sign, diameter):
    """One finding: inside the disc, of its type, within a template step of its size, d' within 35 % of the truth."""
    place = (70, 50)
    planted = sign * lesion(modality, 14.0, diameter, place)
    findings = judge(with_added(perfect(modality, seed=3), planted)).findings
    assert [item.type for item in findings] == ["added" if sign > 0 else "omitted"]
    (finding,) = findings
    low, high = finding.box_voxel
    assert np.hypot((low[0] + high[0] - 1) / 2 - place[0], (low[1] + high[1] - 1) / 2 - place[1]) <= diameter / 2
    assert (low[2], high[2]) == (SHAPE[2] // 2, SHAPE[2] // 2 + 1)
    assert diameter / 1.5 <= finding.size_mm / 0.85 <= diameter * 1.5
    assert np.sign(finding.contrast) == sign
    assert finding.contrast == pytest.approx(planted[place[0], place[1], 1], rel=0.35)
    assert finding.dprime == pytest.approx(14.0, rel=0.35)


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_omitted_structure_is_found_like_an_added_one(modality):
    """A scan that shows a lesion beside an image that lacks it."""
    whole = perfect(modality, seed=5)
    missing = with_added(whole, -lesion(modality, 12.0, 8.0, (60, 60)))
    assert [item.type for item in judge(missing).findings] == ["omitted"]


def test_discs_of_dprime_8_are_found_in_correlated_noise():
    """Whitened by the spectrum that the residual of one slice, lesion and all, gives itself: at least 35 of 40.

    The ring template keeps .85 of d' 8, so 5.4 noise sd are passed by 92 % of draws.
    """
    shape, mask, sites, found = (192, 192), disc_mask((192, 192)), 40, 0
    rng = np.random.default_rng(2)
    disc = lesion("CT", 8.0, 8.0, (96, 90), shape=(192, 192, 1))[:, :, 0] / CT_SIGMA
    for _ in range(sites):
        u = ct_noise((*shape, 1), rng)[:, :, 0] + disc
        scan = Scan(shape, radial_spectrum([(u.astype(np.float32), mask)], shape))
        peaks = scan.scan(noise_slice(u, mask)).peaks
        found += any(np.hypot(p.place[0] - 96, p.place[1] - 90) <= 6 and p.z > 0 for p in peaks)
    assert found >= 35


def test_a_flood_is_capped_and_still_held():
    """Thousands of contradictions cost neither minutes nor a list of thousands."""
    rng = np.random.default_rng(0)
    u = 40 * ct_noise((256, 256, 1), rng)[:, :, 0]
    scanned = Scan((256, 256), np.ones((256, 129))).scan(noise_slice(u, np.ones((256, 256), bool)))
    assert len(scanned.peaks) == MOST_PEAKS


def test_the_residual_is_not_cut_at_the_mask():
    """A residual that differs outside the body leaves no findings along the rim of the mask.

    Cutting there makes a step that whitening turns into a hundred findings.
    """
    shape, rng, findings = (192, 192), np.random.default_rng(4), 0
    mask, scan = disc_mask(shape), Scan(shape, ct_spectrum(shape))
    for _ in range(10):
        u = ct_noise((*shape, 1), rng)[:, :, 0] + 3.0
        findings += len(scan.scan(noise_slice(u, mask)).peaks)
    assert findings <= 1


def test_the_body_is_not_clipped_as_air_is():
    """A small strong lesion keeps its strength; a clip of 4.5 inside the body would cut it to a third."""
    strong = with_added(perfect("MR", seed=1), lesion("MR", 40.0, 4.0, (64, 56)))
    (finding,) = judge(strong).findings
    assert finding.dprime == pytest.approx(40.0, rel=0.15)


def test_air_cannot_drown_the_body():
    """Noise of a thousand sd outside the mask neither reaches into the body nor hides a lesion there."""
    shape, rng = (192, 192), np.random.default_rng(6)
    mask = disc_mask(shape)
    u = rng.standard_normal(shape)
    u[~mask] *= 1e3
    u[100:104, 92:96] += 8.0
    peaks = Scan(shape, np.ones((192, 97))).scan(noise_slice(u, mask)).peaks
    deep = [p for p in peaks if np.hypot(p.place[0] - 96, p.place[1] - 96) < 40]
    assert len(deep) == 1
    assert np.hypot(deep[0].place[0] - 101.5, deep[0].place[1] - 93.5) <= 3


def test_whitening_never_divides_by_less_than_the_floor():
    """Frequencies that a scanner left empty hold no proof: amplification is bounded by the floor."""
    empty = np.ones((64, 33))
    empty[20:44] = 1e-6
    whitening = Scan((64, 64), empty).whitening
    assert FLOOR >= 0.05
    assert whitening.max() / whitening.min() <= 1 / np.sqrt(FLOOR) + 1e-6


def test_empty_frequencies_make_no_findings():
    """Rounding to whole HU fills what the kernel left empty; with a floor of .1 % it floods the scan."""
    shape, rng = (192, 192), np.random.default_rng(8)
    findings, mask = 0, disc_mask(shape)
    radius = np.hypot(fft.fftfreq(192)[:, None], fft.rfftfreq(192)[None])
    smooth = np.exp(-((radius / 0.08) ** 2))
    smooth /= np.sqrt((smooth**2 * np.where((np.arange(97) % 96) == 0, 1, 2)).sum() / 192**2)
    scan = Scan(shape, smooth**2)
    for _ in range(10):
        u = fft.irfft2(fft.rfft2(rng.standard_normal(shape)) * smooth, shape)
        findings += len(scan.scan(noise_slice(np.rint(u * 4) / 4 + 0.12 * rng.standard_normal(shape), mask)).peaks)
    assert findings <= 1


def test_the_scan_has_unit_spread_on_noise_of_its_spectrum():
    """z is in units of noise for white and correlated noise alike, at every scale."""
    shape, rng = (256, 256), np.random.default_rng(9)
    mask = np.ones(shape, bool)
    for spectrum, noise in ((np.ones((256, 129)), rng.standard_normal(shape)), (ct_spectrum(shape), None)):
        u = noise if noise is not None else ct_noise((*shape, 1), rng)[:, :, 0]
        assert Scan(shape, spectrum).scan(noise_slice(u, mask)).spread == pytest.approx(1.0, abs=0.12)


def test_threshold_is_physical_not_relative_to_what_the_model_left():
    """A model that smooths everything away has a wide residual; its lesions are held to the same noise units."""
    restoration = perfect("MR", seed=2)
    rough = 60 * np.sin(np.arange(SHAPE[0]) / 3.0)[:, None, None] * np.sin(np.arange(SHAPE[1]) / 3.0)[None, :, None]
    smoothed = with_added(restoration, np.broadcast_to(rough, SHAPE).astype(np.float32))
    result = {item.name: item for item in judge(smoothed).channels}["R4"]
    assert (result.threshold, result.status) == (THRESHOLD, "held")


def test_nan_in_a_residual_is_never_silent():
    """A NaN anywhere makes the channel held, not empty."""
    from medsr.validation.r4_scan import ScanTally

    restoration = perfect("MR")
    item = Residuals(Measurement(restoration), restoration.image).slice(1)
    item.u[3, 4] = np.nan
    tally = ScanTally()
    scan = Scan(SHAPE[:2], np.ones((SHAPE[0], SHAPE[1] // 2 + 1)))
    tally.add(item, scan.scan(item))
    assert tally.result("R4", "").status == "held"


def test_a_wrong_level_in_air_makes_no_findings_along_the_rim():
    """Air whose residual is 2 sd too low, as under a noise level that is too high for it."""
    shape, rng, findings = (192, 192), np.random.default_rng(10), 0
    mask = disc_mask(shape)
    for _ in range(10):
        u = rng.standard_normal(shape)
        u[~mask] = 0.3 * u[~mask] - 2.0
        findings += len(Scan(shape, np.ones((192, 97)), level_air=True).scan(noise_slice(u, mask)).peaks)
    assert findings <= 1
