"""What a user asks of a restoration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medsr.errors import UsageError
from medsr.records import Task

__all__ = ["Method", "RestoreRequest"]

Method = Literal["regress", "gan", "diffusion"]


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Task and options of one restoration; checked when made.

    Parameters
    ----------
    task : ``denoise`` or ``superres``.
    scale : in-plane factor of super-resolution, 1.5 to 4; None for denoising.
    noise : sd of the noise in image units (HU for CT) that overrides every estimate, or None.
    method : ``regress``.
    device, precision, threads : how the network runs; all cores where threads is None.

    Raises
    ------
    UsageError : ``restore.task``, ``restore.scale``, ``restore.noise``, ``restore.method``, ``restore.engine``.
    """

    task: Task
    scale: float | None = None
    noise: float | None = None
    method: Method = "regress"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.task not in ("denoise", "superres"):
            raise UsageError("restore.task", f"no installed method does the task {self.task!r}")
        if self.method != "regress":
            raise UsageError("restore.method", f"no installed bundle restores by {self.method!r}")
        if self.task == "superres" and (self.scale is None or not 1.5 <= self.scale <= 4):
            raise UsageError("restore.scale", f"super-resolution needs a scale of 1.5 to 4, not {self.scale}")
        if self.task == "denoise" and self.scale not in (None, 1):
            raise UsageError("restore.scale", f"denoising keeps the matrix; scale {self.scale} contradicts it")
        if self.noise is not None and not 0 <= self.noise < float("inf"):
            raise UsageError("restore.noise", f"noise {self.noise} is not a finite number of at least 0")
        if self.device not in ("auto", "cpu", "cuda") or self.precision not in ("auto", "fp32", "bf16"):
            raise UsageError("restore.engine", f"there is no device {self.device!r} with precision {self.precision!r}")
        if self.threads is not None and self.threads < 1:
            raise UsageError("restore.engine", f"{self.threads} threads cannot run a network")
