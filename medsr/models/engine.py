"""Running a network on slices: device, precision, memory format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from medsr.errors import UsageError
from medsr.models.allocator import keep_pages
from medsr.models.generator import Generator

__all__ = ["Device", "Precision", "TorchEngine", "choose_device", "choose_precision", "prepare_process"]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]


def prepare_process(threads: int | None = None) -> None:
    """Set the allocator and the number of threads; once, before the first tensor of a worker."""
    keep_pages()
    if threads is not None:
        torch.set_num_threads(threads)


def choose_precision(precision: Precision, device: str) -> Literal["fp32", "bf16"]:
    """bf16 where the processor multiplies it natively (AVX512-BF16, AMX, CUDA), else fp32; a request is obeyed."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    has = torch.cpu.get_capabilities()
    return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "fp32"


def choose_device(device: Device) -> str:
    """``cuda`` where there is one and the user did not say otherwise.

    Raises
    ------
    UsageError : ``engine.no_cuda``, if CUDA was asked for and is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("engine.no_cuda", "no CUDA device is visible")
    return device


@dataclass(frozen=True, slots=True, eq=False)
class TorchEngine:
    """A network ready to run: channels-last weights in the chosen precision; inputs and outputs are float32.

    Call it with (B, C, H, W) float32 on any device; it returns (B, 1, H, W) float32 on the CPU. In bf16 the first
    convolution, which sees the intensities, and the addition of the residual stay float32: 2 % of the work, and a
    fifth to a tenth of the rounding error (docs/decisions).
    """

    network: Generator
    device: str
    precision: Literal["fp32", "bf16"]

    @classmethod
    def of(
        cls,
        network: Generator,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> TorchEngine:
        """Move a network to its device, precision and memory format."""
        where = choose_device(device)
        chosen = choose_precision(precision, where)
        kind = torch.bfloat16 if chosen == "bf16" else torch.float32
        network.eval().to(device=where, dtype=kind)
        network.head.float()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        return cls(network, where, chosen)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Run the network without gradients and add its residual to the float32 centre slice."""
        residual = self.residual(x)
        with torch.inference_mode():
            return self.network.centre(x).cpu() + residual

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """The residual alone, (B, 1, H, W) float32 on the CPU: what a bridge predicts."""
        with torch.inference_mode():
            given = x.to(self.device).contiguous(memory_format=torch.channels_last)
            return self.network.residual(given).float().cpu()
