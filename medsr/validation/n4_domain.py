"""N4: is the scan of the kind that the model was made for? Header facts against the card, features against training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medsr.physics import SliceProfile
from medsr.physics.features import outside
from medsr.records import ChannelResult, ChannelStatus, Restoration

__all__ = ["PERCENTILES", "Deviation", "domain_deviations", "domain_result"]

PERCENTILES = 0.02
"""Share of training scans outside the 1st to 99th percentile of a feature."""

_SLACK = 0.01
_ALWAYS = ("spectral_edge",)
"""Features that noise does not move; of the slope it can only raise the value."""
_WITH_QUIET = ("foreground_share", "histogram_spread", "histogram_skew")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A fact or feature beyond its range: what it is, its value, the range, and if the range is one of percentiles."""

    name: str
    value: float
    low: float
    high: float
    percentile: bool

    @property
    def words(self) -> str:
        """For a reader: ``in-plane spacing 5 mm, trained on 0.5 to 3.75``."""
        return f"{_WORDS.get(self.name, self.name)} {self.value:.3g}, trained on {self.low:.3g} to {self.high:.3g}"


_WORDS: Mapping[str, str] = {
    "in_plane_spacing_mm": "in-plane spacing in mm",
    "slice_spacing_mm": "distance of slices in mm",
    "scales": "in-plane factor",
    "through_factors": "through-plane factor",
    "noise": "noise (% of q, CT: HU)",
    "spectral_slope": "slope of the spectrum",
    "spectral_edge": "share of the spectrum that holds signal",
    "foreground_share": "share of the picture that is patient",
    "histogram_spread": "spread of the values",
    "histogram_skew": "skew of the values",
}


def domain_result(restoration: Restoration, features: Mapping[str, float]) -> ChannelResult:
    """The channel: value is the number of facts and features beyond the range of the training set, held above 0.

    A bundle stores the 1st and 99th percentiles of its training scans and no more, so all that conformal prediction
    allows is a bound: a scan like those of the training set has k or more of m features beyond their percentiles with
    a chance of at most .02 m / k (Markov). Where noise was added, features that noise moves are not compared.

    Parameters
    ----------
    features : of the measurement, by :func:`medsr.physics.features.domain_features`.

    References
    ----------
    Vovk, Gammerman and Shafer, Algorithmic learning in a random world, Springer 2005 (conformal p values).
    """
    ranges = _ranges(restoration.domain)
    if not ranges:
        note = "nobody says which scans the model was made for"
        return ChannelResult("N4", "null", "not_assessed", None, 0.0, may="hold", note=note)
    if any(not math.isfinite(value) for value in features.values()):
        return ChannelResult("N4", "null", "held", math.nan, 0.0, may="hold", note="a feature is not finite")
    compared = _compared(features, ranges)
    found = domain_deviations(restoration, features)
    beyond = sum(item.percentile for item in found)
    p = min(1.0, PERCENTILES * len(compared) / beyond) if beyond else None
    if found:
        note = "; ".join(item.words for item in found)
    else:
        note = f"header facts and {len(compared)} of {len(ranges)} features inside the 1st to 99th percentiles"
    left = sorted(set(ranges) - set(compared) - {"in_plane_spacing_mm", "slice_spacing_mm", "noise"})
    if left:
        note += f"; not compared under this noise: {', '.join(_WORDS.get(name, name) for name in left)}"
    status: ChannelStatus = "held" if found else "passed"
    return ChannelResult("N4", "null", status, float(len(found)), 0.0, p, may="hold", note=note)


def domain_deviations(restoration: Restoration, features: Mapping[str, float]) -> tuple[Deviation, ...]:
    """Header facts outside the card, and features outside the training set's percentiles."""
    ranges = _ranges(restoration.domain)
    found = [
        Deviation(name, value, low, high, percentile=False)
        for name, value, low, high in _facts(restoration, features, ranges)
        if not low * (1 - _SLACK) <= value <= high * (1 + _SLACK)
    ]
    compared = _compared(features, ranges)
    for name, (value, low, high) in outside(features, {name: ranges[name] for name in compared}).items():
        quiet = _quiet(features, ranges)
        if name == "spectral_slope" and value > high and not quiet:
            continue
        found.append(Deviation(name, value, low, high, percentile=True))
    return tuple(found)


def _ranges(domain: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    """The stored percentiles of features; empty where there are none."""
    stored = domain.get("features")
    if not isinstance(stored, Mapping):
        return {}
    return {str(name): found for name, value in stored.items() if (found := _range(value)) is not None}


def _range(value: object) -> tuple[float, float] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return None
    numbers = [float(item) for item in value if isinstance(item, (int, float)) and not isinstance(item, bool)]
    if len(numbers) != len(value) or not all(math.isfinite(item) for item in numbers):
        return None
    return min(numbers), max(numbers)


def _facts(
    restoration: Restoration, features: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[str, float, float, float]]:
    """(name, value, low, high) of what the card states and the headers or the request decide."""
    geometry, domain = restoration.geometry, restoration.domain
    spacing = geometry.spacing_mm
    first, second = geometry.in_plane_axes
    values = {
        "in_plane_spacing_mm": math.sqrt(spacing[first] * spacing[second]),
        "slice_spacing_mm": spacing[geometry.slice_axis],
    }
    coarse, linear = restoration.measured.geometry, restoration.operator.linear
    factor = geometry.shape[first] / coarse.shape[first]
    if factor != 1:
        values["scales"] = factor
    if isinstance(linear, SliceProfile):
        values["through_factors"] = linear.step
    for name, value in values.items():
        stated = _range(domain.get(name)) or (ranges.get(name) if name == "slice_spacing_mm" else None)
        if stated is not None:
            yield name, value, *stated
    noise = _noise_range(domain, ranges)
    if noise is not None and "noise" in features:
        yield "noise", features["noise"], *noise


def _noise_range(domain: Mapping[str, object], ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Noise of the training scans, and what training added to it."""
    own = ranges.get("noise")
    if own is None:
        return None
    added, dose = _range(domain.get("noise_percent")), _range(domain.get("dose_fraction"))
    if added is not None:
        return own[0], math.hypot(own[1], added[1])
    return (own[0], own[1] / math.sqrt(dose[0])) if dose is not None and 0 < dose[0] <= 1 else own


def _quiet(features: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> bool:
    """True if the scan is no noisier than those whose features were stored."""
    return "noise" not in ranges or features.get("noise", math.inf) <= ranges["noise"][1]


def _compared(features: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Features that can be held against the stored ranges: those of clean scans, on their own grid."""
    names = [*_ALWAYS, "spectral_slope"]
    if _quiet(features, ranges):
        names += _WITH_QUIET
    return tuple(name for name in names if name in ranges and name in features)
