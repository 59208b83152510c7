"""Does a bundle put pieces of its training scans where nothing was measured?

Restored scans that no training has seen are cut to their null space, x - A+ A x, which is supplied. A thousand
patches of it look for their nearest neighbours in the null space of training scans and, at as many places, of scans
that the recipe kept out. A bundle that remembers comes nearer to what it was trained on. Training scans may be more
like the restored ones than the others are, for reasons of anatomy and scanner: so the patches that were truly there
are searched for in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from medsr.errors import UsageError
from medsr.evaluate.cases import Case, cases_of, stack_of
from medsr.evaluate.held_out import held_out_scans, held_out_subjects, scans_by_subject
from medsr.evaluate.judge import Judge
from medsr.evaluate.levels import Level
from medsr.evaluate.nearest import PATCH, Nearest, nearest, patch_at
from medsr.evaluate.scans import EvaluationScan, read_folder
from medsr.models.bundle import Bundle
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore

__all__ = ["MemoryFigures", "Pair", "memory_levels", "memory_of"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Log = Callable[[str], None]

PATCHES, PICTURES, PAIRS = 1000, 160, 10
SIDE = 96
_ALPHA = 0.01
_MOST_A_SCAN = 8
_INSIDE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A supplied patch and its nearest neighbour among the training scans."""

    level: str
    restored: str
    training: str
    correlation: float
    held_out: float
    supplied: Array
    neighbour: Array


@dataclass(frozen=True, slots=True, eq=False)
class MemoryFigures:
    """Correlations with the nearest patch, median and one-sided Kolmogorov-Smirnov test, and the nearest pairs.

    p : that patches of the bundle come no nearer to training scans than to the held-out ones. The `true_` fields are
    of the patches that were there. places : searched in each of both sets.
    """

    patches: int
    places: tuple[int, int]
    subjects: tuple[int, int, int]
    train: float
    held_out: float
    p: float
    true_train: float
    true_held_out: float
    true_p: float
    lean: float
    true_lean: float
    pairs: tuple[Pair, ...]

    @property
    def suspicious(self) -> bool:
        """True if the bundle comes nearer to its training scans, and by more than the anatomy itself does."""
        return self.p < _ALPHA and self.lean > self.true_lean


def memory_levels(bundle: Bundle) -> tuple[Level, ...]:
    """Degradations with a null space: x2 and x4 in plane, or thick slices through plane."""
    word = bundle.modality
    if bundle.plane == "through":
        return (Level(f"{word} thick x2", "superres", word, through=2.0),)
    return tuple(Level(f"{word} x{scale:g}", "superres", word, scale=scale) for scale in (2.0, 4.0))


