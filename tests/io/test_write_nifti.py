"""NIfTI out: the same values give the same bytes, and the geometry and codes of the source stay."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nifti import header, write
from support.volumes import ct_volume, mr_volume

from medsr.io import read
from medsr.io.encoding import SMALLEST_LEVELS, as_stored
from medsr.io.sources import NiftiSource
from medsr.io.write import write_json, write_nifti
from medsr.volume import Geometry, Volume

GOLDEN = "e8a42e1ef06a510e"
"""First characters of the SHA-256 of a fixed volume as .nii: rewritten only when the format is meant to change."""


def integer(volume: Volume) -> Volume:
    return replace(volume, source=replace(volume.source, dtype="int16", integer=True))


def test_bytes_are_those_of_the_last_release(tmp_path: Path) -> None:
    values = np.asfortranarray((np.arange(60, dtype=np.float32) * 3 - 50).reshape(5, 4, 3))
    geometry = Geometry((5, 4, 3), np.diag([0.5, 0.75, 2.0, 1.0]))
    volume = integer(Volume(values, geometry, "MR", "arbitrary", ct_volume().source))
    stored = as_stored(values, geometry, volume, sigma=10)
    write_nifti(tmp_path / "a.nii", stored.values, geometry, volume, stored)
    assert hashlib.sha256((tmp_path / "a.nii").read_bytes()).hexdigest().startswith(GOLDEN)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_same_values_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    volume = integer(ct_volume(sigma=12))
    stored = as_stored(volume.values, volume.geometry, volume, sigma=12)
    for folder in ("one", "two"):
        write_nifti(tmp_path / folder / name, stored.values, volume.geometry, volume, stored)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nibabel_and_we_read_back_what_was_judged(tmp_path: Path) -> None:
    volume = mr_volume(sigma=20)
    for sigma, source in ((20.0, integer(volume)), (1.0, volume)):
        stored = as_stored(volume.values, volume.geometry, source, sigma=sigma)
        path = tmp_path / f"{sigma}.nii.gz"
        write_nifti(path, stored.values, volume.geometry, source, stored)
        assert np.array_equal(np.asarray(nibabel.load(path).dataobj, np.float32), stored.values)
        assert np.array_equal(read(path).values, stored.values)
        assert read(path).geometry.matches(volume.geometry)


@given(codes=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_affine_codes_are_kept(tmp_path_factory: pytest.TempPathFactory, codes: tuple[int, int]) -> None:
    """Geometry comes back too, also where neither code says what the affine means."""
    folder = tmp_path_factory.mktemp("codes")
    raw = header(codes=codes, srow=np.diag([2.0, 2.0, 3.0, 1.0]))
    volume = read(write(folder / "a.nii", raw, (np.arange(360) + 1).astype("<i2").tobytes()), modality="MR")
    stored = as_stored(volume.values, volume.geometry, volume, sigma=10)
    write_nifti(folder / "b.nii", stored.values, volume.geometry, volume, stored)
    again = read(folder / "b.nii", modality="MR")
    assert isinstance(again.source, NiftiSource)
    assert (again.source.qform_code, again.source.sform_code) == codes
    assert again.geometry.matches(volume.geometry)


@given(sigma=st.floats(0.1, 50), whole=st.booleans(), top=st.sampled_from([1000, 40_000]))
def test_integers_only_where_rounding_is_below_the_noise(sigma: float, whole: bool, top: int) -> None:
    volume = mr_volume((16, 16, 2))
    values = np.array(volume.values)
    values[0, 0, 0] = top
    source = replace(volume.source, integer=whole)
    stored = as_stored(values, volume.geometry, replace(volume, values=values, source=source), sigma=sigma)
    rounds = whole and sigma >= SMALLEST_LEVELS and top < 32_768
    assert stored.dtype == (np.int16 if rounds else np.float32)
    assert np.abs(stored.values - values).max() <= (0.5 if rounds else 0)
    assert stored.slope == 1.0


def test_what_does_not_fit_is_clipped_and_counted() -> None:
    volume = integer(ct_volume())
    image = np.array(volume.values)
    image[0, :3, 0] = 40_000
    stored = as_stored(image, volume.geometry, volume, sigma=10)
    assert stored.clipped == 3
    assert stored.values[0, 0, 0] == 32_767


def test_padding_is_kept_bit_for_bit_and_on_a_finer_grid() -> None:
    volume = integer(ct_volume((24, 20, 3)))
    values, mask = np.array(volume.values), np.zeros(volume.values.shape, bool)
    values[:4], mask[:4] = -2000, True
    padded = replace(volume, values=values, padding=mask)
    stored = as_stored(np.array(values) + 7, volume.geometry, padded, sigma=10)
    assert (stored.values[:4] == -2000).all()
    fine = volume.geometry.resized((48, 40, 3))
    stored = as_stored(np.zeros((48, 40, 3), np.float32), fine, padded, sigma=10)
    assert (stored.values[:8] == -2000).all()
    assert (stored.values[8:] == 0).all()


def test_nothing_is_there_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = integer(ct_volume())
    stored = as_stored(volume.values, volume.geometry, volume, sigma=10)
    monkeypatch.setattr("os.fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_nifti(tmp_path / "a.nii.gz", stored.values, volume.geometry, volume, stored)
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()
