"""V4: what the operator does not see moves no range channel, and what it sees moves no null channel."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nulls import KINDS, changed, parts, restoration

from medsr.physics.lesions import disc_at
from medsr.records import HiddenSlice, ProbeDisc, SecondFamily
from medsr.validation.judge import judge

PAIRED = 1e-5
NULL = ("N1", "N2", "N3", "N4", "N5")
RANGE = ("R1", "R2", "R3", "R4", "R7", "R8", "R9", "R1w", "R4w")
_KEPT: dict[str, object] = {}
_JUDGED: dict[str, object] = {}


def made(kind):
    """A restoration with evidence for every channel."""
    if kind not in _KEPT:
        plain = restoration(kind)
        rng = np.random.default_rng(3)
        other = plain.image + 5 * rng.standard_normal(plain.image.shape).astype(np.float32)
        values = plain.measured.values + 3 * rng.standard_normal(plain.measured.values.shape).astype(np.float32)
        second = replace(plain.measured, values=np.asfortranarray(values))
        features = {"spectral_edge": [0.5, 1.0], "noise": [0.0, 50.0], "spectral_slope": [-9.0, 1.0]}
        _KEPT[kind] = replace(
            plain,
            family=SecondFamily(np.asfortranarray(other), "regress"),
            spread=np.full(plain.image.shape, 7.0, np.float32),
            hidden=(HiddenSlice(1, 40.0, 50.0, 2),),
            probe=tuple(ProbeDisc((1, 1, 1), 4.0, 8.0, 1, 0.8) for _ in range(9)),
            second=second,
            domain={"features": features},
        )
    return _KEPT[kind]


def judged(kind):
    """Its judgement, made once."""
    if kind not in _JUDGED:
        _JUDGED[kind] = judge(made(kind))
    return _JUDGED[kind]


def values(judgement, names):
    return {item.name: item.value for item in judgement.channels if item.name in names}


def lesion(kind, place, diameter, index, size):
    shape = made(kind).image.shape
    structure = np.zeros(shape, np.float32)
    structure[:, :, index % shape[2]] = np.float32(size) * disc_at(shape[:2], place, diameter)
    return structure


LESIONS = st.tuples(
    st.tuples(st.integers(20, 76), st.integers(16, 64)),
    st.sampled_from([3.0, 6.0, 12.0]),
    st.integers(0, 11),
    st.sampled_from([-150.0, 60.0, 200.0]),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(drawn=LESIONS)
def test_null_content_moves_no_range_channel(kind, drawn):
    _, null = parts(made(kind), lesion(kind, *drawn))
    before, after = judged(kind), judge(changed(made(kind), null))
    for name, value in values(before, RANGE).items():
        other = values(after, RANGE)[name]
        assert (value is None) == (other is None), name
        if value is not None and math.isfinite(value):
            assert other == pytest.approx(value, rel=PAIRED, abs=1e-3 if name in ("R3", "R4", "R4w", "R7") else PAIRED)
    assert [item.type for item in after.findings] == [item.type for item in before.findings]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(drawn=LESIONS)
def test_range_content_moves_no_null_channel(kind, drawn):
    seen, _ = parts(made(kind), lesion(kind, *drawn))
    before, after = judged(kind), judge(changed(made(kind), seen))
    for name, value in values(before, NULL).items():
        other = values(after, NULL)[name]
        assert (value is None) == (other is None), name
        if value is not None:
            assert other == pytest.approx(value, rel=1e-3, abs=1e-3), name


@pytest.mark.parametrize("kind", KINDS)
def test_null_content_moves_the_null_channels_that_look_at_the_image(kind):
    """Otherwise the tests above would pass on channels that look at nothing."""
    structure = lesion(kind, (48, 40), 6.0, 2, 400.0)
    _, null = parts(made(kind), structure)
    before, after = values(judged(kind), NULL), values(judge(changed(made(kind), null)), NULL)
    assert after["N1"] > before["N1"] + 0.5
    assert after["N3"] > before["N3"] + 1


@pytest.mark.parametrize("kind", ["k_space_truncation", "area_average"])
def test_range_content_moves_the_range_channels(kind):
    seen, _ = parts(made(kind), lesion(kind, (48, 40), 12.0, 2, 200.0))
    before, after = judged(kind), judge(changed(made(kind), seen))
    assert values(after, RANGE)["R4"] > values(before, RANGE)["R4"] + 1
    assert values(after, RANGE)["R8"] > values(before, RANGE)["R8"]
