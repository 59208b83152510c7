"""A restoration kept between stages comes back as it was, or is made again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operators import BY_KIND
from support.restorations import perfect
from support.volumes import mr_volume

import medsr
from medsr.errors import IntegrityError
from medsr.io.sources import DicomSource, NiftiSource, SourceSlice
from medsr.physics import GaussianNoise, MagnitudeNoise, NoNoise, Operator, ProjectionNoise
from medsr.pipeline.kept import NOUNS, encoded
from medsr.pipeline.stages import Kept, keep, kept_or_restored, load_kept, stage_key
from medsr.pipeline.walk import judge_restoration, restore_volume
from medsr.records import ModelIdentity, NoiseLevel, ProbeDisc, Restoration, pixels_sha256
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.volume import Acquisition, Geometry, Source, Volume

KEY = stage_key(input_sha256="a" * 64, bundle_sha256="b" * 64, configuration_sha256="c" * 64)

NUMBERS = st.floats(allow_nan=False, width=64)
TEXTS = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)
RECORDS = st.dictionaries(TEXTS, JSON, max_size=4)
NOISES = st.sampled_from(
    (NoNoise(), GaussianNoise(3.5), MagnitudeNoise(2.0, coils=4), ProjectionNoise(sigma_hu=17.0, dose_fraction=0.25))
)


def arrays(draw, shape, kind=np.float32):
    made = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(0, 100, shape)
    return np.array(made > 0 if kind is bool else made, kind, order=draw(st.sampled_from("CF")))


def geometries(draw, shape):
    affine = np.diag([*(draw(st.floats(0.3, 5)) for _ in range(3)), 1.0])
    affine[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return Geometry(shape, affine, draw(st.integers(0, 2)), draw(st.none() | st.floats(0.5, 5)))


def sources(draw):
    name, digest = draw(TEXTS), "d" * 64
    slices = tuple(
        SourceSlice("1.2", f"1.2.{number}", number, digest, number, draw(st.binary(max_size=9)))
        for number in range(draw(st.integers(0, 3)))
    )
    return draw(
        st.sampled_from(
            (
                Source(name, digest, "memory"),
                NiftiSource(name, digest, "nifti", "int16", True, 2, 0),
                DicomSource(
                    name, digest, "dicom", "uint16", True, "1.3", "1.4", "1.5", 7, slices, (3,), 12, False, 1.5,
                    -1024.0, -2000, draw(st.binary(max_size=9)), True,
                ),
            )
        )
    )  # fmt: skip


@st.composite
def restorations(draw):
    linear = draw(st.one_of(*BY_KIND.values()))
    coarse, fine = geometries(draw, linear.coarse_shape), geometries(draw, linear.fine_shape)
    measured = Volume(
        arrays(draw, linear.coarse_shape), coarse, draw(st.sampled_from(("CT", "MR"))), "arbitrary", sources(draw),
        Acquisition(manufacturer=draw(st.none() | TEXTS), kernel=draw(st.none() | TEXTS), lossy=draw(st.booleans())),
        padding=arrays(draw, linear.coarse_shape, bool) if draw(st.booleans()) else None,
        degradation=draw(st.none() | RECORDS), notes=tuple(draw(st.lists(TEXTS, max_size=2))),
    )  # fmt: skip
    image = arrays(draw, linear.fine_shape)
    return Restoration(
        measured=measured, image=image,
        estimate=draw(st.sampled_from((None, image, arrays(draw, linear.fine_shape)))), geometry=fine,
        operator=Operator(linear, draw(NOISES), draw(st.sampled_from(("declared", "header", "estimated")))),
        task=draw(st.sampled_from(("denoise", "superres", "inpaint"))),
        model=draw(st.sampled_from((None, ModelIdentity("m", "1", "e" * 64, "gan", 0.5, None, 8, 3, "torch", "bf16")))),
        noise=NoiseLevel(draw(st.floats(0, 1e3)), "rician", "user"),
        spread=arrays(draw, linear.fine_shape) if draw(st.booleans()) else None,
        probe=draw(st.sampled_from((None, (), (ProbeDisc((1, 2, 3), 4.0, 8.0, -1, 0.25),)))),
        synthetic_slices=tuple(draw(st.lists(st.integers(0, 99), max_size=3))),
        timings=draw(st.dictionaries(TEXTS, NUMBERS, max_size=3)), resources=draw(RECORDS), intensity=draw(RECORDS),
        domain=draw(RECORDS),
    )  # fmt: skip


def same(one, other):
    """Equal in value, type and, of arrays, memory order; nouns field by field."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.flags.f_contiguous == other.flags.f_contiguous
            and np.array_equal(one, other)
        )
    if isinstance(one, Operator):
        return one == other
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, item.name), getattr(other, item.name)) for item in dataclasses.fields(one)
        )
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@given(made=restorations())
def test_every_field_of_a_restoration_comes_back_as_it_was(made, tmp_path_factory):
    kept = Kept(tmp_path_factory.mktemp("kept"), KEY)
    keep(made, kept)
    found = load_kept(kept)
    for item in dataclasses.fields(Restoration):
        assert same(getattr(made, item.name), getattr(found, item.name)), item.name
    assert pixels_sha256(found.image, found.geometry) == pixels_sha256(made.image, made.geometry)
    assert (found.estimate is found.image) == (made.estimate is made.image)


