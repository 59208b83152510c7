"""What derived objects say of their making: plain values, given by whoever releases them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["DerivedFacts"]


@dataclass(frozen=True, slots=True)
class DerivedFacts:
    """Texts and identities of a derived series; every one enters its UIDs, so that other words are another series.

    Parameters
    ----------
    task : what was done; chooses the derivation code.
    description : DerivationDescription, cut to 1024 characters: version, task, bundle, operator, policy, the gate's
        word, measured fraction. No time, host or job, or the same pixels would not give the same bytes.
    version : medsr's version.
    bundle : ``name@version`` of the weights; empty where no model was used.
    weights_sha256 : of the weights; empty where no model was used.
    label : ``UNVERIFIED`` or empty; stands in SeriesDescription.
    configuration : task, scale, fidelity, seed, steps, engine, precision as texts.
    synthetic_slices : indices along the slice axis that no measurement supports: they name their neighbours as source.
    keep_equipment : leave the scanner's manufacturer, model and station instead of medsr's.
    device_serial : serial number of this installation, the same on every run.
    single_frame : of a multi-frame source, write an object a slice nevertheless.
    compress : JPEG-LS lossless instead of explicit VR little endian.
    """

    task: Literal["denoise", "superres", "inpaint"]
    description: str
    version: str
    bundle: str = ""
    weights_sha256: str = ""
    label: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict)
    synthetic_slices: tuple[int, ...] = ()
    keep_equipment: bool = False
    device_serial: str = "0"
    single_frame: bool = False
    compress: bool = False