def memory_of(
    bundle: Bundle, folders: Sequence[Path], inputs: Path, *, pictures: int = PICTURES, seed: int = 0, log: Log
) -> MemoryFigures:
    """Run the test.

    Parameters
    ----------
    folders : of the scans that the bundle was trained on, with those its recipe kept out.
    inputs : folder of scans of other people, to be restored.
    pictures : cut from training and from held-out scans for each level, 96 px wide.

    Raises
    ------
    UsageError : ``models.held_out``, if one of the three sets is empty.
    """
    rng = np.random.default_rng(seed)
    kept_out = held_out_scans(bundle, folders, most=_MOST_A_SCAN)
    beginnings = held_out_subjects(bundle)
    trained = list(scans_by_subject(folders, beginnings, out=True, modality=bundle.modality, most=1))
    fresh = [scan for scan in read_folder(inputs)[0] if _is_fresh(scan, bundle, [*trained, *kept_out])]
    levels = memory_levels(bundle)
    parts = [
        _level(bundle, level, trained, kept_out, fresh, counts=(PATCHES // len(levels), pictures), rng=rng, log=log)
        for level in levels
    ]
    return _figures([part for part in parts if part is not None], (trained, kept_out, fresh))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One level: correlations of supplied and of true patches with both sets, and the pairs."""

    supplied: tuple[Nearest, Nearest]
    true: tuple[Nearest, Nearest]
    pairs: list[Pair]


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A piece of a null space, and the scan it is of."""

    scan: str
    values: Array


def _level(
    bundle: Bundle,
    level: Level,
    trained: Sequence[EvaluationScan],
    kept_out: Sequence[EvaluationScan],
    fresh: Sequence[EvaluationScan],
    *,
    counts: tuple[int, int],
    rng: np.random.Generator,
    log: Log,
) -> _Part | None:
    pictures = [_pictures(scans, level, counts[1], rng) for scans in (trained, kept_out)]
    supplied, true, names = _patches(bundle, fresh, level, counts[0], rng)
    if not names or not all(pictures):
        log(f"{level.name}: no scan fits")
        return None
    count = min(len(those) for those in pictures)
    sets = [those[:count] for those in pictures]
    found = [nearest(supplied, [picture.values for picture in those]) for those in sets]
    truth = [nearest(true, [picture.values for picture in those]) for those in sets]
    log(f"{level.name}: {len(names)} patches, {count} pictures a set, {found[0].places} and {found[1].places} places")
    order = np.argsort(-found[0].correlation)[:PAIRS]
    pairs = [
        Pair(
            level.name,
            names[index],
            sets[0][int(found[0].picture[index])].scan,
            float(found[0].correlation[index]),
            float(found[1].correlation[index]),
            supplied[index],
            patch_at(sets[0][int(found[0].picture[index])].values, found[0].corner[index]),
        )
        for index in order
    ]
    return _Part((found[0], found[1]), (truth[0], truth[1]), pairs)


def _figures(parts: Sequence[_Part], scans: Sequence[Sequence[EvaluationScan]]) -> MemoryFigures:
    if not parts:
        raise UsageError("models.held_out", "no scan of training, held-out and other subjects fits a level")
    supplied, true = (
        [np.concatenate([part[index].correlation for part in those]) for index in (0, 1)]
        for those in ([part.supplied for part in parts], [part.true for part in parts])
    )
    pairs = sorted((pair for part in parts for pair in part.pairs), key=lambda pair: -pair.correlation)
    places = [sum(part.supplied[index].places for part in parts) for index in (0, 1)]
    subjects = [len({scan.subject for scan in those}) for those in scans]
    return MemoryFigures(
        patches=len(supplied[0]),
        places=(places[0], places[1]),
        subjects=(subjects[0], subjects[1], subjects[2]),
        train=float(np.median(supplied[0])),
        held_out=float(np.median(supplied[1])),
        p=_ks(*supplied),
        true_train=float(np.median(true[0])),
        true_held_out=float(np.median(true[1])),
        true_p=_ks(*true),
        lean=float(np.mean(supplied[0] - supplied[1])),
        true_lean=float(np.mean(true[0] - true[1])),
        pairs=tuple(pairs[:PAIRS]),
    )


def _ks(train: npt.NDArray[np.float64], held_out: npt.NDArray[np.float64]) -> float:
    """One-sided: small where correlations with training scans are the larger ones."""
    return float(stats.ks_2samp(train, held_out, alternative="less").pvalue)


def _is_fresh(scan: EvaluationScan, bundle: Bundle, others: Iterable[EvaluationScan]) -> bool:
    known = {other.subject for other in others}
    return scan.role == "domain" and scan.volume.modality == bundle.modality and scan.subject not in known


def _pictures(scans: Sequence[EvaluationScan], level: Level, count: int, rng: np.random.Generator) -> list[_Picture]:
    """Pieces of the null spaces of scans in turn, each around a random place of the foreground."""
    turns = [scans[index] for index in rng.permutation(len(scans))]
    each = max(1, -(-count // max(1, len(turns))))
    pictures: list[_Picture] = []
    for scan in turns:
        if len(pictures) >= count:
            break
        for case in cases_of(scan, (level,), slices=min(each, _MOST_A_SCAN)):
            null, mask = _null(case, case.reference.values), Judge(case).mask
            for _ in range(each):
                index = int(rng.integers(len(null)))
                if mask[index].any():
                    pictures.append(_Picture(scan.name, _piece(null[index], mask[index], rng)))
    return pictures[:count]


def _piece(image: Array, mask: Mask, rng: np.random.Generator) -> Array:
    """A square of 96 px with a place of the mask near its middle; 0 beyond the image."""
    row, column = mask.nonzero()[0], mask.nonzero()[1]
    chosen = int(rng.integers(len(row)))
    made = np.zeros((SIDE, SIDE), np.float32)
    corners = [
        int(np.clip(place - SIDE // 2, 0, max(0, size - SIDE)))
        for place, size in zip((row[chosen], column[chosen]), image.shape, strict=True)
    ]
    part = image[corners[0] : corners[0] + SIDE, corners[1] : corners[1] + SIDE]
    made[: part.shape[0], : part.shape[1]] = part
    return made


def _patches(
    bundle: Bundle, scans: Sequence[EvaluationScan], level: Level, count: int, rng: np.random.Generator
) -> tuple[Array, Array, list[str]]:
    """Patches of the null spaces of restored scans, the true ones of the same places, and their scans' names."""
    cases = [case for scan in scans for case in cases_of(scan, (level,), slices=1)]
    supplied, true, names = [], [], []
    each = -(-count // max(1, len(cases)))
    for case in cases:
        made, there, mask = _null(case, _restored(bundle, case)), _null(case, case.reference.values), Judge(case).mask
        corners = _corners(mask, each, rng)
        for index, row, column in corners:
            supplied.append(patch_at(made[index], (row, column)))
            true.append(patch_at(there[index], (row, column)))
            names.append(case.scan.name)
    chosen = rng.permutation(len(names))[:count]
    empty = np.zeros((0, PATCH, PATCH), np.float32)
    return (
        np.stack([supplied[index] for index in chosen]) if names else empty,
        np.stack([true[index] for index in chosen]) if names else empty,
        [names[index] for index in chosen],
    )


def _corners(mask: Mask, count: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Slice, row and column of random patches that lie in the mask for nine tenths."""
    found: list[tuple[int, int, int]] = []
    for _ in range(50 * count):
        if len(found) == count or min(mask.shape[1:]) < PATCH:
            break
        index, row, column = (int(rng.integers(size)) for size in (len(mask), *(s - PATCH + 1 for s in mask.shape[1:])))
        if mask[index, row : row + PATCH, column : column + PATCH].mean() >= _INSIDE:
            found.append((index, row, column))
    return found


def _restored(bundle: Bundle, case: Case) -> Array:
    """A single sample of a bridge, and the far end of a GAN: what is most at risk."""
    options: dict[str, Any] = {} if case.level.through is None else {"through": case.level.through}
    if bundle.method == "gan":
        options["fidelity"] = 0.0
    if bundle.method == "diffusion":
        options["samples"] = 1
    request = RestoreRequest("superres", scale=case.level.scale, method=bundle.method, **options)
    return restore(case.degraded, request, bundle=bundle).image


def _null(case: Case, values: Array) -> Array:
    """(I - A+ A) x of the judged slices, (S, N1, N2)."""
    linear = case.operator.linear
    x = torch.from_numpy(np.ascontiguousarray(values))
    return stack_of((x - linear.project(x)).numpy(), case.reference)[list(case.judged)]
