"""Is the noise level of a scan what its pixels show? Sources that disagree hold a result."""

from __future__ import annotations

from dataclasses import dataclass

from medsr.physics.estimate import NoiseEstimate
from medsr.records import NoiseLevel
from medsr.volume import Modality

__all__ = ["LARGEST_DIFFERENCE", "NoiseCheck", "check_noise"]

LARGEST_DIFFERENCE = 0.1
"""Sources of the noise level that differ by more than a tenth of the larger are apart."""


@dataclass(frozen=True, slots=True)
class NoiseCheck:
    """What the sources of a noise level say of it.

    Parameters
    ----------
    apart : sentences on sources that contradict the level.
    interpolated : the outer spectrum is empty, so what is read in it is not the noise of the scan.
    may_be_high : the level was estimated in a way that reads structure as noise.
    """

    apart: tuple[str, ...]
    interpolated: bool
    may_be_high: bool

    @property
    def verified(self) -> bool:
        """True if nothing contradicts the level."""
        return not self.apart and not self.interpolated


def check_noise(level: NoiseLevel, estimate: NoiseEstimate, *, modality: Modality, interpolated: bool) -> NoiseCheck:
    """Compare the level in use with what air and tissue show.

    Air shows the noise itself. Tissue shows noise and texture (docs/decisions/0104): it can prove a level too high,
    never too low. A sidecar states what was added to a scan that had noise before, so more in its air is no
    contradiction. For CT the flattest windows of tissue are the estimate.
    """
    sigma, apart = level.sigma, []
    reference = estimate.tissue if modality == "CT" else estimate.air
    name = "flat tissue" if modality == "CT" else "air"
    if reference is not None and level.provenance != "estimated":
        low = reference < (1 - LARGEST_DIFFERENCE) * sigma
        high = sigma < (1 - LARGEST_DIFFERENCE) * reference and level.provenance != "declared"
        if low or high:
            apart.append(f"{name} shows {reference:.3g}, the {level.provenance} level is {sigma:.3g}")
    if modality == "MR" and estimate.tissue is not None and estimate.tissue < (1 - LARGEST_DIFFERENCE) * sigma:
        apart.append(f"tissue shows {estimate.tissue:.3g}, the {level.provenance} level is {sigma:.3g}")
    without = estimate.tissue is None if modality == "CT" else estimate.air is None
    estimated = level.provenance == "estimated"
    return NoiseCheck(tuple(apart), interpolated, may_be_high=estimated and (without or bool(apart) or interpolated))
