"""Super-resolved restorations whose truth, range part and null part are all at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from medsr.physics import AreaAverage, KSpaceTruncation, LinearOperator, NoNoise, Operator, SliceMask, SliceProfile
from medsr.records import ModelIdentity, NoiseLevel, Restoration
from medsr.validation.null_space import NullSpace
from medsr.validation.residual import Measurement
from medsr.volume import Volume
from support.volumes import MADE, ct_volume, geometry, mr_volume

Array = npt.NDArray[np.float32]

KINDS = ("k_space_truncation", "area_average", "slice_profile", "slice_mask")


def operator(kind: str) -> LinearOperator:
    """A small operator with a null space."""
    shape = (96, 80, 6)
    return {
        "k_space_truncation": KSpaceTruncation(shape, (48, 40), 2),
        "area_average": AreaAverage(shape, (2, 2), 2),
        "slice_profile": SliceProfile((96, 80, 12), 2.0, 2.0),
        "slice_mask": SliceMask((96, 80, 9), (0, 1, 3, 4, 6, 7, 8)),
    }[kind]


def restoration(kind: str, *, seed: int = 0, noise: float = 8.0) -> Restoration:
    """A made scan under an operator; the image is the truth, projected onto the data."""
    linear = operator(kind)
    modality = "CT" if kind == "area_average" else "MR"
    make = ct_volume if modality == "CT" else mr_volume
    truth = make(linear.fine_shape, seed=seed).values
    rng = np.random.default_rng(seed + 7)
    seen = linear.forward(torch.from_numpy(np.array(truth))).numpy()
    values = np.asfortranarray((seen + noise * rng.standard_normal(seen.shape)).astype(np.float32))
    coarse = geometry(values.shape)
    measured = Volume(values, coarse, modality, "HU" if modality == "CT" else "arbitrary", MADE)  # type: ignore[arg-type]
    image = np.asfortranarray(truth)
    fine = geometry(linear.fine_shape)
    return Restoration(
        measured, image, image, fine, Operator(linear, NoNoise(), "declared"),
        "inpaint" if kind == "slice_mask" else "superres", ModelIdentity("made", "1", "c" * 64, "gan"),
        NoiseLevel(noise, "gaussian" if modality == "CT" else "rician", "declared"),
    )  # fmt: skip


def null_space(made: Restoration) -> NullSpace:
    """Of a restoration."""
    return NullSpace(Measurement(made))


def parts(made: Restoration, structure: Array) -> tuple[Array, Array]:
    """What the operator sees of a structure, and what it does not."""
    whole = torch.from_numpy(np.ascontiguousarray(structure)).double()
    seen = made.operator.linear.project(whole)
    return seen.float().numpy(), (whole - seen).float().numpy()


def changed(made: Restoration, part: Array) -> Restoration:
    """The same with something added to image and estimate alike."""
    image = np.asfortranarray(made.image + part)
    return replace(made, image=image, estimate=image)
