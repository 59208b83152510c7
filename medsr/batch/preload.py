"""What a Dask worker loads first: the allocator must be set before any thread or tensor (``--preload``)."""

from __future__ import annotations

from typing import Any

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - Dask calls it with the worker
    """Set allocator and threads of a worker process."""
    from medsr.models.engine import prepare_process

    prepare_process(1)
