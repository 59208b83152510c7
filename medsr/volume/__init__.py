"""Scans without files: geometry and values."""

from medsr.volume.geometry import Geometry
from medsr.volume.volume import Acquisition, Modality, Source, Unit, Volume

__all__ = ["Acquisition", "Geometry", "Modality", "Source", "Unit", "Volume"]
