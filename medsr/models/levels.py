"""Names of task and level, under which a bundle stores what was fitted for each."""

from __future__ import annotations

__all__ = ["FITTED_SCALES", "level_name"]

FITTED_SCALES = (1.5, 2.0, 3.0, 4.0)
"""In-plane factors for which levels are fitted."""


def level_name(task: str, scale: float) -> str:
    """``denoise`` or ``superres@2``: the nearest fitted factor.

    >>> level_name("superres", 2.2)
    'superres@2'
    >>> level_name("denoise", 1.0)
    'denoise'
    """
    if task != "superres":
        return task
    nearest = min(FITTED_SCALES, key=lambda step: abs(step - scale))
    return f"superres@{nearest:g}"
