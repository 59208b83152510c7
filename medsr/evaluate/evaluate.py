"""`medsr evaluate`: bundles beside the input and classical peers, on the same inputs in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medsr.errors import MedsrError
from medsr.evaluate.basis import basis_of
from medsr.evaluate.cases import Case, cases_of, real_pair
from medsr.evaluate.draws import DrawRow, draw_rows
from medsr.evaluate.judge import Judge, Row
from medsr.evaluate.levels import LEVELS, REAL_LOW_DOSE, Level
from medsr.evaluate.methods import MethodChoice, method_row, planned
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.repeats import RepeatRow, repeat_rows
from medsr.evaluate.scans import EvaluationScan, Refused, read_folder

__all__ = ["Earlier", "Evaluation", "EvaluationRequest", "evaluate"]

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


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run left: rows by method of (scan, level), and draws.

    Rows that no longer rest on what they rested on are run again, see :mod:`medsr.evaluate.basis`.
    """

    rows: Mapping[tuple[str, str], Mapping[str, Row]]
    draws: Sequence[DrawRow] = ()


def evaluate(
    request: EvaluationRequest,
    *,
    log: Log,
    done: Earlier | None = None,
    keep: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Evaluate every scan of the folders at every level of its modality.

    Parameters
    ----------
    done : what an earlier run left; it is not run again, and methods that are not asked for keep their rows.
    keep : called after each case with what there is, and what `done` holds of the cases to come, so that a long run
        can be taken up again.

    Raises
    ------
    UsageError : ``evaluate.no_scans``.
    """
    scans, refused = _read(request)
    source = ", ".join(folder.name for folder in request.folders)
    said: dict[str, None] = {}
    found = Evaluation(source, request.slices, [], window=request.window, refused=refused)
    plans = {level.name: planned(level, request.choice, log=said.setdefault) for level in request.levels}
    plans[REAL_LOW_DOSE] = planned(_low_dose_level(), request.choice, log=said.setdefault)
    ahead = {key: list(rows.values()) for key, rows in done.rows.items()} if done else {}
    for scan in scans:
        for level in _levels_of(scan, request):
            have = ahead.pop((scan.name, level.name), [])
            rows = _case_rows(scan, level, plans[level.name], have, request, scans, log=log)
            found.rows.extend(rows)
            if keep and rows:
                keep(replace(found, rows=[*found.rows, *(row for later in ahead.values() for row in later)]))
    found.repeats.extend(repeat_rows(scans, slices=request.slices, log=log))
    earlier = done.draws if done else ()
    found.draws.extend(_draws(scans, request, earlier, log=log) if request.draws else earlier)
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


def _draws(
    scans: list[EvaluationScan], request: EvaluationRequest, done: Sequence[DrawRow], *, log: Log
) -> Iterator[DrawRow]:
    """On the first scan in the domain of each modality."""
    for modality in ("MR", "CT") if request.draws else ():
        first = next((scan for scan in scans if scan.role == "domain" and scan.volume.modality == modality), None)
        if first is not None:
            yield from draw_rows(
                first,
                request.levels,
                draws=request.draws,
                window=request.window,
                settings=request.choice.settings,
                done=done,
                log=log,
            )


def _levels_of(scan: EvaluationScan, request: EvaluationRequest) -> Iterator[Level]:
    """Simulated levels of a scan that is not judged by its repetitions; a real pair has one of its own."""
    if scan.role == "low_dose":
        if any(level.dose for level in request.levels):
            yield _low_dose_level()
    elif scan.role != "repeats":
        yield from (level for level in request.levels if level.modality == scan.volume.modality)


def _low_dose_level() -> Level:
    return Level(REAL_LOW_DOSE, "denoise", "CT", dose=0.25)


def _case_rows(
    scan: EvaluationScan,
    level: Level,
    names: list[str],
    earlier: list[Row],
    request: EvaluationRequest,
    scans: list[EvaluationScan],
    *,
    log: Log,
) -> list[Row]:
    """Rows of one scan at one level, bundles last; what stands in `earlier` on the same basis is not run again."""
    partner = next((other for other in scans if other.name == scan.partner), None)
    basis = basis_of(scan, level, slices=request.slices, window=request.window, partner=partner)
    have = {
        row.method: replace(row, role=scan.role, scanner=scan.seen)
        for row in earlier
        if row.basis == (basis.bundles if row.bundle else basis.peers)
    }
    kept, missing = len(have), [name for name in names if name not in have]
    if missing:
        case = _case(scan, level, request, scans)
        if case is None:
            return []
        judge, problem = Judge(case), Problem.of(case)
        for name in missing:
            try:
                row = method_row(name, case, judge, problem, request.choice)
                have[name] = replace(row, basis=basis.bundles if row.bundle else basis.peers)
            except MedsrError as error:
                log(f"{name} failed on {scan.name} at {level.name}: {error}")
        scores = ", ".join(f"{name} {have[name].score:.2f}" for name in missing if name in have)
        log(f"{scan.name}, {level.name}: {scores}; {kept} rows kept")
    order = dict.fromkeys([*(name for name in have if not have[name].bundle), *names])
    return [have[name] for name in order if name in have]


def _case(scan: EvaluationScan, level: Level, request: EvaluationRequest, scans: list[EvaluationScan]) -> Case | None:
    if scan.role == "low_dose":
        partner = next((other for other in scans if other.name == scan.partner), None)
        return None if partner is None else real_pair(scan, partner, slices=request.slices, window=request.window)
    return next(cases_of(scan, (level,), slices=request.slices, window=request.window), None)
