"""P0 x = x - A+ A x: the part of an image that no measurement reaches, slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from medsr.physics import SliceMask
from medsr.records import ChannelResult, Restoration
from medsr.validation.local_noise import plane_of
from medsr.validation.residual import Measurement

__all__ = ["NullSpace", "uncalibrated"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class NullSpace:
    """The null space of a restoration's operator on the restored grid, and where the patient is there.

    Masks and what was measured come from the scan alone: nothing here looks at the range part of an image.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.restoration: Restoration = measurement.restoration
        self.linear = self.restoration.operator.linear
        self.axis = self.restoration.geometry.slice_axis
        self.count = self.restoration.geometry.shape[self.axis]

    @property
    def empty(self) -> bool:
        """True if the operator sees everything."""
        return self.linear.kind == "identity"

    def slices(
        self,
        image: npt.NDArray[np.float32],
        *,
        minus: npt.NDArray[np.float32] | None = None,
        indices: Iterable[int] | None = None,
    ) -> Iterator[tuple[int, Plane]]:
        """(index, P0 x) for every slice that has a null part, or those of `indices`; `minus` is subtracted from x."""
        wanted = self.supplied if indices is None else tuple(indices)
        if isinstance(self.linear, SliceMask):
            for index in wanted:
                yield index, self._plane(image, minus, index)
        elif self.linear.slices_are_independent:
            for index in wanted:
                plane = torch.from_numpy(self._plane(image, minus, index)).unsqueeze(self.axis)
                seen = self.linear.slab(index, index + 1).project(plane)
                yield index, (plane - seen).squeeze(self.axis).numpy()
        else:
            whole = torch.from_numpy(np.ascontiguousarray(image if minus is None else image - minus))
            null = (whole - self.linear.project(whole)).numpy()
            for index in wanted:
                yield index, plane_of(null, index, self.axis)

    @property
    def supplied(self) -> tuple[int, ...]:
        """Slices that have a null part."""
        return self.linear.missing if isinstance(self.linear, SliceMask) else tuple(range(self.count))

    def _plane(self, image: npt.NDArray[np.float32], minus: npt.NDArray[np.float32] | None, index: int) -> Plane:
        plane = plane_of(image, index, self.axis)
        return plane if minus is None else plane - plane_of(minus, index, self.axis)

    def mask(self, index: int) -> Mask:
        """Where the nearest measured slice shows the patient, on the restored grid."""
        return self._finer(self.measurement.mask(self._measured(index)))

    def lifted(self, index: int) -> Plane:
        """What was measured of a slice, on the restored grid: A+ y, or the nearest measured slice."""
        plane = self.measurement.plane(self._measured(index))
        if not self.linear.slices_are_independent:
            return plane
        part = torch.from_numpy(plane).unsqueeze(self.axis)
        lifted: Plane = self.linear.slab(index, index + 1).pinv(part).squeeze(self.axis).numpy()
        return lifted

    def between(self, index: int) -> Plane | None:
        """What linear interpolation makes of a lost slice; None where the slice is not lost."""
        if not isinstance(self.linear, SliceMask) or index in self.linear.kept:
            return None
        kept = self.linear.kept
        after = min(int(np.searchsorted(kept, index)), len(kept) - 1)
        before = max(0, after - 1)
        length = kept[after] - kept[before]
        share = (index - kept[before]) / length if length else 0.0
        low, high = self.measurement.plane(before), self.measurement.plane(after)
        mixed: Plane = (1 - np.float32(share)) * low + np.float32(share) * high
        return mixed

    def _measured(self, index: int) -> int:
        """The measured slice nearest to slice `index` of the restored grid."""
        if isinstance(self.linear, SliceMask):
            return int(np.abs(np.array(self.linear.kept) - index).argmin())
        count = self.measurement.count
        return min(count - 1, int((index + 0.5) * count / self.count))

    def _finer(self, mask: Mask) -> Mask:
        fine = [size for a, size in enumerate(self.restoration.geometry.shape) if a != self.axis]
        if tuple(fine) == mask.shape:
            return mask
        places = [((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(fine, mask.shape, strict=True)]
        return mask[np.ix_(places[0], places[1])]


def uncalibrated(name: str, value: float, note: str) -> ChannelResult:
    """A null channel that measured something; only a calibration knows how much is too much."""
    return ChannelResult(
        name,
        "null",
        "not_assessed",
        value,
        None,
        may="hold",
        note=f"{note}; no threshold was calibrated",
        uncalibrated=bool(np.isfinite(value)),
    )
