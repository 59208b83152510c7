"""The networks run on a scan or on a part of it, always under the scan's own scaling, noise and seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medsr.models.engine import TorchEngine
from medsr.physics import Identity, Operator, SliceMask, SliceProfile
from medsr.restore.diffusion import restore_by_samples
from medsr.restore.intensity import Intensity
from medsr.restore.painter import Painter
from medsr.restore.regress import InPlaneResult, Progress, restore_in_plane
from medsr.restore.through import restore_through
from medsr.settings import settings
from medsr.volume import Volume

__all__ = ["Run", "told_scale"]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a restoration was run with, so that evidence is made by the same restorer.

    Parameters
    ----------
    painter : the networks.
    intensity : scaling of the whole scan, which a part of it keeps.
    sigma : noise that the network is told of, in image units; allowed : noise that data consistency allows for.
    """

    painter: Painter
    intensity: Intensity
    sigma: float
    allowed: float

    def __call__(
        self, y: Volume, operator: Operator, *, first: int = 0, progress: Progress | None = None
    ) -> InPlaneResult:
        """Restore y; `first` is the place of its first slice in the whole scan, which seeds its samples."""
        linear, painter, memory = operator.linear, self.painter, settings().tile_memory_bytes
        if isinstance(linear, (SliceMask, SliceProfile)):
            return restore_through(
                y,
                painter.engine,
                config=painter.engine.network.config,
                operator=operator,
                intensity=self.intensity,
                sigma=self.sigma,
                allowed=self.allowed,
                start=painter.start,
                memory_bytes=memory,
                progress=progress,
            )
        denoise_only, scale = isinstance(linear, Identity), told_scale(operator, y)
        if painter.sampling is not None:
            return restore_by_samples(
                y,
                painter.sampling,
                operator=operator,
                intensity=self.intensity,
                sigma=self.sigma,
                scale=scale,
                denoise_only=denoise_only,
                memory_bytes=memory,
                first=first,
                progress=progress,
            )
        return restore_in_plane(
            y,
            painter.engine,
            config=painter.engine.network.config,
            operator=operator,
            intensity=self.intensity,
            sigma=self.sigma,
            scale=scale,
            denoise_only=denoise_only,
            memory_bytes=memory,
            progress=progress,
        )

    def by(self, engine: TorchEngine) -> Run:
        """The same run by another regressor, without sampling."""
        return replace(self, painter=replace(self.painter, engine=engine, sampling=None))


def told_scale(operator: Operator, volume: Volume) -> float:
    """In-plane factor: fine over coarse matrix along the first in-plane axis; 1 where the matrix is kept."""
    axis = volume.geometry.in_plane_axes[0]
    return operator.linear.fine_shape[axis] / operator.linear.coarse_shape[axis]
