"""The nouns that travel from restoration to release: Restoration, Judgement, Verdict.

They stand below the rooms that make and use them, so that the judge need not know the painter: whatever a
channel needs from a model is run before and travels in the Restoration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from medsr.volume import Geometry, Volume

if TYPE_CHECKING:
    from medsr.physics.operator import Operator

__all__ = [
    "CalibrationUse",
    "ChannelKind",
    "ChannelResult",
    "ChannelStatus",
    "Finding",
    "FindingType",
    "HiddenSlice",
    "Judgement",
    "ModelIdentity",
    "NoiseLevel",
    "ProbeDisc",
    "Restoration",
    "SecondFamily",
    "Task",
    "Verdict",
    "Word",
    "pixels_sha256",
]

Task = Literal["denoise", "superres", "inpaint"]
ChannelKind = Literal["range", "null", "reference"]
ChannelStatus = Literal["passed", "held", "not_assessed"]
FindingType = Literal["added", "omitted", "shifted", "textured", "oversmoothed", "domain"]
Word = Literal["released", "review", "rejected", "blocked", "withdrawn"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """Standard deviation of the noise in the measurement.

    sigma is in image units (HU for CT); model is ``none``, ``gaussian``, ``rician``, ``noncentral_chi`` or
    ``projection``; provenance tells whether the user, the sidecar or the pixels gave it.
    """

    sigma: float
    model: str
    provenance: Literal["declared", "header", "estimated", "user"]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights made the image, and how they were run; everything a calibration record is bound to."""

    bundle: str
    version: str
    sha256: str
    method: str
    fidelity: float | None = None
    steps: int | None = None
    samples: int | None = None
    seed: int | None = None
    engine: str = "torch"
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class ProbeDisc:
    """One disc that was added to the scan as A L and restored again with the same seed.

    Parameters
    ----------
    place : (i, j, k) of its centre on the restored grid.
    diameter_mm : of the disc; dprime : its detectability in the scan; sign : +1 brighter, -1 darker.
    kept : <x1 - x0, L> / <L, L>, the share of its contrast that the restoration shows: 1 is all, 0 is none.
    """

    place: tuple[int, int, int]
    diameter_mm: float
    dprime: float
    sign: int
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class SecondFamily:
    """What another family of models makes of the same scan: an image on the restored grid, and how it was made."""

    image: FloatArray
    method: str


