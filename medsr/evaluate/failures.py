"""The worst slice of every task of a bundle, as a picture: input, restored, best peer, reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.errors import UsageError
from medsr.evaluate.bars import INPUTS
from medsr.evaluate.cases import Case, cases_of, stack_of
from medsr.evaluate.judge import Judge, Row
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.methods import BEST_NLM, peers_for
from medsr.evaluate.peers.peer import Setting, finished
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.peers.settings import setting_for
from medsr.evaluate.scans import read_folder
from medsr.io.subjects import facts_of
from medsr.models.bundle import Bundle
from medsr.report.display import Display
from medsr.report.png import png
from medsr.report.windows import window_for
from medsr.resources import write_bytes
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore

__all__ = ["Failure", "failure_section", "licences", "worst_rows"]

Array = npt.NDArray[np.float32]
Settings = dict[tuple[str, str], Setting]

SIDE = 128
_GAP = 2
_SMOOTH = 8.0
_RESTRICTED = re.compile(r"\b(SA|NC|ND)\b")
"""Share-alike, non-commercial, no derivatives: pictures of such scans are not under the licence of the bundle."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The row of a task on which a bundle gained least over its input, and the peer that did best there."""

    row: Row
    gain: float
    given: str
    peer: str
    peer_score: float


def worst_rows(bundle: Bundle, rows: Sequence[Row], *, shown: Mapping[str, str]) -> list[Failure]:
    """Of every task the bundle's row with the least gain over its input; if it may not be shown, the next one too.

    `shown` holds the scans whose licence lets a picture of them travel with the bundle.
    """
    tasks = {level.name: level.task for level in LEVELS}
    found = [failure for row in rows if row.level in tasks and (failure := _failure(bundle, row, rows)) is not None]
    worst: list[Failure] = []
    for task in dict.fromkeys(tasks[failure.row.level] for failure in found):
        ordered = sorted((item for item in found if tasks[item.row.level] == task), key=lambda item: item.gain)
        worst.append(ordered[0])
        if ordered[0].row.case not in shown:
            worst += [item for item in ordered if item.row.case in shown][:1]
    return worst


def licences(scans: Path) -> dict[str, str]:
    """Scan to licence, for those of the ``files.csv`` beside the scans whose licence lets a picture travel along."""
    stated = {name.removesuffix(".nii.gz"): row.get("licence", "") for name, row in facts_of(scans).items()}
    return {name: text for name, text in stated.items() if text and not _RESTRICTED.search(text)}


def _failure(bundle: Bundle, row: Row, rows: Sequence[Row]) -> Failure | None:
    """A row of the bundle beside its input and the best peer; None for any other."""
    if row.method != bundle.name or row.role != "domain":
        return None
    others = [other for other in rows if (other.case, other.level) == (row.case, row.level) and not other.bundle]
    given = next((other for other in others if other.method in INPUTS), None)
    peers = [other for other in others if other.method not in (*INPUTS, BEST_NLM)]
    if given is None or not peers:
        return None
    sign = 1.0 if row.level.startswith("MR") else -1.0
    best = max(peers, key=lambda other: sign * other.score)
    return Failure(row, sign * (row.score - given.score), given.method, best.method, best.score)


def failure_section(
    bundle: Bundle,
    failures: Sequence[Failure],
    scans: Path | None,
    *,
    shown: Mapping[str, str],
    slices: int,
    window: int | None,
    settings: Settings,
    log: Callable[[str], None],
) -> str:
    """The section of the card; with a folder of `scans` its pictures are written beside the card.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, if the folder lacks a scan that is to be shown.
    """
    lines = ["Of every task the scan on which the bundle gained least over its input, and there the worst slice.", ""]
    for failure in failures:
        row = failure.row
        unit = "dB" if row.level.startswith("MR") else "HU"
        words = (
            f"{row.level}, {row.case} ({row.scanner} scanner): {row.score:.2f} {unit}, {failure.gain:+.2f} over the "
            f"input, {failure.peer} {failure.peer_score:.2f}; worst slice {row.worst_slice:.2f}"
        )
        lines += [f"- {words}"]
        if scans is None:
            continue
        if row.case not in shown:
            lines[-1] += " (no picture: its licence does not let one travel along)"
        else:
            log(words)
            name = f"worst-{_task(row.level).task}.png"
            case = _case(failure, scans, slices=slices, window=window)
            write_bytes(bundle.folder / "docs" / name, _picture(bundle, failure, case, settings))
            lines += ["", f"  ![input, restored, {failure.peer}, reference]({name}) {shown[row.case]}", ""]
    if scans is not None and failures:
        lines += ["From left to right: input, restored, best peer, reference; 128 x 128 px around the largest error."]
    return "\n".join(lines)


def _task(level: str) -> Level:
    return next(known for known in LEVELS if known.name == level)


def _case(failure: Failure, scans: Path, *, slices: int, window: int | None) -> Case:
    named, _ = read_folder(scans, names=(failure.row.case,))
    scan = next((found for found in named if found.name == failure.row.case), None)
    case = scan and next(cases_of(scan, (_task(failure.row.level),), slices=slices, window=window), None)
    if not case:
        raise UsageError("evaluate.no_scans", f"{failure.row.case} is not in {scans.name} or does not fit its level")
    return case


def _picture(bundle: Bundle, failure: Failure, case: Case, settings: Settings) -> bytes:
    judge, judged = Judge(case), list(case.judged)
    stacks = [
        _by_peer(failure.given, case, settings),
        _restored(bundle, case),
        _by_peer(failure.peer, case, settings),
        stack_of(case.reference.values, case.reference),
    ]
    given, made, peer, reference = (stack[judged] for stack in stacks)
    errors = np.where(judge.mask, made - reference, 0) ** 2
    index = int(np.argmax(errors.sum((1, 2)) / np.maximum(judge.mask.sum((1, 2)), 1)))
    place = np.unravel_index(int(np.argmax(ndimage.gaussian_filter(errors[index], _SMOOTH))), errors[index].shape)
    rows, columns = (_around(int(at), size) for at, size in zip(place, errors[index].shape, strict=True))
    box = (rows, columns)
    grey = window_for(case.reference.modality, reference[index], near=box)
    display = Display.of(case.reference.geometry)
    panels = [display.picture(stack[index][box]) for stack in (given, made, peer, reference)]
    return png(np.hstack(list(_spaced([grey.grey(panel) for panel in panels]))))


def _by_peer(name: str, case: Case, settings: Settings) -> Array:
    """The image of a peer, or what stands for the input."""
    problem = Problem.of(case)
    peer = next((peer for peer in peers_for(case.level, "all") if peer.name == name), None)
    if peer is None:
        return problem.values
    setting, _ = setting_for(peer, case.level.name, settings, problem=problem)
    return finished(peer.run(problem, setting.strength), problem, setting)


def _restored(bundle: Bundle, case: Case) -> Array:
    thick: dict[str, Any] = {} if case.level.through is None else {"through": case.level.through}
    request = RestoreRequest(case.level.task, scale=case.level.scale, method=bundle.method, **thick)
    return stack_of(restore(case.degraded, request, bundle=bundle).image, case.reference)


def _around(place: int, size: int) -> slice:
    first = int(np.clip(place - SIDE // 2, 0, max(0, size - SIDE)))
    return slice(first, first + SIDE)


def _spaced(panels: Sequence[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.uint8]]:
    """Panels with a white line between them."""
    for index, panel in enumerate(panels):
        if index:
            yield np.full((panel.shape[0], _GAP), 255, np.uint8)
        yield panel
