"""A peer: a published method with one free strength, and the settings it is run at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product

import numpy as np
import numpy.typing as npt

from medsr.errors import MissingExtra
from medsr.evaluate.peers.problem import Problem

__all__ = ["Peer", "Setting", "finished", "require", "settings_of"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Setting:
    """Strength, and what is done to the result.

    corrected : sqrt(max(x^2 - sigma^2, 0)), for magnitude images (Gudbjartsson and Patz, Magn Reson Med 34, 910,
        1995, doi 10.1002/mrm.1910340618).
    blend : b of (1 - b) x + b y; at a dose cut to d, b = d is the best estimate of the full-dose scan, whose own
        noise is part of y.
    """

    strength: float = 1.0
    corrected: bool = False
    blend: float = 0.0

    def words(self) -> str:
        """For tables."""
        parts = [f"{self.strength:g}"]
        parts += ["Rician-corrected"] if self.corrected else []
        parts += [f"blended {self.blend:g}"] if self.blend else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Peer:
    """A method and the grid its strength is chosen from.

    run : maps a problem and a strength to an image of the whole slab, (S, N1, N2).
    strengths : ascending; a single one means that nothing is free. module : what it imports, and `extra` where that
    comes from; both empty for what medsr installs itself. slow : True for methods that take too long for every run.
    denoises : True where Rician correction and blending apply.
    """

    name: str
    run: Callable[[Problem, float], Array]
    strengths: tuple[float, ...] = (1.0,)
    module: str = ""
    extra: str = ""
    slow: bool = False
    denoises: bool = False

    @property
    def usual(self) -> float:
        """The middle of the grid: what is used where nothing was tuned."""
        return self.strengths[len(self.strengths) // 2]


def require(peer: Peer) -> None:
    """Check that what a peer imports is installed.

    Raises
    ------
    MissingExtra : ``evaluate.peer``, with the extra that brings it.
    """
    if peer.module and find_spec(peer.module) is None:
        raise MissingExtra("evaluate.peer", f"{peer.name} needs the package {peer.module} (extra {peer.extra})")


def settings_of(peer: Peer, problem: Problem, *, blends: tuple[float, ...] = ()) -> Iterator[Setting]:
    """Every setting of a peer on a problem: strengths times correction times blends."""
    corrected = (False, True) if peer.denoises and problem.magnitude else (False,)
    mixes = (0.0, *blends) if peer.denoises else (0.0,)
    for strength, correct, blend in product(peer.strengths, corrected, mixes):
        yield Setting(strength, correct, blend)


def finished(image: Array, problem: Problem, setting: Setting) -> Array:
    """A peer's raw result after correction and blending."""
    result = image
    if setting.corrected:
        result = np.sqrt(np.maximum(result**2 - problem.sigma**2, 0))
    if setting.blend:
        result = (1 - setting.blend) * result + setting.blend * problem.values
    return result.astype(np.float32)
