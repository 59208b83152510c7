"""Training pairs of the through-plane networks: known slices around a thin one, made by medsr.physics' operators."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from medsr.models.inputs import HU_SCALE
from medsr.models.through import bracketed, brackets, row_norms, start_matrix, through_condition
from medsr.physics import LinearOperator, SliceMask, SliceProfile
from medsr.train.pairs import Pair
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan, Stack
from medsr.train.through_scans import NARROW_SIDE, WIDE_SIDE

__all__ = ["ThroughDraw"]

_LONGEST_SPAN = 32
_STRIP_LENGTH = 96
_FOREGROUND_SHARE = 0.3
_NOISY_SHARE = 0.5
_INNER_SHARE = 0.85

Kind = Literal["wide", "strip"]


class ThroughDraw:
    """Draws pairs of thick or lost slices; every draw depends on `rng` alone, so that a training can be resumed.

    A batch is either of square patches or, from stacks whose slice plane is a thin slab seen from the side, of
    strips with the same number of pixels in all.
    """

    def __init__(self, recipe: Recipe, scans: list[Scan], rng: np.random.Generator) -> None:
        self.recipe, self.rng = recipe, rng
        self._torch = torch.Generator()
        self._stacks: dict[Kind, tuple[list[Stack], np.ndarray]] = {
            "wide": _pool(scans, "wide"),
            "strip": _pool(scans, "strip"),
        }

    def batch(self, size: int, *, kind: Kind | None = None) -> Pair:
        """(B, C, P, Q) inputs and (B, 1, P, Q) targets, float32, channels last."""
        chosen = kind or self._kind()
        side = self.recipe.patch
        shape = (side, side)
        if chosen == "strip":
            narrow = 16 if self.rng.random() < 0.5 else NARROW_SIDE
            shape = (_STRIP_LENGTH, narrow)
        many = max(1, round(size * side * side / (shape[0] * shape[1])))
        pairs = [self.pair(chosen, shape) for _ in range(many)]
        inputs = torch.stack([pair[0] for pair in pairs]).contiguous(memory_format=torch.channels_last)
        return inputs, torch.stack([pair[1] for pair in pairs])

    def pair(self, kind: Kind, shape: tuple[int, int]) -> Pair:
        """One pair of a random stack, operator and level."""
        self._torch.manual_seed(int(self.rng.integers(2**31)))
        stacks, shares = self._stacks[kind]
        stack = stacks[self.rng.choice(len(stacks), p=shares)]
        clean = self._clean(self._crop(stack, shape, kind))
        linear = self._operator(clean.shape, thin=stack.full_support)
        index = self._target(linear)
        measured, sigma = self._measured(clean, linear, stack.sigma)
        bracket = brackets(linear)[index]
        known = measured.movedim(-1, 0)[list(bracket.known)]
        thickness = linear.thickness if isinstance(linear, SliceProfile) else 1.0
        start = measured @ start_matrix(linear, self.recipe.start)[index]
        given = through_condition(bracketed(known, start), bracket, sigma=sigma, thickness=thickness)
        return self._turned(given, clean[..., index][None], square=shape[0] == shape[1])

    def _kind(self) -> Kind:
        if not self._stacks["strip"][0]:
            return "wide"
        if not self._stacks["wide"][0]:
            return "strip"
        return "strip" if self.rng.random() < self.recipe.strip_share else "wide"

    def _crop(self, stack: Stack, shape: tuple[int, int], kind: Kind) -> torch.Tensor:
        """(P, Q, S) of a foreground window, at most 32 slices; strips lie with their long side first."""
        values = stack.values
        if kind == "strip" and values.shape[1] < values.shape[2]:
            values = values.swapaxes(1, 2)
        count, rows, columns = values.shape
        first, second = min(shape[0], rows), min(shape[1], columns)
        floor = 0.05 if self.recipe.modality == "MR" else -500
        span = min(count, _LONGEST_SPAN)
        for _ in range(20):
            start = int(self.rng.integers(count - span + 1))
            row, column = int(self.rng.integers(rows - first + 1)), int(self.rng.integers(columns - second + 1))
            window = np.s_[row : row + first, column : column + second]
            if (values[start + span // 2][window] > floor).mean() > _FOREGROUND_SHARE:
                break
        cut = values[start : start + span][(slice(None), *window)].astype(np.float32)
        if cut.shape[1:] != shape:
            cut = np.pad(cut, ((0, 0), (0, shape[0] - first), (0, shape[1] - second)), mode="reflect")
        if self.rng.random() < 0.5:
            cut = cut[::-1]
        return torch.from_numpy(np.ascontiguousarray(cut)).movedim(0, -1)

    def _clean(self, values: torch.Tensor) -> torch.Tensor:
        """Scaled thin slices; MR intensities are remapped so that contrast and coil shading do not matter."""
        if self.recipe.modality == "CT":
            return values / HU_SCALE
        clean = values
        if self.rng.random() < 0.5:
            clean = clean.clamp_min(0) ** float(self.rng.uniform(0.6, 1.6)) * float(self.rng.uniform(0.7, 1.2))
        if self.rng.random() < 0.15:
            clean = torch.where(clean > 0.02, 1 - 0.8 * clean, clean).clamp_min(0) * float(self.rng.uniform(0.7, 1.0))
        return clean

    def _operator(self, shape: torch.Size, *, thin: bool) -> LinearOperator:
        rows, columns, count = (int(size) for size in shape)
        if not thin or self.rng.random() < self.recipe.inpaint_share:
            return SliceMask((rows, columns, count), self._kept(count))
        largest = min(6.0, count / 2)
        step = math.exp(self.rng.uniform(math.log(1.5), math.log(largest)))
        if self.rng.random() < 0.6:
            step = float(min(self.rng.choice([2, 2, 3, 4]), int(largest)))
        thickness = step
        if self.rng.random() < 0.35:
            thickness = max(1.0, step * float(self.rng.uniform(0.5, 1.3)))
        profile: Literal["box", "gauss"] = "gauss" if self.rng.random() < 0.25 else "box"
        return SliceProfile((rows, columns, count), min(thickness, count / 1.5), step, profile)

    def _kept(self, count: int) -> tuple[int, ...]:
        """Every n-th slice, or all but one; the ends are always there."""
        draw = self.rng.random()
        if draw < 0.3:
            lost = int(self.rng.integers(1, count - 1))
            return tuple(index for index in range(count) if index != lost)
        keep = 2 if draw < 0.65 else 4 if draw < 0.85 else 3
        keep = min(keep, (count - 1) // 2)
        first = int(self.rng.integers((count - 1) % keep + 1))
        return tuple(range(first, count, keep))

    def _target(self, linear: LinearOperator) -> int:
        """A slice to be restored; inner ones more often, as a whole stack has more of them than a short span."""
        if isinstance(linear, SliceMask):
            lost = [index for index in linear.missing if linear.kept[0] < index < linear.kept[-1]]
            inner = [index for index in lost if linear.kept[1] < index < linear.kept[-2]]
            pool = inner if inner and self.rng.random() < _INNER_SHARE else lost
            return int(self.rng.choice(pool))
        count = linear.fine_shape[2]
        margin = min(count // 3, round(linear.step) if isinstance(linear, SliceProfile) else 1)
        if self.rng.random() < _INNER_SHARE:
            return int(self.rng.integers(margin, count - margin))
        return int(self.rng.integers(count))

    def _measured(self, clean: torch.Tensor, linear: LinearOperator, own: float) -> tuple[torch.Tensor, float]:
        """y, and the noise it holds in all: what was added, and the scan's own as the operator leaves it."""
        thick = linear.forward(clean)
        left = own * row_norms(linear)
        if self.recipe.modality == "CT":
            return thick, left
        if self.rng.random() >= _NOISY_SHARE:
            return thick.abs(), left
        sigma = math.exp(self.rng.uniform(math.log(0.004), math.log(0.06)))
        real = thick + sigma * torch.randn(thick.shape, generator=self._torch)
        imaginary = sigma * torch.randn(thick.shape, generator=self._torch)
        return (real.square() + imaginary.square()).sqrt(), math.hypot(sigma, left)

    def _turned(self, given: torch.Tensor, target: torch.Tensor, *, square: bool) -> Pair:
        flips = [axis for axis in (1, 2) if self.rng.random() < 0.5]
        given, target = given.flip(flips), target.flip(flips)
        if square and self.rng.random() < 0.5:
            given, target = given.transpose(1, 2), target.transpose(1, 2)
        return given, target


def _pool(scans: list[Scan], kind: Kind) -> tuple[list[Stack], np.ndarray]:
    """Stacks that give patches of a kind, with the share of each in the draw."""
    chosen = [
        (stack, scan.weight / len(scan.stacks))
        for scan in scans
        for stack in scan.stacks
        if (min(stack.values.shape[1:]) >= WIDE_SIDE) == (kind == "wide")
    ]
    weights = np.array([weight for _, weight in chosen])
    return [stack for stack, _ in chosen], weights / weights.sum() if len(weights) else weights
