"""`medsr evaluate`: bundles beside the input and classical peers, on the same inputs in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medsr.errors import MedsrError
from medsr.evaluate.cases import Case, cases_of, real_pair
from medsr.evaluate.draws import DrawRow, draw_rows
from medsr.evaluate.judge import Judge, Row
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.methods import METHODS, MethodChoice, bundle_for, peer_rows, restored_row
from medsr.evaluate.repeats import RepeatRow, repeat_rows
from medsr.evaluate.scans import EvaluationScan, Refused, read_folder

__all__ = ["Evaluation", "EvaluationRequest", "evaluate", "evaluate_case"]

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run found.

    skipped : one sentence for each method that could not run, and why.
    """

    source: str
    slices: int
    rows: list[Row]
    window: int | None = None
    repeats: list[RepeatRow] = field(default_factory=list)
    draws: list[DrawRow] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to evaluate.

    Parameters
    ----------
    folders : of .nii.gz scans; ``files.csv`` beside them may name subjects.
    slices : of the middle of each scan that are judged.
    names : restrict to scans whose name starts with one of these.
    choice : of peers and their settings.
    draws : noise draws on one scan of each modality, 0 for none.
    window : denoise within so many pixels of the middle of the foreground only; None is the whole slice.
    """

    folders: tuple[Path, ...]
    choice: MethodChoice
    levels: tuple[Level, ...] = LEVELS
    slices: int = 6
    names: tuple[str, ...] = ()
    draws: int = 0
    window: int | None = None


def evaluate(
    request: EvaluationRequest,
    *,
    log: Log,
    done: Mapping[tuple[str, str], list[Row]] | None = None,
    keep: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Evaluate every scan of the folders at every level of its modality.

    Parameters
    ----------
    done : rows of (scan, level) that an earlier run left; they are not run again.
    keep : called with what there is after each case, so that a long run can be taken up again.

    Raises
    ------
    UsageError : ``evaluate.no_scans``.
    """
    scans, refused = _read(request)
    source = ", ".join(folder.name for folder in request.folders)
    said: dict[str, None] = {}
    found = Evaluation(source, request.slices, [], window=request.window, refused=refused)
    for case in _cases(scans, request):
        rows = (done or {}).get((case.scan.name, case.level.name))
        if rows is None:
            rows = list(evaluate_case(case, request.choice, log=said.setdefault))
            log(f"{case.scan.name}, {case.level.name}: " + ", ".join(f"{row.method} {row.score:.2f}" for row in rows))
        found.rows.extend(rows)
        if keep:
            keep(found)
    found.repeats.extend(repeat_rows(scans, slices=request.slices, log=log))
    found.draws.extend(_draws(scans, request, log=log))
    found.skipped.extend(said)
    for line in [f"refused {entry.name}: {entry.code}" for entry in refused] + found.skipped:
        log(line)
    return found


def _read(request: EvaluationRequest) -> tuple[list[EvaluationScan], list[Refused]]:
    scans, refused = [], []
    for folder in request.folders:
        some, others = read_folder(folder, names=request.names, alone=len(request.folders) == 1)
        scans += some
        refused += others
    return scans, refused


def _draws(scans: list[EvaluationScan], request: EvaluationRequest, *, log: Log) -> Iterator[DrawRow]:
    """On the first scan in the domain of each modality."""
    for modality in ("MR", "CT") if request.draws else ():
        first = next((scan for scan in scans if scan.role == "domain" and scan.volume.modality == modality), None)
        if first is not None:
            yield from draw_rows(
                first,
                request.levels,
                draws=request.draws,
                peers=request.choice.peers,
                settings=request.choice.settings,
                log=log,
            )


def evaluate_case(case: Case, choice: MethodChoice, *, log: Log) -> Iterator[Row]:
    """Rows of one case: input, peers, then every installed bundle that does the task."""
    judge = Judge(case)
    yield from peer_rows(case, judge, choice, log=log)
    for method in METHODS:
        bundle = bundle_for(case.level, method)
        if bundle is None:
            plane = "through plane" if case.level.through_plane else "in plane"
            log(f"no {method} bundle is installed for {case.level.modality} {plane}, {case.level.task}")
            continue
        try:
            yield restored_row(case, judge, method, bundle)
        except MedsrError as error:
            log(f"skipped {bundle.name} at {case.level.name}: {error}")


def _cases(scans: list[EvaluationScan], request: EvaluationRequest) -> Iterator[Case]:
    """Simulated cases of every scan that is not judged by its repetitions; real pairs as they are."""
    by_name = {scan.name: scan for scan in scans}
    for scan in scans:
        if scan.role == "low_dose":
            partner = by_name.get(scan.partner)
            if partner is not None and any(level.dose for level in request.levels):
                yield real_pair(scan, partner, slices=request.slices, window=request.window)
        elif scan.role != "repeats":
            yield from cases_of(scan, request.levels, slices=request.slices, window=request.window)