@dataclass(frozen=True, slots=True)
class HiddenSlice:
    """An acquired slice that was hidden and restored from its neighbours like a lost one.

    Parameters
    ----------
    index : along the slice axis of the restored grid.
    error, linear : rms difference to what was acquired, inside the body, of the restorer and of linear
        interpolation; image units, noise included.
    distance : of the acquired slices before and after it, in slices.
    """

    index: int
    error: float
    linear: float
    distance: int


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """A restored image with the evidence the gate judges it by.

    Parameters
    ----------
    measured : the scan as read.
    image : (I, J, K) float32 on `geometry`, exactly the values that are written (after rounding to the stored type).
    estimate : the last image before projection onto the data, same shape; None where nobody kept it (a
        stranger's output), which the gate treats as missing evidence.
    geometry : of image and estimate.
    operator : A and its noise, mapping `geometry` to the grid of `measured`.
    task : what was asked for.
    model : None for a candidate of unknown making.
    noise : of the measurement.
    spread : (I, J, K) sd of the samples, or None.
    probe : discs that were planted into the scan and restored again, or None where nobody did.
    second : another scan of the same patient, of independent noise, that the restorer never saw, or None.
    family : the image of a second family of models, or None.
    hidden : acquired slices that were hidden and restored again (inpainting), or None where nobody did.
    synthetic_slices : indices along the slice axis that no measurement supports.
    timings : seconds per stage.
    resources : facts on memory, threads, tiles.
    intensity : parameters of the intensity scaling, exactly invertible.
    reference : an image on `geometry` that counts as true, or None; it can hold a result, never release it.
    domain : what the model says of the scans it was trained on; ``features`` holds the 1st and 99th percentile of
        each feature of :mod:`medsr.physics.features`.
    """

    measured: Volume
    image: FloatArray
    estimate: FloatArray | None
    geometry: Geometry
    operator: Operator
    task: Task
    model: ModelIdentity | None
    noise: NoiseLevel
    spread: FloatArray | None = None
    probe: tuple[ProbeDisc, ...] | None = None
    second: Volume | None = None
    family: SecondFamily | None = None
    hidden: tuple[HiddenSlice, ...] | None = None
    synthetic_slices: tuple[int, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    resources: Mapping[str, object] = field(default_factory=dict)
    intensity: Mapping[str, object] = field(default_factory=dict)
    domain: Mapping[str, object] = field(default_factory=dict)
    reference: Volume | None = None


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """What one channel of the gate measured.

    value and threshold are in the channel's own unit; p is a p value where the channel has one. `may` is the
    strongest thing a failure can do; a NaN value never counts as passed. `uncalibrated` tells that the value is
    measured and finite but nobody calibrated a threshold for it: the status is ``not_assessed``, and a policy that
    requires the channel counts the result as uncalibrated, never as passed and never as absent.
    `words` is a failure as a clause for the reader's first sentence, `extent` the share of the places that the channel
    looks at which lie beyond its limit, for a channel that looks at many. `spread` is 1.4826 MAD
    of a scan's z within a slice, in noise sd, for the channels that scan.
    """

    name: str
    kind: ChannelKind
    status: ChannelStatus
    value: float | None
    threshold: float | None
    p: float | None = None
    may: Literal["verify", "hold", "reject"] = "hold"
    note: str = ""
    uncalibrated: bool = False
    words: str = ""
    extent: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A located contradiction between the restored image and the measurement.

    box_voxel is half open, in array order of the restored image; box_mm in RAS+; size_mm the diameter of the
    best matching disc; contrast in image units (HU for CT), signed as the structure appears in the image;
    dprime the detectability in the measurement; p the chance of such a peak in pure noise, per slice; remains tells
    that the contradiction still stands in the image that is written, after projection.
    """

    id: str
    type: FindingType
    box_voxel: tuple[tuple[int, int, int], tuple[int, int, int]]
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]]
    size_mm: float
    contrast: float
    dprime: float
    p: float
    channel: str
    remains: bool = True


@dataclass(frozen=True, slots=True)
class CalibrationUse:
    """The calibration record a judgement was made under, the sentence it may say, and the day it was made (ISO)."""

    record: str
    n: int
    guarantee: str
    threshold: float
    made: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the gate found, bound by hash to the pixels it judged.

    Parameters
    ----------
    pixels_sha256 : of the judged image, by :func:`pixels_sha256`.
    channels, findings : what was measured and where it contradicts.
    score : the combined score, larger is worse; None without calibration.
    calibration : the record used, or None ("uncalibrated").
    measured_fraction : trace(A+ A) over the foreground's voxels, 0 to 1; a property of the operator alone.
    supplied_energy : |P0 (x - l)|^2 / |x - l|^2, l = x smoothed over 8 output voxels; 0 to 1.
    maps : ``contradicted`` (z score, signed) and ``supplied`` (image units), each a few slices of the restored grid
        by index along the slice axis: whole volumes of them would double the memory of a judgement.
    limits : sentences on what could not be known for this scan.
    codes : reason codes that hold the result beside findings and channels: ``no_preprojection``,
        ``noise.unverified``, ``operator.unverified``, ``domain``, ``synthetic``.
    noise_may_be_high : the noise level was estimated in a way that may read structure as noise; where all that
        speaks against the image rests on it, a reader decides.
    error : why judging failed, or None; a judgement with an error is blocked.
    """

    pixels_sha256: str
    channels: tuple[ChannelResult, ...]
    findings: tuple[Finding, ...]
    score: float | None
    calibration: CalibrationUse | None
    measured_fraction: float
    supplied_energy: float
    maps: Mapping[str, Mapping[int, FloatArray]] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    noise_may_be_high: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word under a policy. reasons are stable codes (``finding.added``, ``uncalibrated``)."""

    word: Word
    reasons: tuple[str, ...]
    policy: str
    policy_sha256: str
    label: str = ""


def pixels_sha256(image: FloatArray, geometry: Geometry) -> str:
    """Hash that binds a judgement to an image: shape, affine and float32 values, k slowest."""
    digest = hashlib.sha256()
    digest.update(np.asarray(image.shape, "<i8").tobytes())
    digest.update(np.asarray(geometry.world_from_voxel, "<f8").tobytes())
    for index in range(image.shape[2]):
        digest.update(np.ascontiguousarray(image[:, :, index], "<f4").tobytes())
    return digest.hexdigest()
