"""sFRC: the authors' counts on their own images, and what the corrected window makes of them."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from medsr.validation.sfrc import SfrcSettings, sfrc

PUBLISHED = {("sharp", "srgan"): 21, ("sharp", "srwgan"): 22, ("smooth", "srgan"): 16, ("smooth", "srwgan"): 17}
TRUE_HANN = {("sharp", "srgan"): 18, ("sharp", "srwgan"): 19, ("smooth", "srgan"): 11, ("smooth", "srwgan"): 11}


def stack(folder, name):
    """A stored stack of the authors' slices, HU."""
    return np.asarray(nibabel.load(folder / "ct" / "published_gan" / f"{name}.nii.gz").dataobj, np.float64)


@pytest.mark.parametrize("pair", sorted(PUBLISHED))
def test_the_authors_counts_are_reproduced(dev_scans, pair):
    """21, 22, 16 and 17 flagged tiles in five slices each, from the images as stored."""
    kernel, net = pair
    reference, image = stack(dev_scans, f"{kernel}_reference"), stack(dev_scans, f"{kernel}_{net}")
    counts = [
        int(sfrc(image[:, :, k], reference[:, :, k], SfrcSettings(published=True)).flagged.sum()) for k in range(5)
    ]
    assert sum(counts) == PUBLISHED[pair]
    if pair == ("sharp", "srgan"):
        assert counts == [5, 3, 2, 6, 5]


@pytest.mark.parametrize("pair", sorted(TRUE_HANN))
def test_a_true_window_gives_other_counts(dev_scans, pair, monkeypatch):
    """18, 19, 11 and 11 with a true Hann window on the authors' own tiles."""
    from medsr.validation import sfrc as module

    spectra = module._spectra
    monkeypatch.setattr(module, "_spectra", lambda tiles, **_: spectra(tiles, published=False))
    kernel, net = pair
    reference, image = stack(dev_scans, f"{kernel}_reference"), stack(dev_scans, f"{kernel}_{net}")
    flagged = [sfrc(image[:, :, k], reference[:, :, k], SfrcSettings()).flagged.sum() for k in range(5)]
    assert sum(flagged) == TRUE_HANN[pair]


@pytest.mark.parametrize("published", [True, False])
def test_an_image_is_correlated_with_itself(published):
    """No tile of a perfect image is flagged."""
    reference = np.random.default_rng(0).normal(40, 50, (192, 192))
    tiles = sfrc(reference, reference, SfrcSettings(published=published))
    assert tiles.judged.all()
    assert not tiles.flagged.any()
    assert np.isinf(tiles.crossing).all()


def test_noise_alone_is_flagged_though_nothing_was_invented():
    """Decorrelated is not invented: heavy noise on the truth is flagged everywhere."""
    rng = np.random.default_rng(1)
    rows, columns = np.ogrid[:192, :192]
    reference = 40 + 60 * np.sin(rows / 9.0) * np.cos(columns / 11.0)
    noisy = reference + rng.normal(0, 150, reference.shape)
    assert sfrc(noisy, reference, SfrcSettings(published=False)).flagged.mean() > 0.9


def test_air_is_not_judged():
    """Tiles without tissue are left out."""
    assert not sfrc(np.full((128, 128), -1000.0), np.full((128, 128), -1000.0), SfrcSettings()).judged.any()


def test_images_that_do_not_fit_are_refused():
    """Nothing is cropped to fit."""
    with pytest.raises(ValueError, match="alike"):
        sfrc(np.zeros((128, 128)), np.zeros((128, 120)), SfrcSettings())
