"""What a user asks of a restoration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from medsr.errors import UsageError
from medsr.models.mixture import checked_fidelity
from medsr.records import Task

__all__ = ["DEFAULT_SAMPLES", "Evidence", "Method", "RestoreRequest"]

Method = Literal["regress", "gan", "diffusion"]
Evidence = Literal["probe", "family", "hidden"]

DEFAULT_SAMPLES = 8
MOST_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Task and options of one restoration; checked when made.

    Parameters
    ----------
    task : ``denoise``, ``superres`` or ``inpaint``.
    scale : in-plane factor of super-resolution, 1.5 to 4.
    through : through-plane factor of super-resolution, 1.5 to 6: distance of slices over that of the thin ones.
        Super-resolution without either factor needs a scan whose operator is declared.
    mask : lost slices of an inpainting, counted from 0 along the slice axis; found in the pixels where None.
    noise : sd of the noise in image units (HU for CT) that overrides every estimate, or None.
    method : ``regress``, ``gan`` or ``diffusion``.
    fidelity : of a GAN, 1 (regressor) to 0 in quarters; the bundle's own for the task where None.
    samples : of a diffusion, 1 to 64; the image is their mean.
    seed : of the samples.
    device, precision, threads : how the network runs; all cores where threads is None.
    evidence : what else to run for the gate: ``probe`` (discs planted and restored again), ``family`` (the regressor
        beside a GAN or a diffusion), ``hidden`` (acquired slices of an inpainting hidden and restored again).

    Raises
    ------
    UsageError : ``restore.task``, ``restore.scale``, ``restore.slices``, ``restore.noise``, ``restore.method``,
        ``restore.fidelity``, ``restore.samples``, ``restore.engine``, ``restore.evidence``.
    """

    task: Task
    scale: float | None = None
    through: float | None = None
    mask: tuple[int, ...] | None = None
    noise: float | None = None
    method: Method = "regress"
    fidelity: float | None = None
    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = None
    evidence: frozenset[Evidence] = frozenset()

    def __post_init__(self) -> None:
        if self.task not in ("denoise", "superres", "inpaint"):
            raise UsageError("restore.task", f"there is no task {self.task!r}")
        self._check_factors()
        self._check_method()
        if self.mask is not None and self.task != "inpaint":
            raise UsageError("restore.slices", f"lost slices are given, but the task is {self.task}")
        if self.noise is not None and not 0 <= self.noise < float("inf"):
            raise UsageError("restore.noise", f"noise {self.noise} is not a finite number of at least 0")
        if self.device not in ("auto", "cpu", "cuda") or self.precision not in ("auto", "fp32", "bf16"):
            raise UsageError("restore.engine", f"there is no device {self.device!r} with precision {self.precision!r}")
        if self.threads is not None and self.threads < 1:
            raise UsageError("restore.engine", f"{self.threads} threads cannot run a network")
        if not self.evidence <= set(get_args(Evidence)):
            raise UsageError(
                "restore.evidence", f"there is no evidence {sorted(self.evidence - set(get_args(Evidence)))}"
            )

    def _check_factors(self) -> None:
        if self.task == "superres":
            if self.scale is not None and self.through is not None:
                raise UsageError("restore.scale", "in plane and through plane are two runs: give one factor")
            if self.scale is not None and not 1.5 <= self.scale <= 4:
                raise UsageError("restore.scale", f"super-resolution needs a scale of 1.5 to 4, not {self.scale:g}")
            if self.through is not None and not 1.5 <= self.through <= 6:
                raise UsageError("restore.scale", f"thick slices are cut by 1.5 to 6, not by {self.through:g}")
        elif self.scale not in (None, 1) or self.through not in (None, 1):
            fact = f"{self.task} keeps the grid; a factor of {self.scale or self.through:g} contradicts it"
            raise UsageError("restore.scale", fact)

    def _check_method(self) -> None:
        if self.method not in ("regress", "gan", "diffusion"):
            raise UsageError("restore.method", f"no installed bundle restores by {self.method!r}")
        if self.fidelity is not None:
            checked_fidelity(self.fidelity)
            if self.method != "gan":
                raise UsageError("restore.fidelity", f"the method {self.method} has no fidelity")
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise UsageError("restore.samples", f"{self.samples} samples are not 1 to {MOST_SAMPLES}")
