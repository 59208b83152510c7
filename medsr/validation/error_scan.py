"""F5 and F6: the scan of R4 on the error itself, split into what the measurement saw and what the model supplied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from medsr.records import ChannelResult, ChannelStatus, Restoration
from medsr.validation.comparison import Compared, measured_only, not_comparable
from medsr.validation.local_noise import plane_of
from medsr.validation.r4_scan import THRESHOLD, Peak, Scan
from medsr.validation.residual import SliceResidual
from medsr.validation.wording import level_words
from medsr.volume import Modality

__all__ = ["ErrorScan"]

Plane = npt.NDArray[np.float32]


class ErrorScan:
    """Scans A+A (x^ - x) and (1 - A+A) (x^ - x), in units of the scan's noise.

    In the measured part an error beyond 5.4 noise sd is one that the scan could have decided: it holds. In the supplied
    part no scan decides, and how large an error is usual there is a matter of calibration.
    """

    def __init__(self, restoration: Restoration) -> None:
        self._restoration = restoration
        self._linear = restoration.operator.linear
        self._level = max(restoration.noise.sigma, 1e-6)
        self._whole: torch.Tensor | None = None
        if not self._linear.slices_are_independent and restoration.reference is not None:
            error = torch.from_numpy(np.ascontiguousarray(restoration.image - restoration.reference.values))
            self._whole = self._linear.project(error)
        self._scan: Scan | None = None
        self._peaks: dict[str, list[Peak]] = {"range": [], "null": []}
        self._energy = {"range": 0.0, "null": 0.0}
        self.maps: dict[str, dict[int, Plane]] = {"range_error": {}, "null_error": {}}

    def add(self, item: Compared, *, shown: bool) -> None:
        """Take in one slice; keep its error maps where it will be shown."""
        seen = self._seen(item)
        parts = {"range": seen, "null": item.error - seen}
        if self._linear.kind == "identity":
            parts = {"range": item.error}
        for name, plane in parts.items():
            self._energy[name] += float((plane[item.body].astype(np.float64) ** 2).sum())
            residual = SliceResidual(
                item.index, plane, item.reference, np.full_like(plane, self._level), plane / np.float32(self._level),
                item.body,
            )  # fmt: skip
            if residual.judgeable:
                self._peaks[name] += self._scanner(plane.shape).scan(residual).peaks
            if shown:
                self.maps[f"{name}_error"][item.index] = plane

    def results(self) -> tuple[ChannelResult, ChannelResult]:
        """F5 and F6."""
        peaks = self._peaks["range"]
        value = max((abs(peak.z) for peak in peaks), default=0.0)
        status: ChannelStatus = "held" if peaks else "passed"
        clause = f"at {_places(len(peaks))} the image departs from the reference by more than the scan's noise hides"
        words = clause if peaks else ""
        first = ChannelResult(
            "F5", "reference", status, value, THRESHOLD, note=self._note("range"), words=words
        )  # fmt: skip
        if self._linear.kind == "identity":
            return first, not_comparable("F6", "everything was measured: there is no part that the model supplied")
        largest = max((abs(peak.z) for peak in self._peaks["null"]), default=0.0)
        return first, measured_only("F6", largest, self._note("null"))

    def _note(self, name: str) -> str:
        peaks = self._peaks[name]
        total = sum(self._energy.values())
        share = f"{100 * self._energy[name] / total:.0f} % of the squared error" if total > 0 else "no error"
        if not peaks:
            return f"{share}; no place beyond {THRESHOLD} noise sd"
        worst = max(peaks, key=lambda peak: abs(peak.z))
        size = worst.diameter * float(
            np.mean([self._restoration.geometry.spacing_mm[a] for a in self._restoration.geometry.in_plane_axes])
        )
        contrast = level_words(worst.amplitude * worst.sigma, _half_percent(self._restoration), self._modality)
        side = "brighter" if worst.amplitude > 0 else "darker"
        return (
            f"{share}; {_places(len(peaks))} beyond {THRESHOLD} noise sd, the clearest {contrast} {side} over "
            f"{size:.1f} mm in slice {worst.slice_index + 1}"
        )

    @property
    def _modality(self) -> Modality:
        return self._restoration.measured.modality

    def _seen(self, item: Compared) -> Plane:
        """A+A of the error of one slice."""
        axis = self._restoration.geometry.slice_axis
        if self._linear.kind == "identity":
            return item.error
        if self._whole is not None:
            return plane_of(self._whole.numpy(), item.index, axis)
        part = torch.from_numpy(item.error).unsqueeze(axis)
        projected: Plane = self._linear.slab(item.index, item.index + 1).project(part).squeeze(axis).numpy()
        return projected

    def _scanner(self, shape: tuple[int, ...]) -> Scan:
        if self._scan is None:
            plane = (int(shape[0]), int(shape[1]))
            # White: an error is no noise, and its own spectrum would hide what most of it is.
            self._scan = Scan(plane, np.ones((plane[0], plane[1] // 2 + 1)), level_air=True)
        return self._scan


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count} places"


def _half_percent(restoration: Restoration) -> float:
    """Half a percent of the bright end of an MR reference, in image units."""
    reference = restoration.reference
    values = restoration.image if reference is None else reference.values
    return max(0.005 * float(np.percentile(values[::3, ::3], 99.9)), 1e-9)
