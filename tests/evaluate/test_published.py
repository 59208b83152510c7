"""The published GAN outputs: every one held, alarms counted with the right sign, the authors' counts reproduced."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.volumes import ct_volume

from medsr.evaluate.alarms import alarms_of, scanned_slice
from medsr.evaluate.published import published
from medsr.evaluate.published_tables import written
from medsr.physics import AreaAverage
from medsr.pipeline.candidate import candidate_restoration

SHAPE = (192, 192, 1)


def scanned(*, noise: float, image_error: float = 0.0):
    """A x2 candidate that equals the truth but for smooth errors; the input is the truth's block means with noise."""
    fine = ct_volume(SHAPE, sigma=20.0, seed=5)
    linear = AreaAverage(SHAPE, (2, 2))
    blocks = fine.values.reshape(96, 2, 96, 2, 1).mean((1, 3)) + np.random.default_rng(2).normal(0, noise, (96, 96, 1))
    measured = replace(
        fine, values=np.asfortranarray(blocks.astype(np.float32)), geometry=linear.coarse_geometry(fine.geometry)
    )
    image = fine.values + np.random.default_rng(3).normal(0, image_error, SHAPE).astype(np.float32)
    part = candidate_restoration(measured, replace(fine, values=np.asfortranarray(image)), noise=noise)
    return scanned_slice(part, fine.values[:, :, 0], stated=noise)


def test_plain_discs_raise_an_alarm_of_their_sign_and_noise_hides_them():
    clear = alarms_of("made", "made", [scanned(noise=2.0)], seed=1, places=12)
    assert (clear.hits, clear.stated_hits, clear.planted) == (12, 12, 12)
    assert clear.flags == 0
    hidden = alarms_of("made", "made", [scanned(noise=60.0)], seed=1, places=12)
    assert hidden.hits == 0


@pytest.mark.slow
def test_every_published_output_is_held_and_the_authors_counts_are_reproduced(dev_scans, tmp_path):
    found = published(dev_scans / "ct" / "published_gan", places=2)
    assert len(found.verdicts) == 20
    assert {item.word for item in found.verdicts} <= {"review", "rejected"}
    assert all(" HU " in item.sentence for item in found.verdicts)
    assert [sum(item.published) for item in found.tiles] == [21, 22, 16, 17]
    assert np.mean([item.gain_db for item in found.verdicts[:5]]) >= 2
    srgan = [item for item in found.alarms if item.network != "srwgan"]
    assert sum(item.learned_hits for item in srgan) >= 0.8 * sum(item.planted for item in srgan)
    text = written(found, tmp_path / "page.md", command="made")
    assert "20 of 20 held or rejected" in text
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == text
    assert len(json.loads((tmp_path / "page.json").read_bytes())["verdicts"]) == 20
