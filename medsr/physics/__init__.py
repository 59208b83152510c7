"""Degradation operators, noise, its estimation, and lesions: the forward model of a scan.

Importing the room registers every operator in :data:`OPERATORS`.
"""

from medsr.physics.area_average import AreaAverage
from medsr.physics.identity import Identity
from medsr.physics.k_space_truncation import KSpaceTruncation
from medsr.physics.linear import OPERATORS, LinearOperator, apply_along, register
from medsr.physics.noise import (
    GaussianNoise,
    MagnitudeNoise,
    NoiseModel,
    NoNoise,
    ProjectionNoise,
    noise_from_record,
)
from medsr.physics.operator import Operator
from medsr.physics.overlap_average import OverlapAverage
from medsr.physics.slice_mask import SliceMask
from medsr.physics.slice_profile import SliceProfile

__all__ = [
    "OPERATORS",
    "AreaAverage",
    "GaussianNoise",
    "Identity",
    "KSpaceTruncation",
    "LinearOperator",
    "MagnitudeNoise",
    "NoNoise",
    "NoiseModel",
    "Operator",
    "OverlapAverage",
    "ProjectionNoise",
    "SliceMask",
    "SliceProfile",
    "apply_along",
    "noise_from_record",
    "register",
]
