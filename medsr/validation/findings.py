"""From peaks on measured slices to findings on the restored grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medsr.records import Finding, Restoration
from medsr.validation.r4_scan import Peak

__all__ = ["findings_of", "stacked"]


def stacked(peaks: Sequence[Peak]) -> list[list[Peak]]:
    """Peaks of one sign in neighbouring slices at nearly one place, as one structure; strongest structure first."""
    groups: list[list[Peak]] = []
    for peak in sorted(peaks, key=lambda item: item.slice_index):
        for group in groups:
            last = group[-1]
            reach = 0.5 * max(last.diameter, peak.diameter) + 2
            near = np.hypot(last.place[0] - peak.place[0], last.place[1] - peak.place[1]) <= reach
            if near and last.slice_index + 1 == peak.slice_index and last.z * peak.z > 0:
                group.append(peak)
                break
        else:
            groups.append([peak])
    return sorted(groups, key=lambda group: -max(abs(peak.z) for peak in group))


def findings_of(
    peaks: Sequence[Peak], restoration: Restoration, sigma_at: Sequence[float], *, channel: str
) -> tuple[Finding, ...]:
    """Findings from peaks; `sigma_at` is the local noise of each peak, in image units.

    The contrast is signed as the structure appears in the restored image: positive where the image is brighter than
    the measurement allows (added), negative where it is darker (omitted).
    """
    noise = {id(peak): sigma for peak, sigma in zip(peaks, sigma_at, strict=True)}
    return tuple(
        _finding(group, restoration, noise, f"{channel}-{number}", channel)
        for number, group in enumerate(stacked(peaks), start=1)
    )


def _finding(group: list[Peak], restoration: Restoration, noise: dict[int, float], name: str, channel: str) -> Finding:
    strongest = max(group, key=lambda peak: abs(peak.z))
    geometry, coarse = restoration.geometry, restoration.measured.geometry
    axes = coarse.in_plane_axes
    low, high = [0, 0, 0], [0, 0, 0]
    for position, axis in enumerate(axes):
        ratio = geometry.shape[axis] / coarse.shape[axis]
        middle, half = (strongest.place[position] + 0.5) * ratio, strongest.diameter / 2 * ratio
        low[axis] = max(0, int(np.floor(middle - half)))
        high[axis] = min(geometry.shape[axis], int(np.ceil(middle + half)))
    indices = [peak.slice_index for peak in group]
    low[coarse.slice_axis], high[coarse.slice_axis] = min(indices), max(indices) + 1
    corners = geometry.world(np.array([[*low], [*high]], float) - 0.5)
    return Finding(
        id=name,
        type="omitted" if strongest.z > 0 else "added",
        box_voxel=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        box_mm=(_point(corners.min(0)), _point(corners.max(0))),
        size_mm=strongest.diameter * float(np.mean([coarse.spacing_mm[axis] for axis in axes])),
        contrast=-strongest.amplitude * noise[id(strongest)],
        dprime=strongest.dprime,
        p=min(peak.p for peak in group),
        channel=channel,
    )


def _point(values: np.ndarray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
