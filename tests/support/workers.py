"""Work that a process of multiprocessing imports by name, which it cannot from a test module."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from medsr.io import read

__all__ = ["put_sum"]


def put_sum(folder: str, results: multiprocessing.SimpleQueue[float]) -> None:
    """Read a scan and put the sum of its values."""
    results.put(float(read(Path(folder)).values.sum()))
