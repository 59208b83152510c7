"""The degradations that an evaluation runs over, each with the unit its results are compared in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medsr.errors import UsageError
from medsr.records import Task
from medsr.volume import Modality

__all__ = ["LEVELS", "REAL_LOW_DOSE", "THICKEST_MM", "WIDEST_GAP_MM", "Level", "levels_named"]

THICKEST_MM = 2.6
"""Slices farther apart are too coarse to be averaged into thicker ones."""
WIDEST_GAP_MM = 5.2
"""Known slices farther apart than this show no course of anatomy that could be followed."""


@dataclass(frozen=True, slots=True)
class Level:
    """One degradation: its name in tables and what is done."""

    name: str
    task: Task
    modality: Modality
    noise: str | None = None
    dose: float | None = None
    scale: float | None = None
    through: float | None = None
    keep: int | None = None

    @property
    def through_plane(self) -> bool:
        """True if slices are made, not only pixels within them."""
        return self.through is not None or self.keep is not None

    @property
    def metric(self) -> Literal["PSNR dB", "excess error HU", "RMSE HU"]:
        """What results of this level are compared by."""
        if self.modality == "MR":
            return "PSNR dB"
        return "excess error HU" if self.dose else "RMSE HU"

    @property
    def larger_is_better(self) -> bool:
        """True for PSNR."""
        return self.modality == "MR"


LEVELS: tuple[Level, ...] = (
    Level("MR denoise 3 %", "denoise", "MR", noise="3%"),
    Level("MR denoise 5 %", "denoise", "MR", noise="5%"),
    Level("MR denoise 9 %", "denoise", "MR", noise="9%"),
    Level("MR x2", "superres", "MR", scale=2.0),
    Level("MR x4", "superres", "MR", scale=4.0),
    Level("MR gaps 1 of 2", "inpaint", "MR", keep=2),
    Level("MR gaps 3 of 4", "inpaint", "MR", keep=4),
    Level("MR thick x2", "superres", "MR", through=2.0),
    Level("MR thick x4", "superres", "MR", through=4.0),
    Level("CT quarter dose", "denoise", "CT", dose=0.25),
    Level("CT tenth dose", "denoise", "CT", dose=0.1),
    Level("CT x2", "superres", "CT", scale=2.0),
    Level("CT x4", "superres", "CT", scale=4.0),
    Level("CT gaps 1 of 2", "inpaint", "CT", keep=2),
    Level("CT thick x2", "superres", "CT", through=2.0),
)
"""The levels that `medsr evaluate` runs by default."""

REAL_LOW_DOSE = "CT real low dose"
"""Name of the level of real pairs."""


def levels_named(beginnings: tuple[str, ...]) -> tuple[Level, ...]:
    """The levels whose name starts with one of `beginnings`, all of them by default.

    Raises
    ------
    UsageError : ``evaluate.level``, if a beginning names none.
    """
    for beginning in beginnings:
        if not any(level.name.startswith(beginning) for level in LEVELS):
            raise UsageError("evaluate.level", f"no level is called {beginning[:40]!r}")
    return tuple(level for level in LEVELS if not beginnings or level.name.startswith(beginnings))
