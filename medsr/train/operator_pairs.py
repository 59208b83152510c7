"""Batches that know their operator: for losses and samplers that look at the null space or at data consistency."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medsr.models.inputs import condition
from medsr.physics import LinearOperator
from medsr.train.pairs import PairDraw

__all__ = ["OperatorBatch", "OperatorDraw", "null_part", "range_part"]


@dataclass(frozen=True, slots=True, eq=False)
class OperatorBatch:
    """Inputs (B, C, P, P), targets (B, 1, P, P), the operator on (P, P, 1) or None (denoising), sigma of each item."""

    given: torch.Tensor
    target: torch.Tensor
    linear: LinearOperator | None
    sigma: tuple[float, ...]
    scale: float


class OperatorDraw(PairDraw):
    """Pairs without margin: the operator acts on the patch itself, so that its null space can be told exactly."""

    def operator_batch(self, size: int, *, scale: float | None = None) -> OperatorBatch:
        """A batch of one operator; its in-plane factor is drawn where none is given, 1 denoises."""
        chosen = self._factor() if scale is None else scale
        items = [self._item(chosen) for _ in range(size)]
        given = torch.stack([item[0] for item in items]).contiguous(memory_format=torch.channels_last)
        side = int(given.shape[-1])
        linear = None if chosen == 1.0 else self._operator(torch.empty(1, side, side), chosen)
        return OperatorBatch(
            given, torch.stack([item[1] for item in items]), linear, tuple(i[2] for i in items), chosen
        )

    def _factor(self) -> float:
        superres = self.rng.random() < self.recipe.superres_share
        return float(self.rng.choice(self.recipe.scales)) if superres else 1.0

    def _item(self, scale: float) -> tuple[torch.Tensor, torch.Tensor, float]:
        self._torch.manual_seed(int(self.rng.integers(2**31)))
        stack = None
        while stack is None:
            scan = self.scans[self.rng.choice(len(self.scans), p=self._shares)]
            stack = self._stack(scan, self.recipe.patch, full_support=scale != 1.0)
        values, noise, inside = self._crop(stack, self.recipe.patch)
        clean = self._clean(values)
        degraded, sigma = self._degrade(clean, noise, stack.sigma, scale)
        centre = inside[len(inside) // 2]
        given = condition(degraded[inside], sigma=sigma, scale=scale, gap=0.0)
        turned = self._turned(given, clean[centre : centre + 1])
        return turned[0], turned[1], float(torch.as_tensor(sigma).mean())


def range_part(batch: OperatorBatch, x: torch.Tensor) -> torch.Tensor:
    """A+ A x of images (B, 1, P, P); x itself when denoising."""
    if batch.linear is None:
        return x
    return batch.linear.project(x.movedim(1, -1)).movedim(-1, 1)


def null_part(batch: OperatorBatch, x: torch.Tensor) -> torch.Tensor:
    """(I - A+ A) x of images (B, 1, P, P); when denoising, where nothing is null, x without its 5 x 5 mean."""
    if batch.linear is not None:
        return x - range_part(batch, x)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="reflect")
    return x - torch.nn.functional.avg_pool2d(padded, 5, 1)
