"""What was promised of each task, with the figure that was reached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medsr.evaluate.compare import by_subject, compare, ours, paired
from medsr.evaluate.judge import Row
from medsr.evaluate.methods import BEST_NLM

__all__ = ["INPUTS", "Bar", "bars"]

INPUTS = ("input", "A+ y", "linear")
"""Methods that stand for doing nothing."""

_GAN, _DIFFUSION = "-gan", "-diffusion"
_DECIBEL = 0.035
"""0.3 dB as a share of an error."""
_NO_GAP = 0.05
"""A regressor whose gradient energy is this near to the reference's leaves no gap; its GAN end must stay as near."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise on a level for a bundle, the figure reached over `subjects` (or scans), and whether it is met.

    first : True for the bars of the first version; the others are aims beyond them.
    """

    level: str
    bundle: str
    promise: str
    figure: str
    met: bool
    subjects: int
    first: bool = True


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Every promise that these rows can decide: methods that did not run decide nothing."""
    found: list[Bar] = []
    for level in dict.fromkeys(row.level for row in rows):
        chosen = [row for row in rows if row.level == level]
        for name in ours(chosen, level):
            found += _better_than_input(chosen, level, name)
            found += _generator(chosen, level, name)
    return found


def _better_than_input(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    """Scan by scan."""
    sign = 1.0 if level.startswith("MR") else -1.0
    inputs = {row.case: row.score for row in rows if row.method in INPUTS}
    gains = [sign * (row.score - inputs[row.case]) for row in rows if row.method == name and row.case in inputs]
    if gains:
        better = sum(gain > 0 for gain in gains)
        yield Bar(
            level, name, "better than the input", f"{better} of {len(gains)} scans", better == len(gains), len(gains)
        )


def _generator(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    if name.endswith(_GAN):
        yield from _gan(rows, level, name)
        return
    if name.endswith(_DIFFUSION):
        yield from _diffusion(rows, level, name)
        return
    peers = [method for method in dict.fromkeys(row.method for row in rows) if method not in ours(rows, level)]
    classical = [method for method in peers if method not in (*INPUTS, BEST_NLM)]
    best_nlm = "better than NLM at the best setting of each scan"
    if level.startswith("CT"):
        yield from _share(rows, level, name, [BEST_NLM], 1.0, best_nlm)
    else:
        yield from _margin(rows, level, name, [BEST_NLM], 0.0, best_nlm)
    if level.startswith("MR denoise"):
        for scanner, margin in (("seen", 0.5), ("unseen", 0.0)):
            group = [row for row in rows if row.scanner == scanner]
            yield from _margin(group, level, name, ["BM4D"], margin, f"BM4D + {margin:g} dB, {scanner} scanners")
    elif level in ("CT quarter dose", "CT tenth dose"):
        yield from _share(rows, level, name, classical, 0.8, "excess error 20 % under the best peer")
    elif "gaps" in level:
        yield from _margin(rows, level, name, [*classical, "linear"], 1.0, "best of linear, cubic and flow + 1 dB")
    elif "thick" in level:
        yield from _margin(rows, level, name, ["cubic"], 0.5, "cubic + 0.5 dB")
    elif classical:
        yield from _margin(rows, level, name, classical, 0.0, "the best classical peer")


_FIRST = {
    "best of linear, cubic and flow + 1 dB": ("MR gaps 1 of 2", "CT gaps 1 of 2"),
    "cubic + 0.5 dB": ("MR thick x2", "CT thick x2"),
    "the best classical peer": ("MR x2",),
    "excess error 20 % under the best peer": ("CT quarter dose",),
}
"""Of promises that stand on more levels than the first version's bars name: the levels that it names."""


def _is_first(promise: str, level: str) -> bool:
    if promise in _FIRST:
        return level in _FIRST[promise]
    return not promise.startswith("better than NLM")


def _margin(rows: list[Row], level: str, name: str, others: list[str], margin: float, promise: str) -> Iterator[Bar]:
    """Mean difference in dB to the best of `others` by subject, at least `margin`; of errors, 20 log10 of the ratio."""
    known = {}
    for other in others:
        pairs = paired(rows, level, name, other).values()
        if pairs:
            known[other] = [_decibels(level, mine, theirs) for mine, theirs in pairs]
    if known:
        best = min(known, key=lambda other: float(np.mean(known[other])))
        mean = float(np.mean(known[best]))
        met = mean >= margin and mean > 0
        yield Bar(
            level, name, promise, f"{mean:+.2f} dB to {best}", met, len(known[best]), first=_is_first(promise, level)
        )


def _decibels(level: str, mine: float, theirs: float) -> float:
    """By how much `mine` is better; an error of 0 counts as 1e-6."""
    if level.startswith("MR"):
        return mine - theirs
    return 20 * math.log10(max(theirs, 1e-6) / max(mine, 1e-6))


def _share(rows: list[Row], level: str, name: str, others: list[str], share: float, promise: str) -> Iterator[Bar]:
    """Mean error over that of the best of `others`, at most `share`; each over the subjects that both have."""
    ratios = {}
    for other in others:
        pairs = paired(rows, level, name, other).values()
        if pairs:
            ratios[other] = (sum(mine for mine, _ in pairs) / sum(theirs for _, theirs in pairs), len(pairs))
    if ratios:
        best = max(ratios, key=lambda other: ratios[other][0])
        ratio, count = ratios[best]
        figure = f"{(1 - ratio) * 100:.0f} % under {best}"
        yield Bar(level, name, promise, figure, ratio <= share, count, first=_is_first(promise, level))


def _gan(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    """A third of the regressor's gap in gradient energy closed, for at most 0.3 dB."""
    base = name.removesuffix(_GAN)
    sharp, smooth = _gradient(rows, name), _gradient(rows, base)
    found = compare(rows, level, name, base)
    if sharp is None or smooth is None or found is None:
        return
    loss = -found.mean
    cheap = loss <= 0.3 if level.startswith("MR") else loss <= _DECIBEL * _mean_score(rows, level, base)
    price = f"({smooth:.2f} to {sharp:.2f}) for {loss:.2f} {'dB' if level.startswith('MR') else 'HU'}"
    if abs(1 - smooth) < _NO_GAP:
        figure, closed = f"no gap to close {price}", abs(1 - sharp) <= _NO_GAP
    else:
        share = 1 - abs(1 - sharp) / abs(1 - smooth)
        figure, closed = f"{share * 100:.0f} % of the gap {price}", share >= 1 / 3
    promise, count = "a third of the sharpness gap for 0.3 dB", len(found.differences)
    yield Bar(level, name, promise, figure, closed and cheap, count, first=not level.endswith("x4"))


def _diffusion(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    base, beyond = name.removesuffix(_DIFFUSION), level.endswith("x4")
    found = compare(rows, level, name, base)
    if found is not None:
        near = found.mean >= (-0.3 if level.startswith("MR") else -_DECIBEL * _mean_score(rows, level, base))
        figure = f"{found.mean:+.2f} {'dB' if level.startswith('MR') else 'HU'}"
        count = len(found.differences)
        yield Bar(level, name, "mean of samples within 0.3 dB of the regressor", figure, near, count, first=not beyond)
    ranks = [row.spread_rank for row in rows if row.method == name and row.spread_rank is not None]
    if ranks:
        rank = float(np.mean(ranks))
        promise = "spread ranks errors at Spearman 0.7"
        yield Bar(level, name, promise, f"{rank:.2f}", rank >= 0.7, len(ranks), first=not beyond)


def _gradient(rows: list[Row], method: str) -> float | None:
    known = [row.gradient for row in rows if row.method == method and row.gradient is not None]
    return float(np.mean(known)) if known else None


def _mean_score(rows: list[Row], level: str, method: str) -> float:
    return float(np.mean(list(by_subject(rows, level, method).values())))
