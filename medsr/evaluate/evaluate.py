"""`medsr evaluate`: bundles beside the input and classical peers, on the same inputs in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medsr.errors import MedsrError
from medsr.evaluate.cases import Case, cases_of, real_pair
from medsr.evaluate.judge import Judge, Row
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.methods import METHODS, MethodChoice, bundle_for, peer_rows, restored_row
from medsr.evaluate.peers.settings import default_file, load_settings
from medsr.evaluate.repeats import RepeatRow, repeat_rows
from medsr.evaluate.scans import EvaluationScan, Refused, read_folder

__all__ = ["Evaluation", "evaluate_case", "evaluate_folder"]

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run found.

    skipped : one sentence for each method that could not run, and why.
    """

    source: str
    slices: int
    rows: list[Row]
    repeats: list[RepeatRow] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def evaluate_folder(
    folder: Path,
    *,
    levels: tuple[Level, ...] = LEVELS,
    slices: int = 6,
    names: tuple[str, ...] = (),
    choice: MethodChoice | None = None,
    log: Log,
) -> Evaluation:
    """Evaluate every scan of a folder at every level of its modality.

    Parameters
    ----------
    folder : of .nii.gz scans; ``files.csv`` beside them may name subjects.
    slices : of the middle of each scan that are judged.
    names : restrict to scans whose name starts with one of these.
    choice : of peers; fast ones at their tuned settings by default.

    Raises
    ------
    UsageError : ``evaluate.no_scans``.
    """
    chosen = choice or MethodChoice("fast", best_nlm=False, settings=load_settings(default_file()))
    scans, refused = read_folder(folder, names=names)
    said: dict[str, None] = {}
    rows: list[Row] = []
    for case in _cases(scans, levels, slices=slices):
        found = list(evaluate_case(case, chosen, log=said.setdefault))
        rows += found
        log(f"{case.scan.name}, {case.level.name}: " + ", ".join(f"{row.method} {row.score:.2f}" for row in found))
    repeats = repeat_rows(scans, slices=slices, log=log)
    for entry in refused:
        log(f"refused {entry.name}: {entry.code}")
    for line in said:
        log(line)
    return Evaluation(folder.name, slices, rows, repeats, refused, list(said))


def evaluate_case(case: Case, choice: MethodChoice, *, log: Log) -> Iterator[Row]:
    """Rows of one case: input, peers, then every installed bundle that does the task."""
    judge = Judge(case)
    yield from peer_rows(case, judge, choice, log=log)
    for method in METHODS:
        bundle = bundle_for(case.level, method)
        if bundle is None:
            log(f"skipped {method} at {case.level.name}: no bundle is installed")
            continue
        try:
            yield restored_row(case, judge, method, bundle)
        except MedsrError as error:
            log(f"skipped {bundle.name} at {case.level.name}: {error}")


def _cases(scans: list[EvaluationScan], levels: tuple[Level, ...], *, slices: int) -> Iterator[Case]:
    """Simulated cases of every scan that is not judged by its repetitions; real pairs as they are."""
    by_name = {scan.name: scan for scan in scans}
    for scan in scans:
        if scan.role == "low_dose":
            partner = by_name.get(scan.partner)
            if partner is not None and any(level.dose for level in levels):
                yield real_pair(scan, partner, slices=slices)
        elif scan.role != "repeats":
            yield from cases_of(scan, levels, slices=slices)
