"""Restoration and super-resolution of MRI and CT, judged before release.

The functions are loaded on first use: importing medsr imports neither torch nor pydicom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "degrade", "read", "restore", "validate"]

if TYPE_CHECKING:
    from medsr.pipeline.functions import degrade, read, restore, validate


def __getattr__(name: str) -> object:
    if name in ("degrade", "read", "restore", "validate"):
        from medsr.pipeline import functions

        return getattr(functions, name)
    raise AttributeError(f"module 'medsr' has no attribute {name!r}")
