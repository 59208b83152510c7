"""Restoration and super-resolution of MRI and CT, judged before release.

The functions are loaded on first use: importing medsr imports neither torch nor pydicom.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "degrade", "read", "restore", "validate"]

if TYPE_CHECKING:
    from medsr.pipeline.functions import degrade, read, restore, validate


def __getattr__(name: str) -> object:
    if name in ("degrade", "read", "validate"):
        # By name, so that a room that asks for __version__ does not depend on the pipeline above it.
        return getattr(import_module("medsr.pipeline.functions"), name)
    raise AttributeError(f"module 'medsr' has no attribute {name!r}")


class _Package(ModuleType):
    """The package itself, on which `restore` stays the function when Python binds the room of that name."""

    @property
    def restore(self) -> object:
        return import_module("medsr.pipeline.functions").restore

    @restore.setter
    def restore(self, room: ModuleType) -> None:
        """Importing medsr.restore sets this attribute to the room, which stays reachable by import alone."""


sys.modules[__name__].__class__ = _Package
