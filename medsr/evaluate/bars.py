"""What was promised of each task, with the figure that was reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medsr.evaluate.compare import by_subject, compare, ours, paired
from medsr.evaluate.judge import Row
from medsr.evaluate.methods import BEST_NLM

__all__ = ["Bar", "bars"]

_GAN, _DIFFUSION = "-gan", "-diffusion"
_INPUTS = ("input", "A+ y", "linear")


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise on a level, the figure reached over `subjects`, and whether it is kept."""

    level: str
    promise: str
    figure: str
    kept: bool
    subjects: int


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Every promise that these rows can decide: methods that did not run decide nothing."""
    found: list[Bar] = []
    for level in dict.fromkeys(row.level for row in rows):
        chosen = [row for row in rows if row.level == level]
        for name in ours(chosen, level):
            found += _generator(chosen, level, name)
    return found


def _generator(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    if name.endswith(_GAN):
        yield from _gan(rows, level, name)
        return
    if name.endswith(_DIFFUSION):
        yield from _diffusion(rows, level, name)
        return
    peers = [method for method in dict.fromkeys(row.method for row in rows) if method not in ours(rows, level)]
    classical = [method for method in peers if method not in (*_INPUTS, BEST_NLM)]
    yield from _margin(rows, level, name, [BEST_NLM], 0.0, "better than NLM at the best setting of each scan")
    if level.startswith("MR denoise"):
        for scanner, margin in (("seen", 0.5), ("unseen", 0.0)):
            group = [row for row in rows if row.scanner == scanner]
            yield from _margin(group, level, name, ["BM4D"], margin, f"BM4D + {margin:g} dB, {scanner} scanners")
    elif level in ("CT quarter dose", "CT tenth dose"):
        yield from _share(rows, level, name, classical, 0.8, "excess error 20 % under the best peer")
    elif "gaps" in level and level.startswith("MR"):
        yield from _margin(rows, level, name, [*classical, "linear"], 1.0, "best of linear, cubic and flow + 1 dB")
    elif "thick" in level and level.startswith("MR"):
        yield from _margin(rows, level, name, ["cubic"], 0.5, "cubic + 0.5 dB")
    elif classical:
        yield from _margin(rows, level, name, classical, 0.0, "the best classical peer")


def _margin(rows: list[Row], level: str, name: str, others: list[str], margin: float, promise: str) -> Iterator[Bar]:
    """Mean difference to the best of `others` by subject, at least `margin`."""
    known = [found for other in others if (found := compare(rows, level, name, other)) is not None]
    if known:
        least = min(known, key=lambda found: found.mean)
        figure = f"{least.mean:+.2f} to {least.other}"
        yield Bar(level, promise, figure, least.mean >= margin and least.mean > 0, len(least.differences))


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
        yield Bar(level, promise, f"{(1 - ratio) * 100:.0f} % under {best}", ratio <= share, count)


def _gan(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    """A third of the regressor's gap in gradient energy closed, for at most 0.3 dB (or 3.5 % of the error)."""
    base = name.removesuffix(_GAN)
    sharp, smooth = _gradient(rows, name), _gradient(rows, base)
    found = compare(rows, level, name, base)
    if sharp is None or smooth is None or found is None:
        return
    closed = 1 - abs(1 - sharp) / abs(1 - smooth) if smooth != 1 else 0.0
    loss = -found.mean
    cheap = loss <= 0.3 if level.startswith("MR") else loss <= 0.035 * _mean_score(rows, level, base)
    figure = f"{closed * 100:.0f} % of the gap ({smooth:.2f} to {sharp:.2f}) for {loss:.2f}"
    yield Bar(
        level, "a third of the sharpness gap for 0.3 dB", figure, closed >= 1 / 3 and cheap, len(found.differences)
    )


def _diffusion(rows: list[Row], level: str, name: str) -> Iterator[Bar]:
    base = name.removesuffix(_DIFFUSION)
    found = compare(rows, level, name, base)
    if found is not None:
        near = found.mean >= (-0.3 if level.startswith("MR") else -0.035 * _mean_score(rows, level, base))
        yield Bar(
            level, "mean of samples within 0.3 dB of the regressor", f"{found.mean:+.2f}", near, len(found.differences)
        )
    ranks = [row.spread_rank for row in rows if row.method == name and row.spread_rank is not None]
    if ranks:
        rank = float(np.mean(ranks))
        yield Bar(level, "spread ranks errors at Spearman 0.7", f"{rank:.2f}", rank >= 0.7, len(ranks))


def _gradient(rows: list[Row], method: str) -> float | None:
    known = [row.gradient for row in rows if row.method == method and row.gradient is not None]
    return float(np.mean(known)) if known else None


def _mean_score(rows: list[Row], level: str, method: str) -> float:
    return float(np.mean(list(by_subject(rows, level, method).values())))
