"""Degrading a scan: the operator is recorded, the seed decides, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.volumes import ct_volume, geometry, mr_volume

from medsr.errors import UsageError
from medsr.physics import Operator
from medsr.pipeline.degrade import DegradeRequest, degrade, parse_noise
from medsr.restore.operators import declared_operator
from medsr.volume import Volume

MR = mr_volume((48, 42, 6))
CT = ct_volume((48, 45, 3))

REQUESTS = [
    (MR, DegradeRequest("denoise", noise="5%", seed=4)),
    (MR, DegradeRequest("superres", scale=2, noise="2%", seed=4)),
    (MR, DegradeRequest("superres", through=3, noise="2%", seed=4)),
    (CT, DegradeRequest("denoise", dose=0.25, seed=4)),
    (CT, DegradeRequest("superres", scale=1.5, dose=0.5, seed=4)),
]


@pytest.mark.parametrize(("volume", "request_"), REQUESTS, ids=lambda item: getattr(item, "task", ""))
def test_the_seed_decides_the_voxels(volume: Volume, request_: DegradeRequest) -> None:
    """The same seed gives the same voxels, another seed others, whatever was drawn before."""
    one = degrade(volume, request_)
    torch.randn(7)
    np.random.default_rng().normal()
    assert np.array_equal(degrade(volume, request_).values, one.values)
    assert not np.array_equal(degrade(volume, replace(request_, seed=5)).values, one.values)


def test_slices_have_noise_of_their_own() -> None:
    """Neighbouring slices, and neighbouring seeds, share no draw."""
    noisy = degrade(MR, DegradeRequest("denoise", noise=50.0, seed=0)).values - MR.values
    other = degrade(MR, DegradeRequest("denoise", noise=50.0, seed=1)).values - MR.values
    inside = MR.values[:, :, 2] > 500
    for one, two in (
        (noisy[:, :, 2], noisy[:, :, 3]),
        (noisy[:, :, 2], other[:, :, 2]),
        (noisy[:, :, 3], other[:, :, 2]),
    ):
        assert abs(np.corrcoef(one[inside], two[inside])[0, 1]) < 0.12


@pytest.mark.parametrize(("volume", "request_"), REQUESTS, ids=lambda item: getattr(item, "task", ""))
def test_the_operator_travels_with_the_scan(volume: Volume, request_: DegradeRequest) -> None:
    """What restore reads back maps the clean grid to this one, place in mm included."""
    made = degrade(volume, request_)
    operator = declared_operator(made)
    assert isinstance(operator, Operator)
    assert operator.provenance == "declared"
    assert operator.linear.fine_shape == volume.geometry.shape
    assert operator.linear.fine_geometry(made.geometry).matches(volume.geometry)
    assert operator.noise.level > 0


@pytest.mark.parametrize("axis", [0, 1])
def test_the_slice_axis_is_kept(axis: int) -> None:
    values = np.asfortranarray(np.moveaxis(MR.values, 2, axis))
    turned = replace(MR, values=values, geometry=replace(geometry(values.shape), slice_axis=axis))
    one, other = (degrade(v, DegradeRequest("superres", scale=2)).values for v in (MR, turned))
    assert np.allclose(np.moveaxis(other, axis, 2), one, atol=1e-3)


def test_magnitudes_come_out_and_hounsfields_keep_their_sign() -> None:
    assert degrade(MR, DegradeRequest("superres", scale=3)).values.min() >= 0
    assert degrade(CT, DegradeRequest("superres", scale=2)).values.min() < -900


def test_lost_slices_are_blank_and_the_others_untouched() -> None:
    made = degrade(MR, DegradeRequest("inpaint", keep=2))
    assert made.geometry is MR.geometry
    assert np.array_equal(made.values[:, :, ::2], MR.values[:, :, ::2])
    assert not made.values[:, :, 1::2].any()
    lost = degrade(ct_volume((20, 20, 5)), DegradeRequest("inpaint", missing=(1, 2))).values
    assert np.unique(lost[:, :, 1:3]).tolist() == [-1024.0]


@pytest.mark.parametrize(("text", "sigma"), [("5%", 10.0), (" 2.5 % ", 5.0), ("7", 7.0), (3.5, 3.5)])
def test_noise_is_a_percentage_or_a_number(text: str | float, sigma: float) -> None:
    assert parse_noise(text, 200.0) == pytest.approx(sigma)


@pytest.mark.parametrize("text", ["", "%", "much", "-3", "0", "nan", "inf", "5%%"])
def test_noise_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"\[degrade\.parameter\]"):
        parse_noise(text, 200.0)


@pytest.mark.parametrize(
    "given",
    [
        {"task": "sharpen"},
        {"task": "denoise"},
        {"task": "superres"},
        {"task": "superres", "scale": 2, "through": 2},
        {"task": "superres", "scale": 1},
        {"task": "superres", "scale": 9},
        {"task": "superres", "scale": float("nan")},
        {"task": "inpaint"},
        {"task": "inpaint", "keep": 2, "missing": (3,)},
        {"task": "inpaint", "keep": 0},
        {"task": "inpaint", "keep": 1},
        {"task": "denoise", "dose": 0.0},
        {"task": "denoise", "dose": 1.0},
        {"task": "denoise", "noise": "3%", "seed": -1},
        {"task": "denoise", "noise": "3%", "seed": 1 << 32},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"\[degrade\.parameter\]"):
        DegradeRequest(**given)


@pytest.mark.parametrize(
    ("volume", "request_"),
    [
        (MR, DegradeRequest("denoise", dose=0.5)),
        (CT, DegradeRequest("denoise", noise="5%")),
        (MR, DegradeRequest("inpaint", missing=(0,))),
        (MR, DegradeRequest("inpaint", missing=(5,))),
        (MR, DegradeRequest("inpaint", missing=(17,))),
    ],
)
def test_what_the_scan_cannot_have_is_refused(volume: Volume, request_: DegradeRequest) -> None:
    """No dose in MRI, no percentage in CT, no lost slice at the rim of the stack."""
    with pytest.raises(UsageError, match=r"\[degrade\.parameter\]"):
        degrade(volume, request_)
