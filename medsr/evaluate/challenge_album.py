"""The worst cases of a challenge as small pictures: scan, image, and their difference around the place."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.records import Restoration
from medsr.resources import write_bytes
from medsr.validation.local_noise import plane_of

__all__ = ["Album"]

_MOST = 10
_REACH = 48


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    badness: float
    title: str
    panels: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(slots=True)
class Album:
    """Keeps the ten worst of what is offered; the worst comes first."""

    pictures: list[_Picture] = field(default_factory=list)

    def offer(self, badness: float, title: str, made: Restoration, index: int, place: tuple[int, int]) -> None:
        """A place on a slice of a denoised scan; kept if it is among the worst."""
        if len(self.pictures) == _MOST and badness <= self.pictures[-1].badness:
            return
        axis = made.geometry.slice_axis
        scan, image = plane_of(made.measured.values, index, axis), plane_of(made.image, index, axis)
        rows, columns = (slice(max(0, at - _REACH), at + _REACH) for at in place)
        panels = (scan[rows, columns], image[rows, columns], (scan - image)[rows, columns])
        self.pictures.append(_Picture(badness, title, panels))
        self.pictures.sort(key=lambda item: -item.badness)
        del self.pictures[_MOST:]

    def write(self, folder: Path) -> list[str]:
        """PNG files worst-01.png ... in a folder, with their titles."""
        return [self._write(folder / f"worst-{number:02d}.png", item) for number, item in enumerate(self.pictures, 1)]

    @staticmethod
    def _write(path: Path, picture: _Picture) -> str:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.6, 2.5), dpi=90)
        low, high = (float(value) for value in np.percentile(picture.panels[1], [1, 99]))
        far = max(float(np.percentile(np.abs(picture.panels[2]), 99)), 1e-6)
        windows = ((low, high), (low, high), (-far, far))
        for number, (panel, window, name) in enumerate(
            zip(picture.panels, windows, ("scan", "restored", "difference"), strict=True), start=1
        ):
            axes = figure.add_subplot(1, 3, number)
            axes.imshow(panel, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest")
            axes.set_title(name, fontsize=8)
            axes.set_axis_off()
        figure.suptitle(picture.title, fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
        write_bytes(path, stream.getvalue())
        return f"{path.name}: {picture.title}"