def test_every_noun_that_a_restoration_can_hold_travels():
    """A noun that a field's annotation names, however deep, is one that is written and read."""
    waiting, seen = [Restoration], set()
    while waiting:
        kind = waiting.pop()
        if kind in seen or kind is Operator:
            continue
        seen.add(kind)
        assert NOUNS.get(kind.__name__) is kind
        stack = list(typing.get_type_hints(kind, localns={"Operator": Operator}).values())
        while stack:
            hint = stack.pop()
            stack += typing.get_args(hint)
            if dataclasses.is_dataclass(hint):
                waiting.append(hint)


def test_a_kind_that_is_not_listed_is_not_written():
    with pytest.raises(TypeError, match="does not travel"):
        encoded({"a": object()}, {})
    with pytest.raises(TypeError, match="does not travel"):
        encoded(np.array([object()]), {})


@pytest.fixture
def kept(tmp_path):
    place = Kept(tmp_path / "kept", KEY)
    keep(perfect("MR", shape=(24, 20, 3)), place)
    return place


def test_another_key_finds_nothing(kept):
    other = stage_key(input_sha256="a" * 64, bundle_sha256="b" * 64, configuration_sha256="0" * 64)
    assert load_kept(Kept(kept.folder, other)) is None
    assert load_kept(Kept(kept.folder / "nowhere", KEY)) is None


@pytest.mark.parametrize("name", ["restoration.npz", "restoration.json"])
def test_f15_one_flipped_bit_anywhere_is_found_and_the_restoration_made_again(kept, name):
    whole = (kept.folder / name).read_bytes()
    for at in np.linspace(0, len(whole) - 1, 60).astype(int):
        broken = bytearray(whole)
        broken[at] ^= 1
        (kept.folder / name).write_bytes(broken)
        found = None
        with contextlib.suppress(IntegrityError):
            found = load_kept(kept)
        # A byte of the container that holds no value, such as a date of the archive, may go unseen.
        assert found is None or same(found, perfect("MR", shape=(24, 20, 3)))
    (kept.folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError) as caught:
        load_kept(kept)
    assert caught.value.code == "stage.broken"
    made = perfect("MR", shape=(24, 20, 3))
    again, found_it = kept_or_restored(lambda: made, kept)
    assert again is made
    assert not found_it
    assert same(load_kept(kept), made)


def test_arrays_without_their_record_count_for_nothing(kept):
    (kept.folder / "restoration.json").unlink()
    assert load_kept(kept) is None


def test_kept_files_are_for_their_owner_alone(kept):
    assert {path.stat().st_mode & 0o777 for path in kept.folder.iterdir()} == {0o600}


def test_a_restart_only_judges_and_writes_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    noisy = medsr.degrade(mr_volume((48, 40, 3), seed=1), "denoise", noise="5%", seed=7)
    request = RestoreRequest("denoise")
    kept = Kept(tmp_path / "kept", KEY)
    first, resumed = kept_or_restored(lambda: restore(noisy, request), kept)
    assert not resumed
    again, resumed = kept_or_restored(lambda: pytest.fail("restored again"), kept)
    assert resumed
    one, other = judge_restoration(first), judge_restoration(again)
    assert other.judgement.pixels_sha256 == one.judgement.pixels_sha256
    assert other.verdict == one.verdict
    released = [dict(result.save(tmp_path / name).files) for name, result in (("a", one), ("b", other))]
    without_time = [
        {name: sha for name, sha in files.items() if not name.endswith(".medsr.json")} for files in released
    ]
    assert without_time[0] == without_time[1]
    whole = restore_volume(noisy, request)
    assert whole.judgement.pixels_sha256 == one.judgement.pixels_sha256


def test_the_record_is_json_without_code(kept):
    text = (kept.folder / "restoration.json").read_text()
    assert json.loads(text)["key"] == KEY
    assert b"pickle" not in (kept.folder / "restoration.npz").read_bytes()


def test_arrays_of_another_restoration_are_not_taken(kept, tmp_path):
    other = Kept(tmp_path / "other", KEY)
    keep(perfect("MR", shape=(24, 20, 3), seed=1), other)
    (kept.folder / "restoration.npz").write_bytes((other.folder / "restoration.npz").read_bytes())
    with pytest.raises(IntegrityError):
        load_kept(kept)
