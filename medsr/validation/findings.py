"""From peaks on measured slices to findings on the restored grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from medsr.records import Finding, Restoration
from medsr.validation.r4_scan import Peak

__all__ = ["findings_of", "merged", "overlap", "stacked"]


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


def findings_of(peaks: Sequence[Peak], restoration: Restoration, *, channel: str) -> tuple[Finding, ...]:
    """Findings from peaks, strongest first.

    The contrast is signed as the structure appears in the restored image: positive where the image is brighter than
    the measurement allows (added), negative where it is darker (omitted).
    """
    groups = enumerate(stacked(peaks), start=1)
    return tuple(_finding(group, restoration, f"{channel}-{number}", channel) for number, group in groups)


def merged(before: Sequence[Finding], written: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings on the written pixels, then those that projection removed (seen before it alone), marked so."""
    gone = [replace(item, remains=False) for item in before if not any(overlap(item, other) for other in written)]
    return (*written, *gone)


def overlap(one: Finding, other: Finding) -> bool:
    """True if two findings of one type share a voxel."""
    pairs = zip(one.box_voxel[0], one.box_voxel[1], other.box_voxel[0], other.box_voxel[1], strict=True)
    return one.type == other.type and all(a < d and c < b for a, b, c, d in pairs)


def _finding(group: list[Peak], restoration: Restoration, name: str, channel: str) -> Finding:
    strongest = max(group, key=lambda peak: abs(peak.z))
    geometry, coarse = restoration.geometry, restoration.measured.geometry
    low, high = [0, 0, 0], [0, 0, 0]
    for position, axis in enumerate(coarse.in_plane_axes):
        ratio = geometry.shape[axis] / coarse.shape[axis]
        middle, half = (strongest.place[position] + 0.5) * ratio, strongest.diameter / 2 * ratio
        low[axis] = max(0, int(np.floor(middle - half)))
        high[axis] = min(geometry.shape[axis], int(np.ceil(middle + half)))
    axis = coarse.slice_axis
    ratio = geometry.shape[axis] / coarse.shape[axis]
    indices = [peak.slice_index for peak in group]
    low[axis] = int(np.floor(min(indices) * ratio))
    high[axis] = min(geometry.shape[axis], int(np.ceil((max(indices) + 1) * ratio)))
    corners = geometry.world(np.array(list(product(*zip(low, high, strict=True))), float) - 0.5)
    return Finding(
        id=name,
        type="omitted" if strongest.z > 0 else "added",
        box_voxel=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        box_mm=(_point(corners.min(0)), _point(corners.max(0))),
        size_mm=strongest.diameter * float(np.mean([coarse.spacing_mm[axis] for axis in coarse.in_plane_axes])),
        contrast=-strongest.amplitude * strongest.sigma,
        dprime=strongest.dprime,
        p=min(peak.p for peak in group),
        channel=channel,
    )


def _point(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
